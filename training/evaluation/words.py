"""Numbers in words, as the pages of studies and tables say them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.evaluation.metrics import Difference


def change_columns(difference: Difference | None, name: str = "core12") -> dict[str, Any]:
    """Returns a paired difference as columns of a table, in points of per cent."""
    if difference is None:
        return {f"{name} change": None, "change 95 %": None}
    return {
        f"{name} change": round(100 * difference.mean, 3) + 0.0,
        "change 95 %": interval(difference.low, difference.high, 3),
    }


def signed(share: float, places: int = 2) -> str:
    """Returns a share in per cent with its sign, as in `+0.12`; what rounds to nothing is `+0.00`."""
    return f"{round(100 * share, places) + 0.0:+.{places}f}"


def interval(low: float, high: float, places: int = 2) -> str:
    """Returns the ends of a change's interval, as in `+0.03..+0.21`."""
    return f"{signed(low, places)}..{signed(high, places)}"


def says(difference: Difference) -> str:
    """Returns a paired difference in words, as in `+0.12 points (95 % +0.03..+0.21)`."""
    return in_points(difference.mean, difference.low, difference.high)


def in_points(value: float, low: float, high: float, places: int = 2) -> str:
    """Returns a change of a share and its interval in words; see `says`."""
    return f"{signed(value, places)} points (95 % {interval(low, high, places)})"


def compared(value: float, reference: float, less: str = "fewer") -> str:
    """Returns how a cost compares with another, as in `12 % fewer` or `3 % more`."""
    change = round(100 * (value / reference - 1))
    return f"{abs(change)} % {'more' if change > 0 else less}"


def listed(words: Sequence[str]) -> str:
    """Returns words as an English list: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
