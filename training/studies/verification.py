"""How well scores tell genuine pairs from impostors: ten-fold accuracy, TAR at a FAR, AUC, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

FARS = (1e-2, 1e-3)
DRAWS = 500


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `draws` are the bootstrap's, by which two estimates on the same pairs are compared."""

    value: float
    low: float
    high: float
    draws: np.ndarray

    def less(self, other: Estimate) -> Estimate:
        """Returns this less another, paired by draw."""
        change = self.draws - other.draws
        return _estimate(self.value - other.value, change)

    @property
    def distinct(self) -> bool:
        """Whether the interval leaves out zero."""
        return not self.low <= 0 <= self.high


def tenfold_correct(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Returns which pairs (P,) bool are decided rightly, each by the threshold that is best on the other folds (LFW's protocol).

    With one fold alone the threshold is found on the fold itself.
    """
    correct = np.zeros(len(scores), bool)
    for fold in np.unique(folds):
        inside = folds == fold
        others = ~inside if not inside.all() else inside
        correct[inside] = (scores[inside] >= best_threshold(scores[others], same[others])) == same[inside]
    return correct


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """Returns the threshold at which most pairs are decided rightly; in the middle of the gap that does it."""
    order = np.argsort(scores)
    ranked, genuine = scores[order], same[order]
    # With the threshold above the first k: k rightly refused impostors, and genuine pairs from k on.
    right = np.concatenate([[0], np.cumsum(~genuine)]) + genuine.sum() - np.concatenate([[0], np.cumsum(genuine)])
    best = int(np.argmax(right))
    if best == 0:
        return float(ranked[0])
    return float(ranked[-1] + 1e-9 if best == len(ranked) else (ranked[best - 1] + ranked[best]) / 2)


def tar_at_far(scores: np.ndarray, same: np.ndarray, far: float, weights: np.ndarray | None = None) -> float:
    """Returns the share of genuine pairs above the lowest threshold that at most a share `far` of the impostors reaches.

    Args:
      scores, same: (P,).
      weights: (P,) how often each pair counts; once each if None.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    impostors, genuine = ~same, same
    order = np.argsort(-scores[impostors], kind="stable")
    passed = np.cumsum(weights[impostors][order])
    allowed = far * passed[-1] + 1e-9
    first_refused = int(np.searchsorted(passed, allowed, "right"))
    threshold = scores[impostors][order][first_refused] if first_refused < len(order) else -np.inf
    total = weights[genuine].sum()
    return float(weights[genuine][scores[genuine] > threshold].sum() / total) if total else float("nan")


def auc(scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Returns the chance that a genuine pair scores above an impostor, ties by half: the area under the ROC curve (Hanley, McNeil 1982)."""
    weights = np.ones(len(scores)) if weights is None else weights
    values, place = np.unique(scores, return_inverse=True)
    genuine = np.bincount(place, weights * same, len(values))
    impostors = np.bincount(place, weights * ~same, len(values))
    below = np.cumsum(impostors) - impostors / 2
    return float((genuine * below).sum() / max(genuine.sum() * impostors.sum(), 1e-12))


def roc(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (FAR, TAR) at every threshold between two impostors, rising."""
    impostors = np.sort(scores[~same])[::-1]
    genuine = np.sort(scores[same])
    return np.arange(len(impostors)) / len(impostors), 1 - np.searchsorted(genuine, impostors, "right") / len(genuine)


def draw_weights(indices: np.ndarray, persons: np.ndarray | None, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Returns how often each pair counts in each draw (draws, P).

    Persons are drawn with replacement, and a pair counts as often as both its persons (once for a genuine pair) were drawn together: pairs
    that share a person are no independent witnesses (the subsets bootstrap of Bolle, Ratha and Pankanti 2004). Where nobody says who is
    who, pairs are drawn.

    Args:
      indices: (P, 2) pictures of each pair.
      persons: (pictures,) int, or None.
    """
    rng = np.random.default_rng(seed)
    if persons is None:
        return rng.multinomial(len(indices), np.full(len(indices), 1 / len(indices)), draws).astype(np.float64)
    first, second = persons[indices].T
    used = np.unique(persons[indices])
    counts = np.zeros((draws, persons.max() + 1))
    counts[:, used] = rng.multinomial(len(used), np.full(len(used), 1 / len(used)), draws)
    return counts[:, first] * np.where(first == second, 1.0, counts[:, second])


def estimates(scores: np.ndarray, same: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> dict[str, Estimate]:
    """Returns accuracy, TAR at each of `FARS`, and AUC, with intervals.

    Args:
      scores, same, folds: (P,).
      weights: (draws, P) of `draw_weights`; the same for every way to align, so that differences are paired.
    """
    correct = tenfold_correct(scores, same, folds)
    figures: dict[str, Callable[[np.ndarray | None], float]] = {
        "accuracy": lambda w: float(np.average(correct, weights=w)),
        **{f"TAR@FAR {far:g}": (lambda w, far=far: tar_at_far(scores, same, far, w)) for far in FARS},
        "AUC": lambda w: auc(scores, same, w),
    }
    return {name: _estimate(of(None), np.array([of(w) for w in weights])) for name, of in figures.items()}


def _estimate(value: float, draws: Sequence[float] | np.ndarray) -> Estimate:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(value, float(low), float(high), np.asarray(draws))
