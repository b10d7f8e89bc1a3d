"""Times of frames that start at 0 and rise, made of time stamps as they come."""

from __future__ import annotations

_BACK_FRAMES = 4  # a time stamp further back than so many frames begins another recording; one nearer is out of order
_NUDGE = 0.25  # of the time between frames


class RisingTimes:
    """Gives every frame a time of its own.

    A time stamp is taken as it is, counted from the first one. Where there is none, the time follows from the frame rate. Where time stamps
    jump back, as where recordings were joined, they go on from there with their own distances. A single one out of order, or that comes
    twice, is put right behind the frame before.

    Attributes:
      origin_s: the time stamp that is time 0 (of the first recording); 0 while there was none.
      made: how many times are not the file's own.
      joined: how often the time stamps jumped back.
    """

    def __init__(self, frames_per_s: float):
        """Begins before the first frame."""
        self.origin_s, self.made, self.joined = 0.0, 0, 0
        self._step_s = 1 / frames_per_s
        self._shift_s: float | None = None
        self._last_s: float | None = None

    def next(self, stamp_s: float | None) -> float:
        """Returns the next frame's time in seconds, from its time stamp or None."""
        following_s = 0.0 if self._last_s is None else self._last_s + self._step_s
        if stamp_s is None:
            self.made += 1
            time_s = following_s
        elif self._shift_s is None:
            time_s = following_s
            self._shift_s = time_s - stamp_s
            self.origin_s = -self._shift_s
        else:
            time_s = stamp_s + self._shift_s
            if time_s < following_s - (1 + _BACK_FRAMES) * self._step_s:
                self.joined += 1
                time_s = following_s
                self._shift_s = time_s - stamp_s
            elif time_s <= self._last_s:
                self.made += 1
                time_s = self._last_s + _NUDGE * self._step_s
        self._last_s = time_s
        return time_s
