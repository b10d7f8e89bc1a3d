"""Keypoints in COCO's JSON: anybody's own, and the faces of COCO-WholeBody."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.readers.groups import split_in
from training.readers.json_stream import members
from training.readers.listing import folders, names
from training.readers.mapping import ZERO_BASED, sample_of
from training.readers.names import own_group, picture_name, picture_path, short
from training.readers.problems import BOX, CUT_SHORT, ENTRY, NAME, NOT_NUMBERS, VALUE, WRONG_COUNT, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import finite


def read_coco(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of a JSON file, or of all in a folder: `keypoints` (or `face_kpts`) of x, y, visibility for each point.

    A point of visibility 0 is not known. Faces in one picture are one group, unless the annotation has a `group`. A file's split is the
    word train, val, test or the like in its name. Ids may be whole numbers or text. Pictures lie beside the file, in `images/`, or in
    either beside the folder above.
    """
    found = [root] if root.is_file() else [folder / name for folder in folders(root, 2) for name in names(folder, (".json",))]
    for path in found:
        yield from _read(path)


def _read(path: Path) -> Iterator[Sample | Problem]:
    # The names of a million pictures are kept in a temporary database on disk, not in memory.
    table = sqlite3.connect("")
    table.execute("create table images (id text primary key, file blob, fault text)")
    try:
        for key, value in members(path):
            if key == "images":
                problem = _note(value, path, table)
                if problem is not None:
                    yield problem
        yield from _faces(path, table)
    except LabelFault as fault:
        if fault.kind == CUT_SHORT:  # what came before the cut is good
            yield from _faces(path, table)
        yield fault.of(path.name)
    finally:
        table.close()


def _note(entry: Any, path: Path, table: sqlite3.Connection) -> Problem | None:
    """Notes a picture's name, or why it has none, under its id; returns a problem where it has no id either."""
    key = _id(entry.get("id")) if isinstance(entry, dict) else None
    if key is None:
        what = f"id {short(entry.get('id'))}" if isinstance(entry, dict) else short(entry)
        return Problem(ENTRY, path.name, f"images: {what}")
    name, why = b"", ""
    try:
        name = os.fsencode(picture_name(entry.get("file_name")))
    except LabelFault as fault:
        why = f"file_name of image {key[:20]}: {fault.detail}"
    table.execute("insert or replace into images values (?, ?, ?)", (key, name, why))
    return None


def _id(value: Any) -> str | None:
    """Returns an id as text, the same for 7, 7.0 and "7"; None where it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value).strip().encode("utf-8", "backslashreplace").decode() or None


def _faces(path: Path, table: sqlite3.Connection) -> Iterator[Sample | Problem]:
    split, places = split_in(path.stem), _places(path)
    try:
        for key, value in members(path):
            if key != "annotations":
                continue
            name = f"{path.name} annotation {short(value.get('id')) if isinstance(value, dict) else short(value)}"
            try:
                if not isinstance(value, dict):
                    raise LabelFault(VALUE, "an object is expected")
                name, picture = _picture(value, name, table)
                yield from _face(value, name, picture, places, split)
            except LabelFault as fault:
                yield fault.of(name)
    except LabelFault:  # said by the caller
        return


def _picture(annotation: dict[str, Any], name: str, table: sqlite3.Connection) -> tuple[str, str]:
    """Returns what to call an annotation in a line, and its picture's name; a LabelFault where it names no picture."""
    key = _id(annotation.get("image_id"))
    row = None if key is None else table.execute("select file, fault from images where id = ?", (key,)).fetchone()
    if row is None:
        raise LabelFault(VALUE, f"image_id {short(annotation.get('image_id'))} is not among the images")
    if row[1]:
        raise LabelFault(NAME, row[1])
    return f"{name} of {os.fsdecode(row[0])}", os.fsdecode(row[0])


def _face(annotation: dict[str, Any], name: str, picture: str, places: tuple[Path, ...], split: str) -> Iterator[Sample | Problem]:
    """Yields the sample of an annotation, nothing where it has no labelled point; a box that is none is told of beside it."""
    points_key, box_key = ("face_kpts", "face_box") if annotation.get("face_valid") else ("keypoints", "bbox")
    if points_key not in annotation:
        return
    flat = annotation[points_key]
    if not isinstance(flat, list):
        raise LabelFault(VALUE, f"{points_key} is {short(flat)}; a list of x, y, visibility for each point is expected")
    if len(flat) % 3:
        raise LabelFault(WRONG_COUNT, f"{len(flat)} values in {points_key}, not three for each point")
    values = _numbers(flat, points_key).reshape(-1, 3)
    visible = values[:, 2] > 0
    if not visible.any():
        return
    points = values[:, :2] + ZERO_BASED
    points[~visible] = np.nan
    finite(np.where(visible[:, None], points, 0))
    group = annotation.get("group")
    if group is not None and (isinstance(group, bool) or not isinstance(group, str | int)):
        raise LabelFault(VALUE, f"group is {short(group)}; text or a whole number is expected")
    corners = None
    if annotation.get(box_key) not in (None, []):
        try:
            x, y, width, height = _numbers(annotation[box_key], box_key)
            corners = np.array([x, y, x + width, y + height])
        except (LabelFault, ValueError, TypeError):
            yield Problem(BOX, name, f"{box_key} is {short(annotation[box_key])}")
    yield sample_of(picture_path(places, picture), points, str(group or own_group(picture)), split=split, box=corners)


def _numbers(values: Any, key: str) -> np.ndarray:
    """Returns a list of numbers as float64; a LabelFault says which value is none."""
    for place, value in enumerate(values) if set(map(type, values)) - {int, float} else ():
        if type(value) not in (int, float):
            raise LabelFault(NOT_NUMBERS, f"{key}: value {place} is {short(value)}")
    try:
        return np.array(values, np.float64)
    except OverflowError:
        raise LabelFault(NOT_NUMBERS, f"{key}: a number of too many digits") from None


def _places(path: Path) -> tuple[Path, ...]:
    folders_to_try = [path.parent, path.parent / "images", path.parent.parent, path.parent.parent / "images"]
    inner = split_in(path.stem)
    folders_to_try += [place / f"{inner}2017" for place in folders_to_try] if inner else []
    return tuple(folders_to_try)
