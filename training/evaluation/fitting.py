"""Fits how a file's spreads are read: sigmas by quantile regression on errors, visibilities by logistic regression on what is hidden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.evaluation.readings import HIDDEN, OCCLUDED, PLAIN, TURNED, UNKNOWN, Readings
from zoo.errors import ZooError
from zoo.schemes import SCHEMES
from zoo.uncertainty import Uncertainty, raw

ONE_SIGMA = 0.68
_MIRROR = SCHEMES["106"].mirror
# Errors below this many crop pixels are as good as none: labels are not more accurate than that.
_LEAST_ERROR_PX = 0.1
_ROUNDS, _SMOOTH, _RIDGE = 60, 0.02, 1e-3
_MOST_EXPONENT = 3.0
# A set with fewer known points than these says little of how often points lie within their sigmas.
_FEWEST_OF_SET = 3000
# Fewer known points or fewer hidden ones than these fit nothing.
_FEWEST = 200


def fit(readings: Sequence[Readings], stride_px: float) -> Uncertainty:
    """Returns the uncertainty that fits readings best.

    Sigmas: ln error is regressed on each point's typical value (the same for both of a mirrored pair), its own and the face's relative
    spread and the eye corners' distance, at the 68 % quantile; then one factor makes the sets' shares of points within their sigmas lie as
    far above 68 % as below it. Visibilities: by logistic regression on drawn occluders and on what turned faces hide themselves.

    Args:
      readings: of at least one set as photographed, from `training.evaluation.readings.read`.
      stride_px: crop pixels per cell.

    Raises:
      ZooError: there are too few known points.
    """
    plain = [one for one in readings if one.kind == PLAIN]
    with_errors = [one for one in readings if one.kind in (PLAIN, TURNED)]
    known = sum(int(np.isfinite(one.errors_px).sum()) for one in plain)
    if known < _FEWEST:
        raise ZooError(f"the sets have {known} known points; at least {_FEWEST} are needed to fit an uncertainty")
    typical = _mirrored(np.exp(np.median(np.log(np.concatenate([one.spreads_px for one in plain])), axis=0)))
    unfitted = raw(len(typical), stride_px)
    eyes_px = float(np.median(np.concatenate([one.predicted_eyes_px for one in plain])))
    start = Uncertainty(typical, np.ones_like(typical), eyes_px, 1, 0, 0, 0, 0, 1)
    offsets, slopes = _sigma_model(start, with_errors)
    sigmas = Uncertainty(typical, np.exp(offsets), eyes_px, *slopes, 0, 0, 1)
    factor = _balanced_factor(sigmas, with_errors)
    seen = _visibility_model(start, [one for one in readings if one.kind in (OCCLUDED, TURNED)])
    seen = seen or (0.0, float(np.log(1.5)), unfitted.width)
    names = tuple(dict.fromkeys(one.source for one in plain))
    return Uncertainty(typical, factor * np.exp(offsets), eyes_px, *slopes, *seen, names)


def sigmas_px(uncertainty: Uncertainty, readings: Readings) -> np.ndarray:
    """Returns sigmas (N, 106) in crop pixels."""
    r = uncertainty.relative(readings.spreads_px)
    return uncertainty.sigmas(r, r.mean(1, keepdims=True), readings.predicted_eyes_px[:, None])


def _mirrored(values: np.ndarray) -> np.ndarray:
    """Returns positive values (106,) that are the same for the two points of a mirrored pair: their geometric mean."""
    return np.sqrt(values * values[_MIRROR])


def _sigma_model(uncertainty: Uncertainty, readings: Sequence[Readings]) -> tuple[np.ndarray, list[float]]:
    """Returns each point's ln sigma (106,) at its typical spread, and `Uncertainty`'s own, face and eyes."""
    r = np.concatenate([uncertainty.relative(one.spreads_px) for one in readings])
    across = np.concatenate([np.log(one.predicted_eyes_px / uncertainty.typical_eyes_px) for one in readings])
    per_face = (r.mean(1), np.clip(across, -1, 1))
    columns = np.stack([r, *(np.broadcast_to(value[:, None], r.shape) for value in per_face)], -1)
    target = np.log(np.concatenate([one.errors_px for one in readings]) + _LEAST_ERROR_PX)
    known = np.isfinite(target)
    target = np.where(known, target, 0)
    offsets, slopes = np.full(r.shape[1], np.median(target[known])), np.zeros(3)
    for _ in range(_ROUNDS):  # quantile regression by least squares with weights of the last residuals
        residual = target - offsets - columns @ slopes
        weight = known * np.where(residual > 0, ONE_SIGMA, 1 - ONE_SIGMA) / np.maximum(np.abs(residual), _SMOOTH)
        total, count = (weight * (target - columns @ slopes)).sum(0), weight.sum(0)
        total, count = total + total[_MIRROR], count + count[_MIRROR]
        offsets = np.where(count > 0, total / np.maximum(count, 1e-9), total.sum() / count.sum())
        normal = np.einsum("nkc,nk,nkd->cd", columns, weight, columns) + _RIDGE * known.sum() * np.eye(3)
        slopes = np.linalg.solve(normal, np.einsum("nkc,nk->c", columns, weight * (target - offsets)))
        slopes = np.clip(slopes, 0, _MOST_EXPONENT)
    return offsets, slopes.tolist()


def _balanced_factor(uncertainty: Uncertainty, readings: Sequence[Readings]) -> float:
    """Returns the factor on sigmas at which the largest and the smallest share within them lie alike about 68 %, over all sets."""
    by_set: dict[tuple[str, str], list[np.ndarray]] = {}
    for one in readings:
        found = (one.errors_px / sigmas_px(uncertainty, one))[np.isfinite(one.errors_px)]
        if len(found):
            by_set.setdefault((one.source if one.kind == PLAIN else "", one.kind), []).append(found)
    sets = [np.concatenate(found) for found in by_set.values()]
    large = [found for found in sets if len(found) >= _FEWEST_OF_SET] or [np.concatenate(sets)]
    low, high = 1e-3, 1e3
    for _ in range(60):
        middle = np.sqrt(low * high)
        shares = [(found < middle).mean() for found in large]
        low, high = (middle, high) if max(shares) + min(shares) < 2 * ONE_SIGMA else (low, middle)
    return float(np.sqrt(low * high))


def _visibility_model(uncertainty: Uncertainty, readings: Sequence[Readings]) -> tuple[float, float, float] | None:
    """Returns `Uncertainty`'s seen_face, threshold and width; None where too few points are known to be hidden or spreads do not tell."""
    if not readings:
        return None
    r = np.concatenate([uncertainty.relative(one.spreads_px) for one in readings])
    hidden = np.concatenate([one.hidden for one in readings])
    columns = np.stack([np.ones_like(r), r, np.broadcast_to(r.mean(1, keepdims=True), r.shape)], -1)[hidden != UNKNOWN]
    answers = (hidden[hidden != UNKNOWN] == HIDDEN).astype(float)
    if min(answers.sum(), (1 - answers).sum()) < _FEWEST:
        return None
    beta = np.zeros(3)
    for _ in range(30):  # Newton's steps
        p = 1 / (1 + np.exp(-np.clip(columns @ beta, -30, 30)))
        normal = (columns * (p * (1 - p))[:, None]).T @ columns + np.eye(3)
        beta += np.linalg.solve(normal, columns.T @ (answers - p) - beta)
    if not beta[1] > 0.5:
        return None
    return float(np.clip(beta[2] / beta[1], -1, 0)), float(-beta[0] / beta[1]), float(1 / beta[1])


def cross_fitted(readings: Sequence[Readings], stride_px: float) -> list[tuple[Readings, Uncertainty]]:
    """Returns halves of all readings, each with the uncertainty fitted on the others' faces: no photograph or person is in both."""
    groups = sorted({group for one in readings for group in one.groups.tolist()})
    first = np.array(groups[::2])
    pairs = []
    for inverted in (False, True):
        halves = [(one.chosen(np.isin(one.groups, first, invert=inverted)), one.chosen(np.isin(one.groups, first, invert=not inverted)))
                  for one in readings]  # fmt: skip
        fitted = fit([train for train, _ in halves if len(train)], stride_px)
        pairs += [(test, fitted) for _, test in halves if len(test)]
    return pairs
