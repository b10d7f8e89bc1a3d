"""The One-Euro filter: heavy smoothing while a point rests, little while it moves, so that it neither trembles nor lags.

Casiez, Roussel and Vogel, 1 Euro Filter, CHI 2012: a low-pass filter of first order whose cut-off rises with the speed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import ZooError

# Cut-off of the filter on the speed itself, in Hz; the paper's own choice.
_SPEED_CUTOFF_HZ = 1.0


@dataclass(frozen=True)
class Smoothing:
    """The filter's two parameters; the defaults cost about a millisecond of lag (`python -m training study video`).

    Attributes:
      min_cutoff_hz: cut-off of a point that rests: lower is steadier, and later to start.
      beta: Hz by which the cut-off rises for a speed of one eye distance a second: higher lags less in motion.
    """

    min_cutoff_hz: float = 1.0
    beta: float = 300.0

    def __post_init__(self):
        if not (self.min_cutoff_hz > 0 and np.isfinite(self.min_cutoff_hz)):
            raise ZooError(f"the smoothing's minimum cut-off must be above 0 Hz, received {self.min_cutoff_hz:g}")
        if not (self.beta >= 0 and np.isfinite(self.beta)):
            raise ZooError(f"the smoothing's beta must be 0 or more, received {self.beta:g}")


class OneEuroFilter:
    """Filters the points of one face over time; irregular times are taken as they come."""

    def __init__(self, smoothing: Smoothing):
        self.smoothing = smoothing
        self._time_s: float | None = None
        self._points = self._given = self._speed = np.zeros(0)

    def __call__(self, points: np.ndarray, time_s: float, unit: float) -> np.ndarray:
        """Returns the points (N, 2) smoothed; the first ones as they are.

        Args:
          points: (N, 2) of this moment.
          time_s: of this moment, later than the last.
          unit: what speeds are measured in, in the points' own unit: the eye distance, so that a face's size makes no difference.
        """
        if self._time_s is None or time_s <= self._time_s:
            self._time_s, self._points, self._given, self._speed = time_s, points, points, np.zeros_like(points)
            return points
        step_s = time_s - self._time_s
        # The speed is of what was given, not of the smoothed points, which lag: the paper's own implementation does so as well.
        speed = self._speed + _share(_SPEED_CUTOFF_HZ, step_s) * ((points - self._given) / step_s - self._speed)
        cutoff_hz = self.smoothing.min_cutoff_hz + self.smoothing.beta * np.linalg.norm(speed, axis=1, keepdims=True) / max(unit, 1e-9)
        smoothed = self._points + _share(cutoff_hz, step_s) * (points - self._points)
        self._time_s, self._points, self._given, self._speed = time_s, smoothed, points, speed
        return smoothed


def _share(cutoff_hz: float | np.ndarray, step_s: float) -> float | np.ndarray:
    """Returns how much of the new value a low-pass filter of first order takes after a step."""
    ratio = 2 * np.pi * cutoff_hz * step_s
    return ratio / (ratio + 1)
