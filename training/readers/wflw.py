"""WFLW: one long list of 98 points, a box and six attributes per face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.readers.groups import split_in
from training.readers.listing import PICTURES, folders, names
from training.readers.mapping import ZERO_BASED, sample_of
from training.readers.names import own_group, picture_name, picture_path
from training.readers.problems import CUT_SHORT, NOT_NUMBERS, WRONG_COUNT, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import finite, is_number, numbers, stream_lines
from zoo.errors import ZooError

ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
LIST = "list_98pt"
_POINTS, _BOX = 196, 4
_FULL, _PLAIN = _POINTS + _BOX + len(ATTRIBUTES) + 1, _POINTS + 1


def read_wflw(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of WFLW, of a folder with its lists and pictures or of one list.

    A line has 196 coordinates, a box, six attributes and the picture's name (207 fields); those of `list_98pt_test` have neither box nor
    attributes (197). Faces in one picture are one group.
    """
    if root.is_file():
        yield from _read(root, _pictures(root))
        return
    lists = [folder / name for folder in folders(root) for name in names(folder, (".txt",)) if name.lower().startswith(f"{LIST}_rect_attr")]
    if not lists:
        raise ZooError(f"{root} has no list of WFLW named {LIST}_rect_attr_*.txt")
    for path in lists:
        yield from _read(path, _pictures(path))


def _pictures(path: Path) -> Path:
    """Returns the folder of the pictures: `WFLW_images` beside the list or up to three folders above it."""
    for folder in (*path.parents[:4], *path.absolute().parents[:4]):
        if (folder / "WFLW_images").is_dir():
            return folder / "WFLW_images"
    return path.parent


def _read(path: Path, pictures: Path) -> Iterator[Sample | Problem]:
    split = split_in(path.stem.removeprefix(LIST))
    for number, line, last in stream_lines(path):
        name = f"{path.name} line {number}"
        try:
            if isinstance(line, LabelFault):
                raise line
            yield _face(_fields(line), pictures, split, last)
        except LabelFault as fault:
            yield fault.of(name)


def _fields(line: str) -> list[str]:
    """Returns the fields of a line; the picture's name, which comes last, may hold spaces."""
    fields = line.split()
    whole = len(fields) <= _PLAIN or (len(fields) == _FULL and is_number(fields[_FULL - 2]))
    if whole or not fields[-1].lower().endswith(PICTURES):
        return fields
    count = _FULL if len(fields) >= _FULL and all(map(is_number, fields[_POINTS : _FULL - 1])) else _PLAIN
    return [*fields[: count - 1], line.split(None, count - 1)[-1].strip()]


def _face(fields: list[str], pictures: Path, split: str, last: bool) -> Sample:
    if len(fields) not in (_FULL, _PLAIN):
        kind = CUT_SHORT if last and len(fields) < _FULL else WRONG_COUNT
        raise LabelFault(kind, f"{len(fields)} fields, not {_FULL} or {_PLAIN}")
    points = finite(numbers(fields[:_POINTS]).reshape(-1, 2)) + ZERO_BASED
    name, box, attributes = picture_name(fields[-1]), None, {}
    if len(fields) == _FULL:
        box = numbers(fields[_POINTS : _POINTS + _BOX]) + ZERO_BASED
        flags = fields[_POINTS + _BOX : -1]
        if any(flag not in ("0", "1") for flag in flags):
            raise LabelFault(NOT_NUMBERS, f"attributes {' '.join(flags)[:30]!r}; six of 0 or 1 are expected")
        attributes = {name: int(flag) for name, flag in zip(ATTRIBUTES, flags, strict=True)}
    return sample_of(picture_path((pictures,), name), points, own_group(name), split=split, attributes=attributes, box=box)
