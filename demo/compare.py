"""What each published file makes of one face, and how long it takes: the page's logic, without the page."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import zoo
from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE, Alignment, check_inside
from zoo.cards import FILES, weights_folder
from zoo.detector import detect_faces
from zoo.errors import ZooError
from zoo.files import kilobytes
from zoo.landmarker import Landmarker, Prediction
from zoo.runtime.crop_points import from_maps
from zoo.schemes import get_scheme
from zoo.variants import DEFAULT_TAG

FIVE_NAMES = ("Left eye", "Right eye", "Nose tip", "Left mouth corner", "Right mouth corner")
WARM_UP_CALLS = 3
SEARCHED_MEGAPIXELS = 4
# Fewer calls than this make no percentile worth showing.
MIN_CALLS = 5


@dataclass(frozen=True, order=True)
class ModelFile:
    """One published `.tflite` file: the weights' name `variant.tag` and the precision it computes in, a key of `zoo.cards.FILES`."""

    name: str
    precision: str

    @property
    def label(self) -> str:
        """What a visitor reads."""
        return f"{self.name} {self.precision}"

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return weights_folder(self.name) / FILES[self.precision]

    @property
    def changed(self) -> float:
        """When it was published, for what is remembered of it."""
        return self.path.stat().st_mtime

    @property
    def kilobytes(self) -> float:
        """The file's size in units of 1,024 bytes."""
        return kilobytes(self.path.stat().st_size)


@dataclass(frozen=True, eq=False)
class FacePosition:
    """Where a face lies: naive image points (4, 2) of the detector, with its box, or (5, 2) of a person, without one."""

    five: np.ndarray
    box: tuple[float, float, float, float] | None = None

    def aligned(self, size: int, templates: tuple[np.ndarray, np.ndarray] = (LABEL_TEMPLATE, DETECTOR_TEMPLATE)) -> Alignment:
        """Returns the alignment to a crop of `size` px; `templates` are those for a person's points and for the detector's."""
        return Alignment.from_five(self.five, size, templates[self.box is not None])


@dataclass(frozen=True, eq=False)
class Finding:
    """What one file makes of one face.

    Attributes:
      points: (106, 2) float64 image points.
      scores: (106,) float32, 0..1.
      sigmas, visible: (106,) as `zoo.Prediction` has them.
      maps: (grid, grid, 106) float32 heat maps, or None from a file that gives points.
      alignment: the similarity from the image to the crop that the network saw.
      forward_ms: the network alone, without cropping and decoding.
    """

    points: np.ndarray
    scores: np.ndarray
    sigmas: np.ndarray
    visible: np.ndarray
    maps: np.ndarray | None
    alignment: Alignment
    forward_ms: float

    def as_prediction(self, position: FacePosition) -> Prediction:
        """Returns the same as `zoo.Landmarker` would give it."""
        return Prediction(self.points, self.scores, position.five, position.box, self.sigmas, self.visible)


def model_files() -> list[ModelFile]:
    """Returns every published file, in the registry's order, smallest type first."""
    files = [ModelFile(name, precision) for name in zoo.names(weights=True) for precision in FILES]
    return [file for file in files if file.path.is_file()]


def first_choice(
    files: Sequence[ModelFile], costs: Mapping[str, float], errors: Mapping[ModelFile, float], count: int = 3
) -> list[ModelFile]:
    """Returns up to `count` files that show what there is to choose from.

    They are the lightest int8, the most exact int8, the most exact int8 for commercial use, and the first one's float parent, as far as
    these differ; then the most exact of the rest.

    Args:
      files: all of them.
      costs: multiply-accumulates by weights' name.
      errors: published error by file; files without one count as the least exact.
      count: how many to return at most.
    """
    int8 = [file for file in files if file.precision == "int8"] or list(files)
    if not int8:
        return []
    lightest = min(int8, key=lambda file: costs.get(file.name, np.inf))
    exact = sorted(int8, key=lambda file: errors.get(file, np.inf))
    parents = [file for file in files if file.name == lightest.name and file.precision == "float32"]
    commercial = [file for file in exact if file.name.endswith(f".{DEFAULT_TAG}")]
    ranked = dict.fromkeys([lightest, exact[0], *commercial[:1], *parents, *exact, *files])
    return list(ranked)[:count]


def open_landmarker(file: ModelFile, threads: int = 1, xnnpack: bool = True) -> Landmarker:
    """Returns a landmarker on a published file, warm; it may be shared between threads, which take turns."""
    found = zoo.load(file.path, threads=threads, xnnpack=xnnpack)
    for _ in range(WARM_UP_CALLS):
        network(found)(np.zeros((found.size, found.size, 3), np.uint8))
    return found


def network(find: Landmarker) -> Callable[[np.ndarray], Any]:
    """Returns what takes a crop to the network's result as it comes: its maps, or points where it decodes."""
    return find.maps or find.forward


def find_faces(image: np.ndarray) -> list[FacePosition]:
    """Returns the faces that the detector finds in (H, W, 3) uint8 RGB, the largest first; those no crop can be made of are left out.

    A picture of more than `SEARCHED_MEGAPIXELS` is searched scaled down, so that a visitor need not wait: of its smallest faces,
    with fewer pixels between the eyes than a crop has, some may be missed.
    """
    scale = min(1.0, math.sqrt(SEARCHED_MEGAPIXELS * 1e6 / (image.shape[0] * image.shape[1])))
    searched = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    back = np.array([image.shape[1] / searched.shape[1], image.shape[0] / searched.shape[0]])
    positions = []
    for face in detect_faces(searched, search="thorough"):
        with contextlib.suppress(ZooError):
            position = FacePosition(face.points * back, tuple((np.reshape(face.box, (2, 2)) * back).ravel().tolist()))
            position.aligned(128)
            check_inside(position.five, image.shape)
            positions.append(position)
    return positions


def face_by_hand(five: Sequence[Sequence[float]] | np.ndarray, shape: tuple[int, ...]) -> FacePosition:
    """Returns the face that five image points (5, 2) mark in a picture of `shape`; a ZooError if they cannot."""
    position = FacePosition(np.asarray(five, np.float64))
    position.aligned(128)
    check_inside(position.five, shape)
    return position


def parse_point(text: str) -> tuple[float, float]:
    """Returns (x, y) of two numbers, however they are separated; a ZooError shows how a point is written."""
    parts = text.replace(",", " ").replace(";", " ").split()
    try:
        x, y = map(float, parts)
    except ValueError:
        raise ZooError(f"a point is two numbers, x and y in pixels, such as '120, 96'; received {text.strip()!r}") from None
    return x, y


def find_points(
    find: Landmarker, image: np.ndarray, position: FacePosition, disturb: Callable[[Alignment], Alignment] | None = None
) -> Finding:
    """Returns what a network finds on one face: exactly what `zoo.Landmarker` gives, with the maps and the time kept.

    Args:
      find: the landmarker.
      image: (H, W, 3) uint8 RGB.
      position: where the face lies.
      disturb: changes the alignment before the crop is taken; of a detected face, that of the second pass, which then counts alone.
    """
    alignment = position.aligned(find.size, (find.label_template, find.detector_template))
    first = None
    if position.box is not None:  # as `Landmarker.detect` does: the second pass is aligned by the landmarks of the first
        first = alignment.to_image(find.forward(alignment.crop(image)).points)
        alignment = find.realigned(first)
    alignment = disturb(alignment) if disturb else alignment
    crop = alignment.crop(image)
    start = time.perf_counter()
    result = network(find)(crop)
    forward_ms = 1e3 * (time.perf_counter() - start)
    found, maps = (result, None) if find.maps is None else (from_maps(result, find.size), result)
    face = find.prediction(found, alignment, image.shape, position.five, position.box)
    points = face.points if first is None or disturb else (first + face.points) / 2
    return Finding(points, face.scores, face.sigmas, face.visible, maps, alignment, forward_ms)


def eye_distance(points: np.ndarray, scheme: str = "106") -> float:
    """Returns the distance of the outer eye corners of points (N, 2), in their own frame's pixels."""
    a, b = get_scheme(scheme).outer_eyes
    return float(np.linalg.norm(points[a] - points[b]))


def drift_percent(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns how far each of the points (106, 2) lies from the reference's, in % of the reference's eye distance: (106,)."""
    return 100 * np.linalg.norm(points - reference, axis=1) / max(eye_distance(reference), 1e-9)


def nearest_truth(points: np.ndarray, truth: np.ndarray | None) -> np.ndarray | None:
    """Returns the true face (106, 2) among (faces, 106, 2) that the points lie on, or None if they lie on none."""
    if truth is None or not len(truth):
        return None
    distances = np.linalg.norm(truth.mean(1) - points.mean(0), axis=1)
    best = truth[int(distances.argmin())]
    return best if distances.min() < eye_distance(best) else None


def part_rows(first: np.ndarray, second: np.ndarray) -> list[dict[str, float | str]]:
    """Returns for each part of the face how far two sets of points (106, 2) lie apart, in px and % of the eye distance."""
    distances = np.linalg.norm(second - first, axis=1)
    share = 100 / max(eye_distance(first), 1e-9)
    rows = []
    for name, part in get_scheme("106").parts.items():
        apart = distances[list(part.indices)]
        mean, most = float(apart.mean()), float(apart.max())
        rows.append(
            {"part": name.replace("_", " "), "mean px": mean, "largest px": most, "mean %": mean * share, "largest %": most * share}
        )
    return sorted(rows, key=lambda row: -row["mean %"])


def time_in_turns(finders: Mapping[ModelFile, Landmarker], calls: int = 20, budget_s: float = 0.5) -> dict[ModelFile, list[float]]:
    """Returns the milliseconds of up to `calls` calls of every network, taken in turns, in random order.

    The machine's drift then hits all alike, and no network always comes after the same other one.

    Args:
      finders: warm landmarkers.
      calls: how many of each, at most.
      budget_s: no further round begins after this time; each gets at least `MIN_CALLS`.
    """
    noise = np.random.default_rng(0)
    crops = {file: noise.integers(0, 256, (find.size, find.size, 3), np.uint8) for file, find in finders.items()}
    times: dict[ModelFile, list[float]] = {file: [] for file in finders}
    order, shuffle, end = list(finders), random.Random(0), time.monotonic() + budget_s
    for done in range(max(calls, MIN_CALLS)):
        if done >= MIN_CALLS and time.monotonic() > end:
            break
        shuffle.shuffle(order)
        for file in order:
            start = time.perf_counter()
            network(finders[file])(crops[file])
            times[file].append(1e3 * (time.perf_counter() - start))
    return times


def percentiles_ms(times_ms: Sequence[float]) -> tuple[float, float] | None:
    """Returns the median and the 90th percentile, or None where there are fewer than `MIN_CALLS` times."""
    if len(times_ms) < MIN_CALLS:
        return None
    median, p90 = np.percentile(np.asarray(times_ms), [50, 90])
    return float(median), float(p90)
