"""`images/` with `landmarks.npz`: anybody's own faces, in any scheme that is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import group_of, split_of_label
from training.readers.listing import PICTURES, named, names
from training.readers.mapping import COUNTS, ZERO_BASED, sample_of
from training.readers.names import picture_name, picture_path
from training.readers.npz_rows import as_text, headers, rows
from training.readers.picture import digest
from training.readers.problems import NOT_NUMBERS, UNLABELLED, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import finite
from zoo.errors import ZooError
from zoo.schemes import SCHEMES

FILE = "landmarks.npz"
_STEEP_DEG = 30.0


def read_landmarks_npz(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of a folder with `images/` and `landmarks.npz`.

    The archive holds `names` (N,) and `points` (N, count, 2) in pixels whose centres are integers from 0; `groups` (N,) and `splits` (N,)
    if the names do not say who is who (see `group_of`) and what is for testing; `yaw` (N,) in degrees, positive where the face looks to the
    picture's left, where steep faces were labelled by a head model: the far half of their contour is behind the face and is not taken.

    Raises:
      ZooError: the archive is broken or its arrays have other shapes.
    """
    path = named(root, FILE)
    extra = checked_headers(path, ("names", "points"), ("groups", "splits", "yaw"))
    count = headers(path)["points"][0][1]
    if count not in COUNTS:
        shape = headers(path)["points"][0]
        raise ZooError(f"{path} has points of shape {shape}; schemes with {', '.join(map(str, sorted(COUNTS)))} points are read")
    for name, points, *more in rows(path, ("names", "points", *extra)):
        try:
            # What is not text is told of by its number.
            name, given = as_text(name), dict(zip(extra, map(as_text, more), strict=True))
            picture_name(name)
            if not np.isfinite(yaw := float(given.get("yaw") or 0)):
                raise LabelFault(NOT_NUMBERS, f"yaw is {yaw}")
            image_points = finite(points.astype(np.float64)) + ZERO_BASED
            image_points[_far_contour(count, yaw)] = np.nan
            group = given.get("groups") or group_of(name)
            yield sample_of(picture_path((root / "images",), name), image_points, group, split=split_of_label(given.get("splits", "")))
        except LabelFault as fault:
            yield fault.of(str(name))
    yield from _unlabelled(root / "images", path)


def _far_contour(count: int, yaw_deg: float) -> list[int]:
    """Returns which points are the contour's half behind a face turned by more than `_STEEP_DEG`."""
    scheme = SCHEMES.get(str(count))
    if scheme is None or not abs(yaw_deg) > _STEEP_DEG:
        return []
    contour = list(scheme.parts["contour"].indices)
    half = len(contour) // 2
    return contour[:half] if yaw_deg > 0 else contour[-half:]


def _unlabelled(folder: Path, path: Path) -> Iterator[Problem]:
    """Yields a problem for every picture that the archive does not name."""
    if not folder.is_dir():
        return
    labelled = np.sort(np.fromiter((_key(as_text(name)) for (name,) in rows(path, ("names",))), np.uint64))
    for name in names(folder, PICTURES):
        key = np.uint64(_key(name))
        place = np.searchsorted(labelled, key)
        if place == len(labelled) or labelled[place] != key:
            yield Problem(UNLABELLED, name)


def _key(name: str) -> int:
    return digest(name.replace("\\", "/").encode("utf-8", "surrogatepass"))


def checked_headers(path: Path, needed: tuple[str, ...], possible: tuple[str, ...]) -> tuple[str, ...]:
    """Returns which of the possible arrays of one row per face an archive has, having checked those that it needs.

    Raises:
      ZooError: an array is missing, or `names` and `points` do not fit each other.
    """
    found = headers(path)
    missing = [key for key in needed if key not in found]
    if missing:
        raise ZooError(f"{path} has no array {missing[0]!r}; it holds {', '.join(found) or 'nothing'}")
    (names_shape, _), (shape, dtype) = found["names"], found["points"]
    if len(shape) != 3 or shape[2] != 2 or names_shape != shape[:1] or dtype.kind not in "iuf":
        raise ZooError(f"{path} has names of shape {names_shape} and points of shape {shape}; (N,) and (N, count, 2) are expected")
    for key, kinds in {"names": "US", "groups": "US", "splits": "US", "yaw": "biuf"}.items():
        if key not in found or (key != "names" and key not in possible) or not names_shape[0]:
            continue
        if found[key][1].kind not in kinds or found[key][0] != names_shape:
            what = "text or bytes" if kinds == "US" else "numbers"
            is_what = f"shape {found[key][0]} and type {found[key][1]}"
            raise ZooError(f"{path} has {key} of {is_what}; {what} are expected, one for each of {names_shape[0]} names")
    return tuple(key for key in possible if key in found and found[key][0][:1] == names_shape)
