"""What the page remembers of one visitor between two runs: bounded, and let go of when the visitor's picture goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from demo.compare import ModelFile

KEPT_CALLS = 200  # of each file and setting
Value = TypeVar("Value")


class Memory:
    """Slots that each hold one thing, and the last times of every file."""

    def __init__(self) -> None:
        self._slots: dict[str, tuple[Any, Any]] = {}
        self._times: dict[tuple, deque[float]] = {}

    def keep(self, slot: str, key: Any, make: Callable[[], Value]) -> Value:
        """Returns what the slot holds for `key`; when the key changes it is made anew, and what was held before is let go of first."""
        if slot not in self._slots or self._slots[slot][0] != key:
            self.forget(slot)
            self._slots[slot] = (key, make())
        return self._slots[slot][1]

    def forget(self, *slots: str) -> None:
        """Lets go of what the slots hold."""
        for slot in slots:
            self._slots.pop(slot, None)

    def times_ms(self, file: ModelFile, *settings: Any) -> deque[float]:
        """Returns the last times of a file under these settings, to be read and added to."""
        return self._times.setdefault((file, *settings), deque(maxlen=KEPT_CALLS))
