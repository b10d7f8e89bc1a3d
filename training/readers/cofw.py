"""COFW: faces behind hands, hair and glasses, with their pictures in one MATLAB file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.listing import names
from training.readers.mapping import ONE_BASED, sample_of
from training.readers.picture import within
from training.readers.problems import LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import finite
from zoo.errors import ZooError, one_line

_POINTS = 29
_KEYS = {"train": ("IsTr", "phisTr", "bboxesTr"), "test": ("IsT", "phisT", "bboxesT")}


def read_cofw(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of COFW's `.mat` files (HDF5; 29 points, 1-based, each with an occlusion flag), one file or a folder's.

    The pictures stay in the file until they are asked for. `occluded` among the attributes is the share of points behind something.
    """
    if root.is_file():
        yield from _read(root)
        return
    # The grey and the coloured files hold the same faces.
    found = [name for name in names(root, (".mat",)) if name.upper().startswith("COFW")]
    for name in found:
        if f"{Path(name).stem}_color.mat" not in found:
            yield from _read(root / name)


def _read(path: Path) -> Iterator[Sample | Problem]:
    import h5py

    try:
        with h5py.File(path, "r") as mat:
            split = next((split for split, keys in _KEYS.items() if keys[0] in mat and keys[1] in mat), None)
            if split is None:
                raise ZooError(f"{path} has neither IsTr and phisTr nor IsT and phisT; it holds {', '.join(mat) or 'nothing'}")
            pictures, phis, boxes = _KEYS[split]
            labels = _by_rows(np.asarray(mat[phis]), 3 * _POINTS, path, phis)
            count = int(np.prod(mat[pictures].shape))
            rects = _by_rows(np.asarray(mat[boxes]), 4, path, boxes) if boxes in mat else None
    except ZooError:
        raise
    except Exception as error:  # of a type of its own for every part of the file that is damaged
        raise ZooError(f"{path} is no whole HDF5 file (MATLAB 7.3): {one_line(error)}") from None
    if rects is not None and len(rects) != len(labels):
        raise ZooError(f"{path} has {len(labels)} labels and {len(rects)} boxes")
    if len(labels) != count:
        raise ZooError(f"{path} has {count} pictures and {len(labels)} labels")
    for index, label in enumerate(labels.astype(np.float64)):
        picture = within(path, pictures, index)
        try:
            points = finite(label[: 2 * _POINTS].reshape(2, _POINTS).T) + ONE_BASED
            box = None if rects is None else _corners(rects[index].astype(np.float64))
            occluded = {"occluded": float((label[2 * _POINTS :] > 0).mean())}
            yield sample_of(picture, points, f"cofw_{split}_{index}", split=split, attributes=occluded, box=box)
        except LabelFault as fault:
            yield fault.of(picture.name)


def _by_rows(array: np.ndarray, width: int, path: Path, key: str) -> np.ndarray:
    """Returns an array (faces, width); MATLAB's columns come first in HDF5."""
    if array.dtype.kind not in "iuf":
        raise ZooError(f"{path} has {key} of type {array.dtype}; numbers are expected")
    if array.ndim == 2 and array.shape[0] == width:
        return array.T
    if array.ndim == 2 and array.shape[1] == width:
        return array
    raise ZooError(f"{path} has {key} of shape {array.shape}; {width} values a face are expected")


def _corners(rect: np.ndarray) -> np.ndarray:
    """Returns x1, y1, x2, y2, edge-based, of x, y, width, height with pixels counted from 1."""
    return np.concatenate([rect[:2] + ONE_BASED, rect[:2] + ONE_BASED + rect[2:]])
