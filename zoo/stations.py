"""Where the points of one scheme lie along the curves of another, and the linear maps that follow.

The schemes outline the same curves (contour, brow, bridge, lid, lip) at different stations, so a point of one is read off a smooth curve
through the points of the other. A station counts in intervals of the 68-point curve: 2.5 lies halfway between its third and fourth
point; below 0 and beyond the last one the curve goes on straight. The stations of the 106 points were measured on photographs that carry
human labels in both schemes (JD-landmark and 300-W; medians of 13 pairs made symmetric, quartiles within about 0.15, contour 0.2).

A curve is a cubic Hermite spline whose tangents are those of the parabola through three neighbours: exact for parabolas, local (at most
four points have a say in one) and linear in the points, so that a label in one scheme trains a network of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# What a labels file or a model's metadata calls the places that the 106 points have here. Before, they had those of the 68 under the
# names of the 106.
DEFINITION = "JD-landmark stations"
# At most so many points of one scheme have a say in a point of the other.
_NEIGHBOURS = 4


@dataclass(frozen=True)
class Curve:
    """A curve that the 68 and the 106 points share.

    Attributes:
      points_68: indices along the curve; they lie at the stations 0, 1, 2, ...
      stations: of the 106 points along it, by index, rising.
    """

    points_68: tuple[int, ...]
    stations: Mapping[int, float]


@dataclass(frozen=True)
class PointMap:
    """A linear map from points of one scheme to points of another.

    Attributes:
      indices: (N, 4) int, the points of the source that have a say in each of the N points of the target.
      weights: (N, 4) float64, by how much; 0 fills up where fewer have one, all 0 where the source does not know the point.
    """

    indices: np.ndarray
    weights: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Which points of the target (N,) bool the source knows."""
        return (self.weights != 0).any(1)

    @property
    def nearest(self) -> np.ndarray:
        """The point of the source (N,) int that has most say in each of the target: for what is no coordinate, as scores."""
        return self.indices[np.arange(len(self.indices)), self.weights.argmax(1)]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Returns points (..., N, C) of the target from points (..., M, C) of the source; 0 where it does not know them.

        A point that is not a number makes those not a number in which it has a say, and no others.
        """
        weights = self.weights[..., None]
        return np.where(weights != 0, np.asarray(points)[..., self.indices, :] * weights, 0).sum(-2)

    def matrix(self, count: int) -> np.ndarray:
        """Returns the map as a matrix (N, count) float64 for a source of `count` points."""
        dense = np.zeros((len(self.indices), count))
        np.add.at(dense, (np.arange(len(dense))[:, None], self.indices), self.weights)
        return dense


def hermite_weights(knots: Sequence[float], at: float) -> dict[int, float]:
    """Returns by how much each of the points at `knots` (rising, three or more) counts in the curve's point at `at`; at most four do."""
    if at <= knots[0]:
        return _line(0, at - knots[0], _tangent(knots, 0))
    if at >= knots[-1]:
        return _line(len(knots) - 1, at - knots[-1], _tangent(knots, len(knots) - 1))
    left = int(np.searchsorted(knots, at, "right")) - 1
    step = knots[left + 1] - knots[left]
    t = (at - knots[left]) / step
    total = {left: (1 + 2 * t) * (1 - t) ** 2, left + 1: t * t * (3 - 2 * t)}
    for knot, share in ((left, t * (1 - t) ** 2 * step), (left + 1, t * t * (t - 1) * step)):
        for index, slope in _tangent(knots, knot).items():
            total[index] = total.get(index, 0.0) + share * slope
    return _without_zeros(total)


def _line(knot: int, distance: float, tangent: Mapping[int, float]) -> dict[int, float]:
    return _without_zeros({index: (index == knot) + distance * slope for index, slope in tangent.items()})


def _without_zeros(weights: Mapping[int, float]) -> dict[int, float]:
    return {index: weight for index, weight in weights.items() if abs(weight) > 1e-12}


def _tangent(knots: Sequence[float], knot: int) -> dict[int, float]:
    """Returns the weights of the derivative, at one knot, of the parabola through it and its neighbours (at an end: the first three)."""
    first = min(max(knot - 1, 0), len(knots) - 3)
    trio, x = range(first, first + 3), knots[knot]
    slopes = {}
    for i in trio:
        a, b = (knots[j] for j in trio if j != i)
        slopes[i] = (2 * x - a - b) / ((knots[i] - a) * (knots[i] - b))
    return slopes


def _run(first: int, stations: Sequence[float]) -> dict[int, float]:
    return {first + i: station for i, station in enumerate(stations)}


def _curves() -> tuple[Curve, ...]:
    half = (-0.64, -0.07, 0.53, 1.07, 1.56, 2.11, 2.56, 3.04, 3.55, 4.10, 4.67, 5.19, 5.67, 6.19, 6.76, 7.35)
    contour = _run(0, (*half, 8.0, *(16 - station for station in reversed(half))))
    return (
        Curve(tuple(range(17)), contour),
        Curve(tuple(range(17, 22)), _run(33, (0.46, 1.35, 2.20, 3.05, 3.91))),
        Curve(tuple(range(22, 27)), _run(42, (0.09, 0.95, 1.80, 2.65, 3.54))),
        Curve(tuple(range(27, 31)), _run(51, (-0.10, 0.94, 1.96, 3.0))),
        Curve(tuple(range(31, 36)), _run(58, (0.12, 1.0, 2.0, 3.0, 3.88))),
        Curve((36, 37, 38, 39), _run(66, (0, 0.71, 1.5, 2.29, 3))),
        Curve((39, 40, 41, 36), {70: 0, 71: 0.69, 72: 1.5, 73: 2.31, 66: 3}),
        Curve((42, 43, 44, 45), _run(75, (0, 0.71, 1.5, 2.29, 3))),
        Curve((45, 46, 47, 42), {79: 0, 80: 0.69, 81: 1.5, 82: 2.31, 75: 3}),
        Curve(tuple(range(48, 55)), _run(84, (0, 1.03, 1.99, 3.0, 4.01, 4.97, 6))),
        Curve((*range(54, 60), 48), {90: 0, 91: 0.78, 92: 1.66, 93: 3.0, 94: 4.34, 95: 5.22, 84: 6}),
        Curve(tuple(range(60, 65)), _run(96, (0, 0.62, 2.0, 3.38, 4))),
        Curve((*range(64, 68), 60), {100: 0, 101: 0.6, 102: 2.0, 103: 3.4, 96: 4}),
    )


CURVES = _curves()


def _point_map(rows: Mapping[int, Mapping[int, float]], count: int) -> PointMap:
    """Returns the map whose target point i is the sum of source points by the weights `rows[i]`; a row that is missing is not known."""
    indices, weights = np.zeros((count, _NEIGHBOURS), int), np.zeros((count, _NEIGHBOURS))
    for target, row in rows.items():
        indices[target, : len(row)], weights[target, : len(row)] = list(row), list(row.values())
    for array in (indices, weights):
        array.flags.writeable = False
    return PointMap(indices, weights)


def _read_off(source: Sequence[int], knots: Sequence[float], targets: Mapping[int, float]) -> dict[int, dict[int, float]]:
    """Returns the rows of points at stations `targets` on the curve through points `source`, which lie at `knots`."""
    return {target: {source[i]: weight for i, weight in hermite_weights(knots, station).items()} for target, station in targets.items()}


def map_68_to_106() -> PointMap:
    """Returns the map from 68 to 106 points."""
    rows = {}
    for curve in CURVES:
        rows |= _read_off(curve.points_68, range(len(curve.points_68)), curve.stations)
    return _point_map(rows, 106)


def map_106_to_68() -> PointMap:
    """Returns the map from 106 to 68 points, which are all known."""
    rows = {}
    for curve in CURVES:
        targets = {point: float(station) for station, point in enumerate(curve.points_68)}
        rows |= _read_off(tuple(curve.stations), tuple(curve.stations.values()), targets)
    return _point_map(rows, 68)
