"""From points of any scheme to a sample: which of the 106 points they give, and the five that align the face."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from training.readers.groups import clean_group
from training.readers.problems import HIDDEN, WRONG_COUNT, LabelFault
from training.readers.sample import Sample
from zoo.schemes import SCHEMES, from_scheme

# What is added to coordinates as sets write them to make them edge-based: pixel centres on integers from 0, or from 1.
ZERO_BASED, ONE_BASED = 0.5, -0.5

# The manual 189-point template of the Face Research Lab sets: those of the 68 points that it marks at the same spot, and the pupils.
_WEBMORPH_TO_68 = {
    36: 18, 39: 22, 42: 23, 45: 27, 48: 87, **{49 + i: 88 + i for i in range(5)}, 54: 93, **{55 + i: 108 - i for i in range(5)},
    8: 129, 33: 55,
}  # fmt: skip
_PUPILS_189 = {104: 0, 105: 1, 74: 0, 83: 1}
# COFW's 29 points (Burgos-Artizzu et al., ICCV 2013) at those of the 106 whose meaning is the same: eye corners, middles of the lids,
# pupils, nose tip and base, mouth corners, middles of the lips, chin. Its brows (four points each) and its sides of the nose have no
# certain partner.
_COFW_TO_106 = {
    66: 8, 70: 10, 75: 11, 79: 9, 68: 12, 72: 13, 77: 14, 81: 15, 104: 16, 105: 17, 74: 16, 83: 17, 54: 20, 60: 21, 84: 22, 90: 23,
    87: 24, 98: 25, 102: 26, 93: 27, 16: 28,
}  # fmt: skip
_COFW_EYES = ((8, 10, 12, 13), (9, 11, 14, 15))
# Face Synthetics adds the pupils to the 68, and projects the outline of the head model: on a turned face it is not the outline seen.
_PUPILS_70 = {104: 68, 105: 69, 74: 68, 83: 69}
_SEEN_OUTLINE = [i for i in range(33) if i != 16]

# The attribute that says how many points a set has, where a sample's native points are fewer or others.
POINTS = "points"
COUNTS = (106, 98, 68, 70, 29, 189)


def to_106(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 106 points (106, 2) float64 and which are known (106,) bool, of points (count, 2) with a count of `COUNTS`.

    A point that is not a number is not known, nor is what is made of it. What is not known is 0.
    """
    count = len(points)
    if count == 29:
        full, known = _picked(points, _COFW_TO_106)
    elif count == 189:
        full, known = _with_pupils(_webmorph_68(points), points, _PUPILS_189)
    elif count == 70:
        full, known = _with_pupils(points[:68], points, _PUPILS_70)
        known[_SEEN_OUTLINE] = False
    else:
        full, known = from_scheme(points, str(count))
    known = known & np.isfinite(full).all(1)
    full[~known] = 0
    return full, known


def _picked(points: np.ndarray, places: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    full, known = np.zeros((106, 2)), np.zeros(106, bool)
    full[list(places)], known[list(places)] = points[list(places.values())], True
    return full, known


def _webmorph_68(points: np.ndarray) -> np.ndarray:
    """Returns the 68 points of a template (189, 2), not a number where it has none."""
    found = np.full((68, 2), np.nan)
    found[list(_WEBMORPH_TO_68)] = points[list(_WEBMORPH_TO_68.values())]
    return found


def _with_pupils(points_68: np.ndarray, points: np.ndarray, pupils: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    full, known = from_scheme(points_68, "68")
    picked, there = _picked(points, pupils)
    full[there], known[there] = picked[there], True
    return full, known


def five_of(points: np.ndarray) -> np.ndarray:
    """Returns the five naive points (5, 2) of points (count, 2) with a count of `COUNTS`, in the same frame.

    An eye is the mean of those of its points that are known.

    Raises:
      LabelFault: an eye, the nose tip or a mouth corner is not known.
    """
    count = len(points)
    if count == 189:
        # The template's nose tip is not mapped; it lies about two thirds of the way from the eyes to the base of the nose.
        five = np.stack([points[0], points[1], (2 * points[55] + (points[0] + points[1]) / 2) / 3, points[87], points[93]])
    elif count == 29:
        five = np.stack([*(_mean(points[list(eye)]) for eye in _COFW_EYES), points[20], points[22], points[23]])
    else:
        scheme = SCHEMES["68" if count == 70 else str(count)]
        eyes = (_mean(points[list(eye)]) for eye in scheme.eyes)
        five = np.stack([*eyes, points[scheme.nose_tip], *(points[i] for i in scheme.mouth_corners)])
    if not np.isfinite(five).all():
        missing = ("left eye", "right eye", "nose tip", "left mouth corner", "right mouth corner")
        raise LabelFault(HIDDEN, " and ".join(missing[i] for i in np.flatnonzero(~np.isfinite(five).all(1))))
    return five


def _mean(points: np.ndarray) -> np.ndarray:
    total = points.sum(0)
    if math.isfinite(total[0] + total[1]):
        return total / len(points)
    known = points[np.isfinite(points).all(1)]
    return known.mean(0) if len(known) else np.full(2, np.nan)


def check_count(count: int, expected: int | None = None) -> None:
    """Raises a LabelFault unless a label has the expected count of points, or any that is read."""
    if count != expected and (expected is not None or count not in COUNTS):
        raise LabelFault(WRONG_COUNT, f"{count} points; {expected or ', '.join(map(str, sorted(COUNTS)))} are read")


def sample_of(
    path: Path,
    points: np.ndarray,
    group: str,
    *,
    weights: np.ndarray | None = None,
    split: str = "",
    attributes: Mapping[str, float | str] | None = None,
    box: np.ndarray | None = None,
) -> Sample:
    """Returns the sample of one label.

    Args:
      path, group, split, attributes, box: as in `Sample`.
      points: (count, 2) edge-based image pixels, not a number where hidden.
      weights: (count,) of the set's own points, for 106 points alone.

    Raises:
      LabelFault: the count is not read, or too little is known to align the face.
    """
    count = len(points)
    check_count(count)
    full, known = to_106(points)
    known = known.astype(np.float32) if weights is None else np.where(known, weights, 0).astype(np.float32)
    scheme, native = ("106", full) if count in (29, 189) else ("68", points[:68]) if count == 70 else (str(count), points)
    attributes = {**(attributes or {}), **({} if len(native) == count else {POINTS: count})}
    return Sample(path, full, known, five_of(points), clean_group(group), scheme, native, split, attributes, box)
