"""A table of comma-separated values: one face a row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import split_of_label
from training.readers.listing import named
from training.readers.mapping import ZERO_BASED, check_count, sample_of
from training.readers.names import own_group, picture_name, picture_path
from training.readers.problems import CUT_SHORT, UNREADABLE, WRONG_COUNT, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import finite, numbers, stream_lines
from zoo.errors import ZooError, one_line

FILE = "landmarks.csv"
_COORDINATE = re.compile(r"([xy])_?([0-9]{1,4})")
_PICTURE = ("file", "name", "image", "path")


def read_csv(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of a table (`landmarks.csv` where a folder is given).

    The first row names the columns: `file`; `x0,y0,x1,y1,...` or `x_0,y_0,...` in pixels whose centres are integers from 0; and, if
    wanted, `group` (the person or photograph; else each picture is its own) and `split` (train, val, test or the like). Commas, semicolons
    or tabs divide them. An empty pair of cells is a point that is not known. Pictures lie beside the table or in `images/` beside it.

    Raises:
      ZooError: the first row lacks a column, or the coordinates' numbers have gaps.
    """
    path = named(root, FILE) if root.is_dir() else root
    rows = stream_lines(path)
    _, header, _ = next(rows, (0, LabelFault(CUT_SHORT, "it is empty"), True))
    if isinstance(header, LabelFault):
        raise ZooError(f"{path}: {header.kind}{f' ({header.detail})' if header.detail else ''}")
    divider = max(",;\t", key=header.count)
    try:
        columns = {name.strip().lower(): place for place, name in enumerate(_cells(header, divider))}
    except LabelFault as fault:
        raise ZooError(f"{path}: {fault.kind} ({fault.detail})") from None
    picture = next((columns[name] for name in _PICTURE if name in columns), None)
    if picture is None:
        raise ZooError(f"{path} has no column {_PICTURE[0]!r}; the first row must name the columns: file,x0,y0,x1,y1,...")
    x, y = (_coordinates(columns, axis, path) for axis in "xy")
    if len(x) != len(y):
        raise ZooError(f"{path} has {len(x)} columns of x and {len(y)} of y")
    for number, row, last in rows:
        name = f"{path.name} row {number}"
        try:
            if isinstance(row, LabelFault):
                raise row
            cells = _cells(row, divider)
            if len(cells) != len(columns):
                kind = CUT_SHORT if last and len(cells) < len(columns) else WRONG_COUNT
                raise LabelFault(kind, f"{len(cells)} cells, not {len(columns)}")
            given = picture_name(cells[picture])
            name = f"{name}, {given}"
            points = _points(cells, x, y)
            group = cells[columns["group"]] if "group" in columns else ""
            split = split_of_label(cells[columns["split"]]) if "split" in columns else ""
            where = picture_path((path.parent, path.parent / "images"), given)
            yield sample_of(where, points, group or own_group(given), split=split)
        except LabelFault as fault:
            yield fault.of(name)


def _cells(row: str, divider: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([row], delimiter=divider), [])]
    except csv.Error as error:
        raise LabelFault(UNREADABLE, one_line(error)) from None


def _coordinates(columns: dict[str, int], axis: str, path: Path) -> list[int]:
    """Returns the columns of x or of y in the order of their points."""
    found = {int(match[2]): place for name, place in columns.items() if (match := _COORDINATE.fullmatch(name)) and match[1] == axis}
    if sorted(found) != list(range(len(found))):
        missing = min(set(range(len(found))) - set(found))
        raise ZooError(f"{path} has no column {axis}{missing}; points are numbered from 0 without gaps")
    try:
        check_count(len(found))
    except LabelFault as fault:
        raise ZooError(f"{path} has columns for {fault.detail}") from None
    return [found[i] for i in range(len(found))]


def _points(cells: list[str], x: list[int], y: list[int]) -> np.ndarray:
    """Returns the points (count, 2) of a row, edge-based, not a number where both cells are empty."""
    pairs = [(cells[i], cells[j]) for i, j in zip(x, y, strict=True)]
    known = [i for i, pair in enumerate(pairs) if any(pair)]
    points = np.full((len(pairs), 2), np.nan)
    points[known] = finite(numbers([value for i in known for value in pairs[i]]).reshape(-1, 2)) + ZERO_BASED
    return points
