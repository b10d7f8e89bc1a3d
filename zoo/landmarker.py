"""A picture in, landmarks out: align, crop, run, decode, put back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE, Alignment, check_inside, four_points
from zoo.cards import published
from zoo.detector import DEFAULT_RANGE, DEFAULT_SEARCH, USUAL_SCORE, Face, detect_faces
from zoo.errors import ZooError
from zoo.forking import UNFORKED
from zoo.images import as_rgb
from zoo.lookup import look_up
from zoo.runtime.crop_points import CropPoints, from_maps
from zoo.runtime.interpreter import STRIDE, Model, open_model
from zoo.runtime.metadata import without_metadata
from zoo.schemes import SCHEMES
from zoo.uncertainty import Uncertainty, raw
from zoo.variants import VARIANTS, get

PASSES = 2  # of a detected face


@dataclass(frozen=True)
class Prediction:
    """One face.

    Attributes:
      points: (106, 2) float64 image points (x, y), edge-based: the centre of the top left pixel is (0.5, 0.5).
      scores: (106,) float32 in 0..1, how much of each heat map lies round its point; near 0 for all of them where there is no face.
      five: the five keypoints, (5, 2) or (4, 2), by which the face was aligned in the first pass.
      box: (x0, y0, x1, y1) of the detector in image pixels, or None when the five points were given.
      sigmas: (106,) float64 image pixels: within this radius the true point lies in 68 of 100 cases, within twice of it in 95; None
        where the model does not say.
      visible: (106,) float64 in 0..1, how likely the point is seen, rather than behind something, behind the face itself or outside the
        picture; None where the model does not say.
    """

    points: np.ndarray
    scores: np.ndarray
    five: np.ndarray
    box: tuple[float, float, float, float] | None = None
    sigmas: np.ndarray | None = None
    visible: np.ndarray | None = None

    @property
    def score(self) -> float:
        """How likely there is a face, 0..1, on one scale for all variants and precisions: the mean of the points' scores."""
        return float(self.scores.mean())


class Landmarker:
    """Finds landmarks with one network; safe to share between threads if `forward` is."""

    def __init__(
        self,
        forward: Callable[[np.ndarray], CropPoints],
        size: int,
        name: str = "",
        templates: tuple[np.ndarray, np.ndarray] = (LABEL_TEMPLATE, DETECTOR_TEMPLATE),
        maps: Callable[[np.ndarray], np.ndarray] | None = None,
        uncertainty: Uncertainty | None = None,
    ):
        """Makes a landmarker of any network.

        Args:
          forward: takes a crop (size, size, 3) uint8 RGB to its points (106, 2) in crop pixels, their scores and spreads.
          size: side of the crop in pixels.
          name: what to call it.
          templates: (4, 2) shares of the side that five given points are laid on, and those of MediaPipe's detector.
          maps: takes a crop to the heat maps (grid, grid, 106) float32 that the points come from; None where the network gives none.
          uncertainty: how spreads are read; None takes them as they are, unfitted.
        """
        self.forward, self.size, self.name, self.maps = forward, size, name, maps
        self.uncertainty = uncertainty or raw(SCHEMES["106"].count, STRIDE)
        self.label_template, self.detector_template = templates
        self._model: Model | None = None
        self._loaded: dict[str, Any] | None = None  # the arguments of `load`

    @classmethod
    def of_maps(
        cls,
        maps: Callable[[np.ndarray], np.ndarray],
        size: int,
        name: str = "",
        templates: tuple[np.ndarray, np.ndarray] = (LABEL_TEMPLATE, DETECTOR_TEMPLATE),
        uncertainty: Uncertainty | None = None,
    ) -> Landmarker:
        """Returns a landmarker of a network that gives heat maps (grid, grid, 106) as `zoo.heatmaps` reads them, in Keras say."""
        return cls(lambda crop: from_maps(maps(crop), size), size, name, templates, maps, uncertainty)

    def __call__(self, image: np.ndarray, five: np.ndarray, *, passes: int = 1) -> Prediction:
        """Returns the landmarks of the face that the five points mark.

        Args:
          image: (H, W, 3) uint8 RGB; grey, RGBA and 16-bit pictures are converted.
          five: (5, 2) left eye, right eye, nose tip, left and right mouth corner in image pixels, left as seen; or (4, 2)
            with the mouth's centre.
          passes: how often the network runs; from the second time on the face is aligned by the landmarks just found, and the points are
            the mean of all passes, whose errors differ a little.

        Raises:
          ZooError: the picture, the points or the passes cannot be used.
        """
        return self._find(as_rgb(image), five, self.label_template, None, passes)

    def detect(
        self,
        image: np.ndarray,
        *,
        range: str = DEFAULT_RANGE,
        min_score: float = USUAL_SCORE,
        search: str = DEFAULT_SEARCH,
        max_faces: int | None = None,
        passes: int = PASSES,
    ) -> list[Prediction]:
        """Finds the faces with MediaPipe's detector, then the landmarks of each; the largest face comes first.

        Args:
          image: (H, W, 3) uint8 RGB; grey, RGBA and 16-bit pictures are converted.
          range: the detector's networks: "short", "full" or "both".
          min_score: the detector's own score below which a face is left out; those that stay do not change.
          search: "fast" or "thorough", which finds smaller faces in large pictures; see `zoo.detector.detect_faces`.
          max_faces: at most so many, the largest; all by default.
          passes: as for a call with five points; a third gains nothing.

        Raises:
          ZooError: the picture or an option cannot be used.
        """
        _check_passes(passes)
        if max_faces is not None and max_faces < 1:
            raise ZooError(f"max_faces must be at least 1, received {max_faces}")
        image = as_rgb(image)
        found: list[Prediction] = []
        for face in detect_faces(image, range, min_score, search):
            if len(found) == max_faces:
                break
            # A face that lies mostly outside the picture is no reason to lose the others.
            with contextlib.suppress(ZooError):
                found.append(self.at(image, face, passes=passes))
        return found

    def at(self, image: np.ndarray, face: Face, *, passes: int = PASSES) -> Prediction:
        """Returns the landmarks of a face that `zoo.detector.detect_faces` found, aligned at first by the detector's own template.

        Raises:
          ZooError: the face lies mostly outside the picture.
        """
        return self._find(as_rgb(image), face.points, self.detector_template, face.box, passes)

    def _find(self, image: np.ndarray, five: np.ndarray, template: np.ndarray, box: tuple | None, passes: int) -> Prediction:
        _check_passes(passes)
        four = four_points(five)
        alignment = Alignment.from_pairs(four, template * self.size, self.size)
        check_inside(four, image.shape)
        five = np.asarray(five, np.float64)
        face = self._pass(image, alignment, five, box)
        total = face.points
        for _ in np.arange(passes - 1):
            face = self._pass(image, self.realigned(face.points), five, box)
            total = total + face.points
        return face if passes == 1 else replace(face, points=total / passes)

    def realigned(self, points: np.ndarray) -> Alignment:
        """Returns the alignment of a face by its own landmarks (106, 2), for the next pass."""
        return Alignment.from_pairs(_FOUR @ points, self.label_template * self.size, self.size)

    def _pass(self, image: np.ndarray, alignment: Alignment, five: np.ndarray, box: tuple | None) -> Prediction:
        with UNFORKED:
            found = self.forward(alignment.crop(image))
        return self.prediction(found, alignment, image.shape, five, box)

    def prediction(
        self, found: CropPoints, alignment: Alignment, shape: tuple[int, ...], five: np.ndarray, box: tuple | None = None
    ) -> Prediction:
        """Returns a face from what was found in its crop.

        Args:
          found: as `forward` gives it.
          alignment: from the picture to the crop.
          shape: (H, W, ...) of the picture.
          five, box: as `Prediction` has them.
        """
        points = alignment.to_image(found.points)
        sigmas, visible = self.uncertainty.read(found)
        inside = ((points >= 0) & (points <= shape[1::-1])).all(1)
        return Prediction(points, found.scores, five, box, sigmas / alignment.scale, visible * inside)

    def close(self) -> None:
        """Gives the network's memory back; every later call is refused. Landmarkers of functions have nothing to close."""
        if self._model is not None:
            self._model.close()

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __reduce__(self) -> tuple:
        """A copy, and what a worker process is sent, opens the file again by what `load` was asked for."""
        if self._loaded is None:
            raise ZooError(f"the landmarker {self.name!r} was made of a function: only what zoo.load returns can be copied and sent")
        return _load_again, (self._loaded,)

    def __copy__(self) -> Landmarker:
        return _load_again(self.__reduce__()[1][0])


def _check_passes(passes: int) -> None:
    if passes < 1:
        raise ZooError(f"passes must be at least 1, received {passes}")


def _four() -> np.ndarray:
    """Returns what takes 106 points to their eyes, nose tip and mouth centre: (4, 106). One product is faster than many small means."""
    five = SCHEMES["106"].five_points(np.eye(106)[:, :, None])[..., 0].T
    return np.vstack([five[:3], five[3:].mean(0)])


_FOUR = _four()


def names(weights: bool = False) -> list[str]:
    """Returns the names of all variants, or with `weights` those of all published weights, as `variant.tag`."""
    return published() if weights else [spec.name for spec in VARIANTS]


def load(
    name: str | os.PathLike, precision: str = "int8", *, threads: int = 1, runtime: str = "ai-edge-litert", xnnpack: bool = True
) -> Landmarker:
    """Returns a landmarker on published weights, or on a run's or another file of one's own; imports no TensorFlow.

    Args:
      name: `variant`, `variant.tag`, a run, or the path of a `.tflite` file, whose own metadata says how to crop and decode: see
        `zoo.lookup`.
      precision: in which published weights or a run's file compute: "int8" or "float32".
      threads: of the interpreter.
      runtime: "ai-edge-litert" or "tflite-runtime".
      xnnpack: whether the XNNPACK delegate runs the graph.

    Raises:
      ZooError: there is no such variant, tag, precision or file, or the file is not one of ours, or does not say what it is.
    """
    found = look_up(str(name))
    size = get(found.name).size if found.kind == "published" else None
    path = found.file(precision)
    model = open_model(path, threads=threads, runtime=runtime, xnnpack=xnnpack, expected_size=size)
    if model.description is None:
        raise without_metadata(path)
    maps = None if model.decodes else model.maps
    find = Landmarker(model.forward, model.input_size, found.name, model.description.templates, maps, model.uncertainty)
    find._model = model
    # By its whole path, so that a worker process in another folder finds a file or a run that was named from here.
    again = found.name if found.kind == "published" else os.path.abspath(found.path)
    precision = found.precision or precision
    find._loaded = {"name": again, "precision": precision, "threads": threads, "runtime": runtime, "xnnpack": xnnpack}
    return find


def _load_again(arguments: dict[str, Any]) -> Landmarker:
    return load(**arguments)
