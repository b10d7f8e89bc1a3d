"""What a fork waits for: a process that is forked while another thread is inside a network or OpenCV would be left with locks nobody opens.

Whatever runs an interpreter or OpenCV's threads does so within `UNFORKED`; `os.fork` then waits until nobody is inside and keeps everybody
out until it is done. What `fork` of multiprocessing starts can so use detector and landmarkers at once.
"""

from __future__ import annotations

import os
import threading
from typing import Any

_LONGEST_WAIT_S = 30.0  # a thread that stays inside for longer, such as one that waits for the forking one, holds the fork up no more


class _Gate:
    """A context that many threads may be inside of at once, again within itself, and no fork."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inside = 1 if self._depth() else 0
        self._forks = 0

    def _depth(self) -> int:
        return getattr(self._own, "depth", 0)

    def __enter__(self) -> None:
        if not self._depth():
            with self._lock:
                if self._forks:
                    self._changed.wait_for(lambda: not self._forks)
                self._inside += 1
        self._own.depth = self._depth() + 1

    def __exit__(self, *_: Any) -> None:
        self._own.depth -= 1
        if not self._own.depth:
            with self._lock:
                self._inside -= 1
                if self._forks:
                    self._changed.notify_all()

    def before_fork(self) -> None:
        """Waits until no other thread is inside, and keeps them out."""
        self._lock.acquire()
        self._forks += 1
        self._changed.wait_for(lambda: self._inside <= (1 if self._depth() else 0), _LONGEST_WAIT_S)

    def in_parent(self) -> None:
        """Lets the others in again."""
        self._forks -= 1
        self._changed.notify_all()
        self._lock.release()

    def in_child(self) -> None:
        """Begins anew: of all threads the forking one alone is left."""
        self._reset()


UNFORKED = _Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=UNFORKED.before_fork, after_in_parent=UNFORKED.in_parent, after_in_child=UNFORKED.in_child)
