"""How far off a point is likely to be and whether it is seen, read off the spread of its heat map.

A network is trained to spread a map where the point is occluded, and an expectation over a map that is spread is off by more: both are a
matter of degree, which differs from point to point and from file to file, and is fitted on labelled faces (`python -m training calibrate`).
With r = ln(spread / the point's typical spread), m, the mean of r over the face, and l = ln(outer eye corners' distance / its typical one),
by which a face that is turned aside is told from one that is blurred,

    sigma = the point's typical sigma * exp(own * r + face * m + eyes * l)
    visible = score / (1 + exp((r + seen_face * m - threshold) / width))
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.runtime.crop_points import CropPoints
from zoo.schemes import SCHEMES

# Of a two-dimensional Gaussian 68 % lies within this many standard deviations.
_RADIUS_68 = 1.5096
# Between the deviations of the targets of seen (0.7 cells) and of occluded points (1.6), and how sharply it is told on which side a map is.
_RAW_THRESHOLD_CELLS, _RAW_WIDTH = 1.06, 0.1
_PLACES = 4
NUMBERS = ("typical_eyes_px", "own", "face", "eyes", "seen_face", "threshold", "width")
# A map of one cell alone has no spread.
_LEAST_SPREAD = 1e-3
READING = (
    "r = ln(spread_px / typical_spread_px); m = mean of r over the points; l = ln(distance of the normaliser's points / typical_eyes_px), "
    "kept in -1..1; sigma_px = typical_sigma_px * exp(own * r + face * m + eyes * l); "
    "visible = score / (1 + exp((r + seen_face * m - threshold) / width)), 0 outside the picture; sigma: the radius within which the true "
    "point lies in 68 of 100 cases, and within twice of it in 95; in crop pixels"
)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What takes spreads to sigmas and visibilities; in crop pixels.

    Attributes:
      typical_spread_px, typical_sigma_px: (K,) float64, of each point on faces like those it was fitted on.
      typical_eyes_px: distance between the outer eye corners on such faces.
      own, face, eyes: how strongly sigma follows the point's own spread, that of the whole face, and the eye corners' distance.
      seen_face: how much of the whole face's spread is counted for a point's visibility; negative, since what blurs all hides nothing.
      threshold, width: the r at which a point is as likely hidden as seen, and how far from it that is all but certain.
      fitted_on: names of the sets; none where nothing was fitted.
    """

    typical_spread_px: np.ndarray
    typical_sigma_px: np.ndarray
    typical_eyes_px: float
    own: float
    face: float
    eyes: float
    seen_face: float
    threshold: float
    width: float
    fitted_on: tuple[str, ...] = ()

    def relative(self, spreads_px: np.ndarray) -> np.ndarray:
        """Returns r (..., K) of spreads (..., K) in crop pixels."""
        return np.log(np.maximum(spreads_px, _LEAST_SPREAD) / self.typical_spread_px)

    def sigmas(self, r: np.ndarray, mean: Any, eyes_px: Any) -> np.ndarray:
        """Returns sigmas (..., K) in crop pixels of r (..., K), and of its mean and the eye corners' distance, both (..., 1) or one."""
        across = np.clip(np.log(np.maximum(eyes_px, _LEAST_SPREAD) / self.typical_eyes_px), -1, 1)
        return self.typical_sigma_px * np.exp(self.own * r + self.face * mean + self.eyes * across)

    def read(self, found: CropPoints) -> tuple[np.ndarray, np.ndarray]:
        """Returns sigmas (K,) float64 in crop pixels and visibilities (K,) float64 in 0..1 of what was found in a crop."""
        r = self.relative(found.spreads)
        mean = r.mean()
        a, b = SCHEMES["106"].outer_eyes
        sigmas = self.sigmas(r, mean, math.dist(found.points[a], found.points[b])) if self.eyes else self.sigmas(r, mean, 1.0)
        away = np.clip((r + self.seen_face * mean - self.threshold) / self.width, -50, 50)
        return sigmas, found.scores / (1 + np.exp(away))

    def to_json(self) -> dict[str, Any]:
        """Returns the same as it stands in a file's metadata."""
        return {
            "fitted_on": list(self.fitted_on), "reading": READING,
            "typical_spread_px": np.round(self.typical_spread_px, _PLACES).tolist(),
            "typical_sigma_px": np.round(self.typical_sigma_px, _PLACES).tolist(),
            **{name: round(float(getattr(self, name)), _PLACES) for name in NUMBERS},
        }  # fmt: skip


def raw(count: int, stride_px: float) -> Uncertainty:
    """Returns what can be said of `count` points without any fit: maps are believed to be as wide as the network is unsure."""
    spread = np.full(count, _RAW_THRESHOLD_CELLS * stride_px)
    return Uncertainty(spread, _RADIUS_68 * spread, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, _RAW_WIDTH)


def from_json(value: Mapping[str, Any], count: int) -> Uncertainty:
    """Returns an uncertainty from what `to_json` gave.

    Raises:
      ZooError: it is not of `count` points, or a number is not possible.
    """
    try:
        arrays = [np.array(value[name], np.float64) for name in ("typical_spread_px", "typical_sigma_px")]
        numbers = [float(value[name]) for name in NUMBERS]
        found = Uncertainty(*arrays, *numbers, tuple(map(str, value["fitted_on"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(f"an uncertainty is not as expected: {type(error).__name__} {error}") from error
    shapes = [array.shape for array in arrays]
    if shapes != [(count,)] * 2:
        raise ZooError(f"an uncertainty is of {' and '.join(map(str, shapes))} points; {count} are expected")
    if not (
        all((array > 0).all() and np.isfinite(array).all() for array in arrays)
        and np.isfinite(numbers).all()
        and min(found.width, found.typical_eyes_px) > 0
    ):
        raise ZooError("an uncertainty holds a spread, a sigma, a distance or a width that is not above 0, or what is no number")
    return found
