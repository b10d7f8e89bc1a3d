"""Keypoints in COCO's JSON: anybody's own, and the faces of COCO-WholeBody."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.readers.groups import split_in
from training.readers.json_stream import members
from training.readers.listing import folders, names
from training.readers.mapping import ZERO_BASED, sample_of
from training.readers.problems import CUT_SHORT, NOT_NUMBERS, WRONG_COUNT, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import finite


def read_coco(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of a JSON file, or of all in a folder: `keypoints` (or `face_kpts`) of x, y, visibility for each point.

    A point of visibility 0 is not known. Faces in one picture are one group, unless the annotation has a `group`. A file's split is the
    word train, val or test in its name. Pictures lie beside the file, in `images/`, or in either beside the folder above.
    """
    found = [root] if root.is_file() else [folder / name for folder in folders(root, 2) for name in names(folder, (".json",))]
    for path in found:
        yield from _read(path)


def _read(path: Path) -> Iterator[Sample | Problem]:
    # The names of a million pictures are kept in a temporary database on disk, not in memory.
    table = sqlite3.connect("")
    table.execute("create table images (id primary key, file text)")
    try:
        for key, value in members(path):
            if key == "images" and isinstance(value, dict) and "id" in value and "file_name" in value:
                table.execute("insert or replace into images values (?, ?)", (value["id"], str(value["file_name"])))
        yield from _faces(path, table)
    except LabelFault as fault:
        if fault.kind == CUT_SHORT:  # what came before the cut is good
            yield from _faces(path, table)
        yield fault.of(path.name)
    finally:
        table.close()


def _faces(path: Path, table: sqlite3.Connection) -> Iterator[Sample | Problem]:
    split, places = split_in(path.stem), _places(path)
    try:
        for key, value in members(path):
            if key != "annotations" or not isinstance(value, dict):
                continue
            row = table.execute("select file from images where id = ?", (value.get("image_id"),)).fetchone()
            name = row[0] if row else f"annotation {value.get('id')}"
            try:
                if row is None:
                    raise LabelFault(WRONG_COUNT, f"image_id {value.get('image_id')!r} is not among the images")
                sample = _face(value, name, places, split)
                if sample is not None:
                    yield sample
            except LabelFault as fault:
                yield fault.of(name)
    except LabelFault:  # said by the caller
        return


def _face(annotation: dict[str, Any], name: str, places: list[Path], split: str) -> Sample | None:
    """Returns the sample of an annotation, or None where it has no labelled point."""
    flat = annotation.get("face_kpts") if annotation.get("face_valid") else annotation.get("keypoints")
    if not flat:
        return None
    if not isinstance(flat, list) or len(flat) % 3:
        raise LabelFault(WRONG_COUNT, f"{len(flat)} keypoint values, not three for each point")
    try:
        values = np.array(flat, np.float64).reshape(-1, 3)
    except (ValueError, TypeError):
        raise LabelFault(NOT_NUMBERS) from None
    visible = values[:, 2] > 0
    if not visible.any():
        return None
    points = finite(values[:, :2]) + ZERO_BASED
    points[~visible] = np.nan
    box = annotation.get("face_box") if annotation.get("face_valid") else annotation.get("bbox")
    corners = None
    if isinstance(box, list) and len(box) == 4:
        x, y, width, height = map(float, box)
        corners = np.array([x, y, x + width, y + height])
    folder = next((place for place in places if (place / name).is_file()), places[0])
    return sample_of(folder / name, points, str(annotation.get("group") or Path(name).stem), split=split, box=corners)


def _places(path: Path) -> list[Path]:
    folders_to_try = [path.parent, path.parent / "images", path.parent.parent, path.parent.parent / "images"]
    inner = split_in(path.stem)
    folders_to_try += [place / f"{inner}2017" for place in folders_to_try] if inner else []
    return folders_to_try
