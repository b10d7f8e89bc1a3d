"""What can be wrong with a source, each kind counted with the first files it was found in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of a label: the face is left out.
ENCODING = "label file is not UTF-8 text"
CUT_SHORT = "label file is cut short"
UNREADABLE = "label file cannot be read"
WRONG_COUNT = "wrong count of points"
NOT_NUMBERS = "points that are not numbers"
VALUE = "value of another kind than is expected"
NAME = "name that no picture can have"
SPLIT = "word that is no split (train, val, test and their like are)"
HIDDEN = "no eye, nose tip or mouth corner to align by"
# Of a picture: the face is left out.
MISSING = "missing picture"
BROKEN = "broken picture"
NORMALISED = "coordinates look normalised to 0..1 (pixels are expected: multiply by width and height)"
MOSTLY_OUTSIDE = "most points outside the picture"
NO_FACE = "points do not lie like a face (order, axes or units differ)"
TURNED = "label made before the picture was turned by its EXIF tag"
# Worth knowing: the face stays.
UNLABELLED = "picture without a label"
OUTSIDE = "some points outside the picture"
CONFLICT = "same picture listed twice with different labels of one face"
REPEATED = "same picture listed twice with the same label"
SAME_CONTENT = "same picture under two names"
CONVENTION = "coordinates in another convention"
ENTRY = "entry of a picture that cannot be used"
BOX = "box that is not four numbers"

REMARKS = frozenset({UNLABELLED, OUTSIDE, CONFLICT, REPEATED, SAME_CONTENT, CONVENTION, ENTRY, BOX})
_SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """One thing wrong: its kind, the file's name, and what exactly, in a few words."""

    kind: str
    name: str
    detail: str = ""


class LabelFault(Exception):
    """A label that cannot be used: its kind (of the constants above) and what exactly was found."""

    def __init__(self, kind: str, detail: str = ""):
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail

    def of(self, name: str) -> Problem:
        """Returns the problem of the file `name`."""
        return Problem(self.kind, name, self.detail)


class Problems:
    """Counts problems by kind and keeps the first three of each, so that a million of them take no memory."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[Problem]] = {}

    def add(self, problem: Problem) -> None:
        """Notes a problem."""
        self._counts[problem.kind] = self._counts.get(problem.kind, 0) + 1
        first = self._first.setdefault(problem.kind, [])
        if len(first) < _SHOWN:
            first.append(problem)

    @property
    def left_out(self) -> int:
        """How many faces cannot be used."""
        return sum(count for kind, count in self._counts.items() if kind not in REMARKS)

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each kind was found."""
        return dict(self._counts)

    def lines(self) -> list[str]:
        """Returns one line per kind: what is wrong, the first three files, how many there are."""
        lines = []
        for kind, count in self._counts.items():
            shown = ", ".join(f"{p.name} ({p.detail})" if p.detail else p.name for p in self._first[kind])
            shown = " ".join(shown.encode("utf-8", "backslashreplace").decode().split())
            lines.append(f"{kind}: {shown}" + (f" and {count - _SHOWN} more ({count} in all)" if count > _SHOWN else ""))
        return lines

    def to_json(self) -> list[dict[str, Any]]:
        """Returns the tally as JSON-ready values."""
        return [
            {
                "problem": kind, "count": count, "left out": kind not in REMARKS,
                "first": [{"file": p.name, "detail": p.detail} for p in self._first[kind]],
            }
            for kind, count in self._counts.items()
        ]  # fmt: skip
