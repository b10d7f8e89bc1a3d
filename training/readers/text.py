"""Label files of text: lines one by one, points as numbers, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from training.readers.problems import CUT_SHORT, ENCODING, NOT_NUMBERS, UNREADABLE, WRONG_COUNT, LabelFault

_FARTHEST_PX = 1e7


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a small label file that are not empty.

    Raises:
      LabelFault: it cannot be read, is not UTF-8 (with or without a mark), or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelFault(UNREADABLE, error.strerror or str(error)) from None
    lines = [line for line in (line.strip() for line in _decoded(content.removeprefix(b"\xef\xbb\xbf")).splitlines()) if line]
    if not lines:
        raise LabelFault(CUT_SHORT, "it is empty")
    return lines


def _decoded(line: bytes) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise LabelFault(ENCODING) from None
    if "\0" in text:  # UTF-16 of plain letters is valid UTF-8 with a zero after each
        raise LabelFault(ENCODING)
    return text


def stream_lines(path: Path) -> Iterator[tuple[int, str | LabelFault, bool]]:
    """Yields (number from 1, line or what is wrong with it, whether it is the last) of a list that may be too large for memory.

    Empty lines are passed over. A list that cannot be read at all gives one fault.
    """
    try:
        with open(path, "rb") as file:
            waiting = None
            for number, raw in enumerate(file, 1):
                raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                if not raw.strip():
                    continue
                if waiting:
                    yield *waiting, False
                try:
                    waiting = (number, _decoded(raw).strip("\r\n"))
                except LabelFault as fault:
                    waiting = (number, fault)
            if waiting:
                yield *waiting, True
    except OSError as error:
        yield 0, LabelFault(UNREADABLE, error.strerror or str(error)), True


def numbers(fields: Sequence[str]) -> np.ndarray:
    """Returns fields as float64; a LabelFault says which is none. `nan` and `inf` are numbers here; `finite` refuses them."""
    text = "".join(fields)
    try:
        if text.isascii() and "_" not in text:  # float() takes other scripts' digits, and `1_0`
            return np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        pass
    place, field = next((place, field) for place, field in enumerate(fields) if not is_number(field))
    raise LabelFault(NOT_NUMBERS, f"value {place + 1} is {field[:20]!r}")


def is_number(field: str) -> bool:
    """Whether a field is a number in plain digits."""
    try:
        float(field)
    except ValueError:
        return False
    return field.isascii() and "_" not in field


def count_in(field: str) -> int | None:
    """Returns a count in plain digits, or None."""
    return int(field) if field.isascii() and field.isdecimal() and len(field) <= 9 else None


def finite(points: np.ndarray) -> np.ndarray:
    """Returns points (count, 2) unchanged; a LabelFault names the first that is not finite, or further out than any picture reaches."""
    if not np.abs(points).sum() < _FARTHEST_PX:
        bad = np.flatnonzero(~(np.abs(points) < _FARTHEST_PX).all(1))
        if len(bad):
            raise LabelFault(NOT_NUMBERS, f"point {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else ""))
    return points


def points_of(rows: Sequence[str], declared: int | None) -> np.ndarray:
    """Returns the points (count, 2) float64 of rows `x y`, as they stand in the file.

    Args:
      rows: a line each; a comma may stand between the numbers.
      declared: how many points the file says it has, if it says so.

    Raises:
      LabelFault: fewer or more points than declared, a row that is not two numbers, a point that is not finite.
    """
    fields = [row.replace(",", " ").split() for row in rows]
    if declared is not None and len(rows) < declared:
        raise LabelFault(CUT_SHORT, f"{len(rows)} of {declared} points")
    if declared is not None and len(rows) > declared:
        raise LabelFault(WRONG_COUNT, f"{len(rows)} points where {declared} are declared")
    for place, field in enumerate(fields):
        if len(field) != 2:
            last = place == len(fields) - 1 and len(field) == 1
            raise LabelFault(CUT_SHORT if last else WRONG_COUNT, f"point {place} has {len(field)} numbers, not 2")
    return finite(numbers([value for field in fields for value in field]).reshape(-1, 2))


def counted_points(path: Path) -> np.ndarray:
    """Returns the points (count, 2) of a file whose first line is their count (JD-landmark, LaPa), as they stand in the file."""
    lines = read_lines(path)
    count = count_in(lines[0])
    if count is None:
        raise LabelFault(WRONG_COUNT, f"the first line is {lines[0][:20]!r}; the count of points is expected")
    return points_of(lines[1:], count)
