"""The One-Euro filter: heavy smoothing while a point rests, little while it moves, so that it neither trembles nor lags.

Casiez, Roussel and Vogel, 1 Euro Filter, CHI 2012: a low-pass filter of first order whose cut-off rises with the speed. What such a filter
still lags at a steady speed is known; here it is given back for the speed that all points of a face share, which is hardly noisy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import ZooError

# Cut-off of the filter on the speed itself, in Hz; the paper's own choice.
_SPEED_CUTOFF_HZ = 1.0
# Cut-off of the filter on the speed that all points share, which trembles less than theirs.
_SHARED_CUTOFF_HZ = 10.0
# From about this speed on, in eye distances a second, a face is taken to move; at rest its points tremble at a tenth of it or less.
_SURE_SPEED = 0.2
_AS_COMPLEX = np.array([1, 1j])


@dataclass(frozen=True)
class Smoothing:
    """The filter's two parameters; what the defaults steady and cost in lag, `python -m training study video` measures.

    Attributes:
      min_cutoff_hz: cut-off of a point that rests: lower is steadier, and later to start.
      beta: Hz by which the cut-off rises for a speed of one eye distance a second: higher lags less in motion.
    """

    min_cutoff_hz: float = 1.0
    beta: float = 200.0

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
        self._points = self._given = self._speed = self._shared = np.zeros(0)

    def __call__(self, points: np.ndarray, time_s: float, unit: float) -> np.ndarray:
        """Returns the points (N, 2) smoothed; the first ones as they are.

        Args:
          points: (N, 2) of this moment.
          time_s: of this moment, later than the last.
          unit: what speeds are measured in, in the points' own unit: the eye distance, so that a face's size makes no difference.
        """
        if self._time_s is None or time_s <= self._time_s:
            self._time_s, self._points, self._given = time_s, points, points
            self._speed = self._shared = np.zeros_like(points)
            return points
        step_s = time_s - self._time_s
        # The speed is of what was given, not of the smoothed points, which lag: the paper's own implementation does so as well.
        now = (points - self._given) / step_s
        speed = self._speed + _share(_SPEED_CUTOFF_HZ, step_s) * (now - self._speed)
        shared = self._shared + _share(_SHARED_CUTOFF_HZ, step_s) * (_shared(now, points) - self._shared)
        cutoff_hz = self.smoothing.min_cutoff_hz + self.smoothing.beta * np.linalg.norm(speed, axis=1, keepdims=True) / max(unit, 1e-9)
        share = _share(cutoff_hz, step_s)
        smoothed = self._points + share * (points - self._points)
        self._time_s, self._points, self._given, self._speed, self._shared = time_s, smoothed, points, speed, shared
        moves = (shared**2).sum(1).mean() / max(unit, 1e-9) ** 2
        lag_s = step_s * (1 - share) / share  # of such a filter behind a ramp
        return smoothed + moves / (moves + _SURE_SPEED**2) * lag_s * shared


def _shared(speed: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns the speed (N, 2) of the points (N, 2) as one moving, turning and growing face: the nearest to their own by least squares."""
    z, w = points @ _AS_COMPLEX, speed @ _AS_COMPLEX
    z = z - z.sum() / len(z)
    spread = np.vdot(z, z).real
    turn_and_growth = np.vdot(z, w) / spread if spread > 0 else 0.0
    fitted = w.sum() / len(w) + turn_and_growth * z
    return np.stack([fitted.real, fitted.imag], axis=1)


def _share(cutoff_hz: float | np.ndarray, step_s: float) -> float | np.ndarray:
    """Returns how much of the new value a low-pass filter of first order takes after a step."""
    ratio = 2 * np.pi * cutoff_hz * step_s
    return ratio / (ratio + 1)
