"""Errors of landmarks, each with its normaliser in its name."""

from __future__ import annotations

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
    a, b = get_scheme(scheme).outer_eyes
    eyes = np.linalg.norm(truth[a] - truth[b])
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


def auc(errors: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Returns the area under the cumulative error distribution up to the threshold, over the threshold: 1 is perfect.

    The distribution is a staircase, so its area up to t is exactly the mean of max(0, t - error). Misses are infinite errors.
    """
    return float(np.clip(threshold - np.asarray(errors, np.float64), 0, None).mean() / threshold)


def failure_rate(errors: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Returns the share of faces whose error is the threshold or more."""
    return float((np.asarray(errors) >= threshold).mean())


def mean_interval(values: np.ndarray, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of a mean, over faces."""
    values = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(values[picks].mean(1), [2.5, 97.5])
    return float(low), float(high)
