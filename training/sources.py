"""What trains a model: pictures with points of any scheme, each point with a weight in the model's 106.

A source is "synthetic", a labels file written by `python -m training label`, or a folder with `images/` and `landmarks.npz`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.files import read_npz
from zoo.schemes import SCHEMES, from_scheme

# The manual 189-point template of the Face Research Lab sets at those of the 106 points where both mean the same spot.
_WEBMORPH_TO_106 = {
    66: 18, 70: 22, 75: 23, 79: 27, 84: 87, **{85 + i: 88 + i for i in range(5)}, 90: 93, **{91 + i: 108 - i for i in range(5)},
    16: 129, 60: 55, 104: 0, 105: 1, 74: 0, 83: 1,
}  # fmt: skip
_SPLITS = {"", "train", "val", "test"}
# Templates with pixel centres on integers become edge-based by this shift.
_HALF_PIXEL = 0.5


@dataclass(frozen=True)
class Sample:
    """One labelled face in one picture.

    Attributes:
      path: the picture.
      image_points: (106, 2) float64, edge-based image pixels.
      weights: (106,) float32; 0 where the label does not know the point.
      five: (5, 2) naive points, edge-based image pixels.
      group: who or which photograph it is; a split never divides a group.
      scheme, native_points: the points as the set gives them, (count, 2) image pixels, for measuring against.
    """

    path: Path
    image_points: np.ndarray
    weights: np.ndarray
    five: np.ndarray
    group: str
    scheme: str
    native_points: np.ndarray


def read_source(name: str) -> Iterator[Sample]:
    """Yields the samples of a labels file or of a folder with `images/` and `landmarks.npz`.

    Raises:
      ZooError: there is no such source, or its labels cannot be read.
    """
    path = Path(name)
    if path.suffix == ".npz" and path.is_file():
        return _read_labels(path)
    if (path / "landmarks.npz").is_file():
        return _read_folder(path)
    raise ZooError(f"source {name!r} is neither 'synthetic', nor a labels file (.npz), nor a folder with images/ and landmarks.npz")


def _load(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    data = read_npz(path, omit=("mesh",))
    missing = [key for key in keys if key not in data]
    if missing:
        raise ZooError(f"{path} has no array {missing[0]!r}; it holds {', '.join(data) or 'nothing'}")
    names, points = data["names"], data["points"]
    if points.ndim != 3 or points.shape[2] != 2 or names.shape != points.shape[:1] or not np.issubdtype(points.dtype, np.number):
        raise ZooError(f"{path} has names of shape {names.shape} and points of shape {points.shape}; (N,) and (N, count, 2) are expected")
    return data


def _read_labels(path: Path) -> Iterator[Sample]:
    data = _load(path, ("root", "names", "points", "weights"))
    if data["points"].shape[1:] != (106, 2) or data["weights"].shape != data["points"].shape[:2]:
        shapes = f"{data['points'].shape} and weights of shape {data['weights'].shape}"
        raise ZooError(f"{path} has points of shape {shapes}; (N, 106, 2) and (N, 106) are expected")
    root = Path(str(data["root"]))
    scheme = SCHEMES["106"]
    for name, points, weights in zip(data["names"], data["points"], data["weights"], strict=True):
        points = points.astype(np.float64)
        yield Sample(root / str(name), points, weights.astype(np.float32), scheme.five_points(points), group_of(str(name)), "106", points)


def _read_folder(folder: Path) -> Iterator[Sample]:
    data = _load(folder / "landmarks.npz", ("names", "points"))
    count = data["points"].shape[1]
    if str(count) not in SCHEMES and count != 189:
        shape, possible = data["points"].shape, ", ".join(SCHEMES)
        raise ZooError(f"{folder / 'landmarks.npz'} has points of shape {shape}; schemes with {possible} points are read")
    for name, points in zip(data["names"], data["points"], strict=True):
        points = points.astype(np.float64) + _HALF_PIXEL
        if count == 189:
            full, known = from_webmorph_189(points)
            # The template's nose tip is not mapped; it lies about two thirds of the way from the eyes to the base of the nose.
            five = np.stack([points[0], points[1], (2 * full[60] + (points[0] + points[1]) / 2) / 3, full[84], full[90]])
            scheme, native = "106", full
        else:
            full, known = from_scheme(points, str(count))
            scheme, native = str(count), points
            five = SCHEMES[scheme].five_points(points)
        yield Sample(folder / "images" / str(name), full, known.astype(np.float32), five, group_of(str(name)), scheme, native)


def from_webmorph_189(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 106 points (106, 2) and which are known (106,) bool, of manual 189-point templates (189, 2)."""
    full, known = np.zeros((106, 2)), np.zeros(106, bool)
    full[list(_WEBMORPH_TO_106)] = points[list(_WEBMORPH_TO_106.values())]
    known[list(_WEBMORPH_TO_106)] = True
    return full, known


def group_of(name: str) -> str:
    """Returns the person or photograph a picture's name stands for.

    `smile_001_08.jpg` and `london_001_03.jpg` are one person; `NAME_k.jpg` is face or frame k of NAME (unless NAME is a split);
    any other name stands alone.
    """
    stem = Path(name).stem
    head, _, tail = stem.rpartition("_")
    if head.startswith(("smile_", "london_")):
        return "london_" + head.split("_")[1]
    return head if head not in _SPLITS and tail.isdigit() and len(tail) <= 3 else stem
