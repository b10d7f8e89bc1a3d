"""The one exception that means "the user can put this right"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(ValueError):
    """A fault in what was given: the message is one line that says what was received and what is possible."""


def one_line(error: BaseException) -> str:
    """Returns what an exception of another library says, on one line: the system's own words where it has them, else its type's name."""
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


def unknown(kind: str, received: str, possible: Iterable[str]) -> ZooError:
    """Returns the error for a name that is not among `possible`, with the nearest name suggested."""
    names = list(possible)
    near = difflib.get_close_matches(received, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) if names else "none"
    return ZooError(f"unknown {kind} {received!r}{hint} Possible: {listed}" if hint else f"unknown {kind} {received!r}. Possible: {listed}")
