"""Folders of `.pts` files beside their pictures: 300W, MERL-RAV, and anybody's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import photograph_of_300w, split_of_folder
from training.readers.listing import PICTURES, folders, names, picture_of
from training.readers.mapping import ONE_BASED, ZERO_BASED, check_count, sample_of
from training.readers.names import own_group
from training.readers.problems import CUT_SHORT, UNLABELLED, WRONG_COUNT, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import count_in, points_of, read_lines

YAWS = ("frontal", "left", "lefthalf", "right", "righthalf")
SETS_300W = ("afw", "helen", "ibug", "lfpw", "01_indoor", "02_outdoor", "300w")


def read_pts(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of a folder of `.pts` files (1-based, with or without a header) beside their pictures; each stands alone."""

    def one(points: np.ndarray, picture: Path, where: tuple[str, ...], split: str) -> Sample:
        inside = picture.relative_to(root) if picture.is_relative_to(root) else picture
        return sample_of(picture, points + ONE_BASED, own_group(inside.as_posix()), split=split)

    yield from _read(root, one)


def read_300w(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of 300W: `afw`, `helen`, `lfpw`, `ibug`, and the `01_Indoor` and `02_Outdoor` of its test (68 points, 1-based)."""

    def one(points: np.ndarray, picture: Path, where: tuple[str, ...], split: str) -> Sample:
        check_count(len(points), 68)
        subset = next((name for name in ("indoor", "outdoor") if any(name in folder for folder in where)), "")
        subset = subset or ("challenging" if "ibug" in where else "common" if split == "test" else "")
        attributes = {subset: 1} if subset else {}
        split = "test" if subset else "train" if "afw" in where else split
        return sample_of(picture, points + ONE_BASED, photograph_of_300w(where, picture.stem), split=split, attributes=attributes)

    yield from _read(root, one)


def read_merl_rav(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of MERL-RAV (68 points): negative coordinates are behind something, (-1, -1) is behind the face itself."""

    def one(points: np.ndarray, picture: Path, where: tuple[str, ...], split: str) -> Sample:
        check_count(len(points), 68)
        hidden, behind = (points == -1).all(1), (points < 0).any(1)
        image_points = np.abs(points) + ZERO_BASED
        image_points[hidden] = np.nan
        attributes = {"occluded": float((behind & ~hidden).mean()), "self-occluded": float(hidden.mean())}
        attributes |= {yaw: 1 for yaw in YAWS if yaw in where}
        head, _, tail = picture.stem.rpartition("_")  # image00070_2 is the second face of image00070
        return sample_of(picture, image_points, head if tail.isdigit() and head else picture.stem, split=split, attributes=attributes)

    yield from _read(root, one)


def _read(root: Path, one: Callable[[np.ndarray, Path, tuple[str, ...], str], Sample]) -> Iterator[Sample | Problem]:
    for folder in folders(root):
        where = tuple(part.lower() for part in (root.name, *folder.relative_to(root).parts))
        split = split_of_folder(root, folder)
        # MERL-RAV is handed out with labels in folders of their own.
        pictures = (folder, folder.parent / "images", folder.parent) if folder.name == "labels" else (folder, folder.parent / "images")
        for name in names(folder, (".pts",)):
            try:
                yield one(_points(folder / name), picture_of(pictures, name[: -len(".pts")]), where, split)
            except LabelFault as fault:
                yield fault.of(name)
        for name in names(folder, PICTURES):
            if not any((folder / f"{stem}{end}").is_file() for stem in (Path(name).stem, name) for end in (".pts", ".PTS", ".Pts")):
                yield Problem(UNLABELLED, name)


def _points(path: Path) -> np.ndarray:
    """Returns the points (count, 2) of a `.pts` file, as they stand in it; braces may stand on any line."""
    lines = read_lines(path)
    if not lines[0].lower().startswith(("version", "n_points", "{")):
        points = points_of(lines, None)
        check_count(len(points))
        return points
    header, brace, body = "\n".join(lines).partition("{")
    declared = re.search(r"^\s*n_points\s*:?\s*(\S+)", header, re.IGNORECASE | re.MULTILINE)
    count = count_in(declared[1]) if declared else None
    if count is None:
        raise LabelFault(WRONG_COUNT, "the header has no line 'n_points: COUNT'")
    if not brace:
        raise LabelFault(CUT_SHORT, f"0 of {count} points")
    rows = [row.strip() for row in body.partition("}")[0].split("\n")]
    return points_of([row for row in rows if row], count)
