"""Errors of landmarks, each with its normaliser in its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.errors import ZooError
from zoo.schemes import get_scheme

THRESHOLD = 0.08


def point_errors(points: np.ndarray, truth: np.ndarray, scheme: str = "106") -> np.ndarray:
    """Returns the distance of each point (N,) as a share of the distance between the true outer eye corners.

    Args:
      points, truth: (N, 2) of `scheme`, in one frame.

    Raises:
      ZooError: the true eye corners coincide.
    """
    truth = np.asarray(truth, np.float64)
    distances = np.linalg.norm(np.asarray(points, np.float64) - truth, axis=-1)
    eyes = get_scheme(scheme).eye_distance(truth)
    if not eyes > 0:
        raise ZooError("the true outer eye corners coincide: nothing to normalise the error by")
    return distances / eyes


def interocular_nme(points: np.ndarray, truth: np.ndarray, scheme: str = "106") -> float:
    """Returns the mean error over all points, as a share of the distance between the true outer eye corners."""
    return float(point_errors(points, truth, scheme).mean())


def core12(points: np.ndarray, truth: np.ndarray, scheme: str = "106") -> float:
    """Returns the inter-ocular NME over the twelve spots that every scheme has."""
    return float(point_errors(points, truth, scheme)[list(get_scheme(scheme).core12)].mean())


def box_nme(points: np.ndarray, truth: np.ndarray) -> float:
    """Returns the mean error over the square root of the area of the box round the true points: the JD-landmark metric."""
    truth = np.asarray(truth, np.float64)
    side = np.sqrt(np.prod(np.ptp(truth, axis=0)))
    if not side > 0:
        raise ZooError("the true points span no box: nothing to normalise the error by")
    return float(np.linalg.norm(np.asarray(points, np.float64) - truth, axis=-1).mean() / side)


def pupil_nme(points: np.ndarray, truth: np.ndarray, scheme: str = "106", known: np.ndarray | None = None) -> float:
    """Returns the mean error as a share of the distance between the true eyes' centres, which stand for the pupils.

    An eye's centre is the mean of its eyelid points, which every scheme has and gaze does not move.

    Args:
      points, truth: (N, 2) of `scheme`, in one frame.
      known: (N,) bool, the points to measure and to take the centres from; all by default.

    Raises:
      ZooError: the true eyes coincide, or one of them has no known point.
    """
    truth = np.asarray(truth, np.float64)
    known = np.ones(len(truth), bool) if known is None else np.asarray(known, bool)
    eyes = [truth[list(eye)][known[list(eye)]] for eye in get_scheme(scheme).eyes]
    distance = np.linalg.norm(eyes[0].mean(0) - eyes[1].mean(0)) if all(map(len, eyes)) else 0.0
    if not distance > 0:
        raise ZooError("the true eyes coincide or are unknown: nothing to normalise the error by")
    return float(np.linalg.norm(np.asarray(points, np.float64) - truth, axis=-1)[known].mean() / distance)


def cumulative(errors: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Returns the share of faces whose error is at most each of the values `at`: a cumulative error curve.

    Misses are infinite errors, so that the curve ends at the share of faces found.
    """
    errors = np.sort(np.asarray(errors, np.float64))
    return np.searchsorted(errors, np.asarray(at, np.float64), "right") / len(errors)


def auc(errors: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Returns the area under the cumulative error distribution up to the threshold, over the threshold: 1 is perfect.

    The distribution is a staircase, so its area up to t is exactly the mean of max(0, t - error). Misses are infinite errors.
    """
    return float(np.clip(threshold - np.asarray(errors, np.float64), 0, None).mean() / threshold)


def failure_rate(errors: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Returns the share of faces whose error is the threshold or more."""
    return float((np.asarray(errors) >= threshold).mean())


def mean_interval(values: np.ndarray, draws: int = 1000, seed: int = 0, groups: Sequence[str] | None = None) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of a mean, over faces (percentiles; Efron 1979).

    Args:
      values: (N,) one for each face.
      draws: how often the faces are drawn anew, with replacement.
      groups: (N,) the photograph or person a face is of. Groups are then drawn whole: faces of one photograph are no independent
        witnesses. By default each face is a group.
    """
    values = np.asarray(values, np.float64)
    group = np.arange(len(values)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, counts = np.bincount(group, values), np.bincount(group)
    picks = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    low, high = np.percentile(sums[picks].sum(1) / counts[picks].sum(1), [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """How much larger one model's mean error is than another's on the same faces, with its 95 % interval.

    Attributes:
      mean: below 0, the model is better than the reference.
      low, high: of the interval.
      faces: on how many faces both have an error.
      better: share of these faces on which the model's error is the smaller.
    """

    mean: float
    low: float
    high: float
    faces: int
    better: float

    @property
    def distinct(self) -> bool:
        """Whether the interval leaves out zero."""
        return not self.low <= 0 <= self.high


def paired_difference(
    errors: np.ndarray, reference: np.ndarray, groups: Sequence[str] | None = None, draws: int = 1000, seed: int = 0
) -> Difference | None:
    """Returns the mean of errors (N,) less those of a reference (N,) on the same faces; None if no face has both.

    Faces that either of the two missed (an infinite error) are left out: count them apart. Pairing takes away what makes a face hard
    for everybody, so that the interval is much narrower than those of the two means.

    Args:
      groups, draws, seed: as for `mean_interval`.
    """
    errors, reference = np.asarray(errors, np.float64), np.asarray(reference, np.float64)
    both = np.isfinite(errors) & np.isfinite(reference)
    if not both.any():
        return None
    change = errors[both] - reference[both]
    low, high = mean_interval(change, draws, seed, None if groups is None else np.asarray(groups)[both])
    return Difference(float(change.mean()), low, high, int(both.sum()), float((change < 0).mean()))
