"""JD-landmark and LaPa: a text file of 106 points per picture, in folders beside the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import photograph_of, split_of_folder
from training.readers.listing import PICTURES, folders, inner_folders, names, picture_of
from training.readers.mapping import ZERO_BASED, check_count, sample_of
from training.readers.problems import UNLABELLED, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import counted_points, numbers, read_lines

_JD = (("picture", "pictures", "image", "images"), ("landmark", "landmarks"))
_LAPA = (("images",), ("landmarks",))


def read_jd(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of JD-landmark: `picture/NAME.jpg`, `landmark/NAME.jpg.txt`, and `rect` or `bbox/NAME.jpg.rect` if there.

    The folders' names may be plural, and of any case.
    """
    yield from _read(root, *_JD)


def read_lapa(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of LaPa: `{train,val,test}/images/NAME.jpg`, `landmarks/NAME.txt`."""
    yield from _read(root, *_LAPA)


def _read(root: Path, pictures: tuple[str, ...], labels: tuple[str, ...]) -> Iterator[Sample | Problem]:
    for folder in folders(root):
        inner = inner_folders(folder)
        places, listed = [inner[name] for name in pictures if name in inner], [inner[name] for name in labels if name in inner]
        split = split_of_folder(root, folder)
        places = places or [folder / pictures[0]]
        for where in listed:
            for name in names(where, (".txt",)):
                stem = name[: -len(".txt")]
                picture = picture_of(tuple(places), stem)
                try:
                    points = counted_points(where / name)
                    check_count(len(points), 106)
                    box = _box(folder, picture.name) if pictures is _JD[0] else None
                    yield sample_of(picture, points + ZERO_BASED, photograph_of(picture.name), split=split, box=box)
                except LabelFault as fault:
                    yield fault.of(name)
        for place in places if listed else ():
            for name in names(place, PICTURES) if place.is_dir() else ():
                stems = (name, Path(name).stem)
                if not any((where / f"{stem}{end}").is_file() for where in listed for stem in stems for end in (".txt", ".TXT")):
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
            return box + ZERO_BASED if box.shape == (4,) and np.isfinite(box).all() else None
    return None
