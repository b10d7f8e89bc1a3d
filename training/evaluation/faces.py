"""The labelled faces that models are measured on, and the five points by which each is aligned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.data.sources import read_source
from training.readers.groups import is_held_out
from training.readers.picture import read_picture
from training.readers.sample import Sample
from training.synthetic.faces import draw_face
from zoo.errors import ZooError
from zoo.landmarker import Landmarker
from zoo.schemes import SCHEMES

# A labelled face and its picture, where that is drawn rather than read.
Face = tuple[Sample, np.ndarray | None]
ALIGNMENTS = ("noisy", "detector", "exact")
# How far MediaPipe's short-range detector lies from labelled points: standard deviations measured on photographs in the wild; the shift
# in eye distances, across and along.
NOISE_ROTATION_DEG, NOISE_SCALE, NOISE_SHIFT = 3.6, 0.06, (0.028, 0.031)
# A detected face counts as the labelled one if its centre is this near, in eye distances.
_SAME_FACE = 1.0
_DRAWN_FACES, _FIRST_DRAWN_SEED = 64, 1_000_000  # seeds that no training draws


def samples(source: str, held_out: float | None = None) -> list[Face]:
    """Returns a source's samples, each with its picture where that is drawn rather than read; a share keeps held-out people alone."""
    if source == "synthetic":
        return [drawn_face(seed) for seed in range(_FIRST_DRAWN_SEED, _FIRST_DRAWN_SEED + _DRAWN_FACES)]
    found = [(s, None) for s in read_source(source) if held_out is None or is_held_out(s.group, held_out)]
    if not found:
        raise ZooError(f"source {source!r} has no {'faces' if held_out is None else 'held-out people'}")
    return found


def title(source: str) -> str:
    """Returns what a source is called: its last name with the split or subset asked for, without the folders of one machine."""
    path, *words = source.split("@")
    return "@".join([Path(path).stem, *words])


def drawn_face(seed: int) -> Face:
    """Returns a drawn face with its picture and its exact points."""
    face, five = draw_face(seed), SCHEMES["106"].five_points
    sample = Sample(
        Path(f"synthetic_{seed}"), face.points, np.ones(106, np.float32), five(face.points), str(seed), "106", face.points
    )  # fmt: skip
    return sample, face.image


def picture(face: Face) -> np.ndarray:
    """Returns a face's picture (H, W, 3) uint8."""
    sample, image = face
    return read_picture(sample.path) if image is None else image


def known_points(sample: Sample) -> np.ndarray:
    """Returns which of the native points (count,) bool the label knows: they alone are measured."""
    seen = np.isfinite(sample.native_points).all(1)
    return seen & (sample.weights > 0) if sample.scheme == "106" else seen


def measurable(faces: Sequence[Face]) -> list[Face]:
    """Returns the faces whose outer eye corners and some of the eyelids of both eyes are known: without them there is no unit.

    Raises:
      ZooError: there is no such face.
    """

    def has_unit(sample: Sample) -> bool:
        scheme, known = SCHEMES[sample.scheme], known_points(sample)
        corners = np.isfinite(sample.native_points[list(scheme.outer_eyes)]).all()
        return bool(corners and all(known[list(eye)].any() for eye in scheme.eyes))

    kept = [face for face in faces if has_unit(face[0])]
    if not kept:
        raise ZooError(f"none of the {len(faces)} faces has labelled eyes, by whose distance errors are measured")
    if len(kept) < len(faces):
        tqdm.write(f"left out: {len(faces) - len(kept)} of {len(faces)} faces, whose eye corners the labels do not know")
    return kept


def moved(five: np.ndarray, rotation_deg: float = 0.0, scale: float = 1.0, shift: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """Returns points (N, 2) turned clockwise, scaled and displaced about their centre.

    Args:
      five: the two eyes come first: their distance is the unit of the shift.
      shift: across and along the picture, in eye distances.
    """
    centre, eyes = five.mean(0), np.linalg.norm(five[0] - five[1])
    angle = np.deg2rad(rotation_deg)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (five - centre) @ turn.T + centre + np.asarray(shift, np.float64) * eyes


def with_noise(five: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns five points (5, 2) turned, scaled and displaced about their centre as a detector would place them."""
    rotation_deg, scale = rng.normal(0, NOISE_ROTATION_DEG), np.exp(rng.normal(0, NOISE_SCALE))
    return moved(five, rotation_deg, scale, rng.normal(0, NOISE_SHIFT))


def find_points(find: Landmarker, image: np.ndarray, sample: Sample, align: str, rng: np.random.Generator) -> np.ndarray | None:
    """Returns a model's 106 points (106, 2) in image pixels, or None if the detector missed the face.

    Args:
      align: one of `ALIGNMENTS`: the label's five points with a detector's noise, MediaPipe's detector, or the label's as they are.
      rng: of the noise.
    """
    if align != "detector":
        return find(image, sample.five if align == "exact" else with_noise(sample.five, rng)).points
    eyes = np.linalg.norm(sample.five[0] - sample.five[1])
    found = find.detect(image, range="short", min_score=0.3)
    distances = [np.linalg.norm(np.asarray(face.five)[:3].mean(0) - sample.five[:3].mean(0)) / eyes for face in found]
    return found[int(np.argmin(distances))].points if distances and min(distances) < _SAME_FACE else None
