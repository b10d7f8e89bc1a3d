"""JD-landmark and LaPa: a text file of 106 points per picture, in folders beside the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import photograph_of, split_of_folder
from training.readers.listing import PICTURES, folders, names, picture_of
from training.readers.mapping import ZERO_BASED, check_count, sample_of
from training.readers.problems import UNLABELLED, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import counted_points, numbers, read_lines


def read_jd(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of JD-landmark: `picture/NAME.jpg`, `landmark/NAME.jpg.txt`, and `rect` or `bbox/NAME.jpg.rect` if there."""
    yield from _read(root, "picture", "landmark")


def read_lapa(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of LaPa: `{train,val,test}/images/NAME.jpg`, `landmarks/NAME.txt`."""
    yield from _read(root, "images", "landmarks")


def _read(root: Path, pictures: str, labels: str) -> Iterator[Sample | Problem]:
    for folder in folders(root):
        if not (folder / labels).is_dir():
            continue
        split = split_of_folder(root, folder)
        for name in names(folder / labels, (".txt",)):
            stem = name.removesuffix(".txt")
            picture = folder / pictures / stem
            if not stem.lower().endswith(PICTURES):
                picture = picture_of((folder / pictures,), stem)
            try:
                points = counted_points(folder / labels / name)
                check_count(len(points), 106)
                box = _box(folder, picture.name) if pictures == "picture" else None
                yield sample_of(picture, points + ZERO_BASED, photograph_of(picture.name), split=split, box=box)
            except LabelFault as fault:
                yield fault.of(name)
        for name in names(folder / pictures, PICTURES) if (folder / pictures).is_dir() else ():
            if not any((folder / labels / f"{label}.txt").is_file() for label in (name, Path(name).stem)):
                yield Problem(UNLABELLED, name)


def _box(folder: Path, name: str) -> np.ndarray | None:
    """Returns the detector's box (4,) of a picture, or None; it is not worth a complaint, for nothing is trained on it."""
    for kind in ("rect", "bbox"):
        path = folder / kind / f"{name}.rect"
        if path.is_file():
            try:
                box = numbers(read_lines(path)[0].replace(",", " ").split())
            except LabelFault:
                return None
            return box + ZERO_BASED if box.shape == (4,) else None
    return None
