"""Landmark schemes: what each point is, which points mirror each other, and how schemes map onto one another.

Sources of the orders and maps: JD-landmark and LaPa (106 points), WFLW (98), iBUG 300-W (68), InsightFace `2d106det`.
Left and right mean left and right in the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from zoo.errors import unknown
from zoo.stations import PointMap, map_68_to_106, map_106_to_68


@dataclass(frozen=True)
class Part:
    """A run of points that is drawn as one line."""

    indices: tuple[int, ...]
    closed: bool = False


@dataclass(frozen=True)
class Scheme:
    """One order of landmarks.

    Attributes:
      name: "106", "98" or "68".
      names: a name for each point.
      mirror: permutation (count,), an involution: `mirrored[i] = flipped_points[mirror[i]]`.
      parts: lines to draw, by name.
      outer_eyes: the two points whose distance normalises the error (inter-ocular NME).
      eyes: the eyelid points of the left and of the right eye; their means are the eyes of the five naive points.
      nose_tip, mouth_corners: the other three naive points.
      core12: the twelve spots every scheme has, in one common order, by which schemes are compared.
    """

    name: str
    names: tuple[str, ...]
    mirror: np.ndarray = field(compare=False, repr=False)
    parts: Mapping[str, Part] = field(compare=False, repr=False)
    outer_eyes: tuple[int, int]
    eyes: tuple[tuple[int, ...], tuple[int, ...]]
    nose_tip: int
    mouth_corners: tuple[int, int]
    core12: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.names)

    def eye_distance(self, points: np.ndarray) -> float:
        """Returns the distance between the outer eye corners of points (count, 2), in their own frame: the unit of errors."""
        a, b = self.outer_eyes
        return float(np.linalg.norm(np.subtract(points[a], points[b])))

    def five_points(self, points: np.ndarray) -> np.ndarray:
        """Returns the five naive points (..., 5, 2): left eye, right eye, nose tip, left and right mouth corner.

        Args:
          points: (..., count, 2) in any frame. An eye is the mean of its eyelid points, which gaze does not move.
        """
        points = np.asarray(points, np.float64)
        left, right = (points[..., list(eye), :].mean(-2) for eye in self.eyes)
        corners = [points[..., i, :] for i in self.mouth_corners]
        return np.stack([left, right, points[..., self.nose_tip, :], *corners], axis=-2)


def _span(first: int, last: int) -> tuple[int, ...]:
    step = 1 if last >= first else -1
    return tuple(range(first, last + step, step))


def _names(count: int, parts: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    names = [""] * count
    for part, indices in parts.items():
        for position, index in enumerate(indices):
            names[index] = names[index] or (part if len(indices) == 1 else f"{part}_{position}")
    if not all(names):
        raise AssertionError(f"points without a name: {[i for i, name in enumerate(names) if not name]}")
    return tuple(names)


def _mirror_from_pairs(count: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    mirror = np.arange(count)
    for a, b in pairs:
        mirror[a], mirror[b] = b, a
    mirror.flags.writeable = False
    return mirror


def _reversed_pairs(first: int, last: int) -> list[tuple[int, int]]:
    return [(first + i, last - i) for i in range((last - first + 1) // 2)]


def _scheme_106() -> Scheme:
    groups = {
        "contour": _span(0, 32),
        "left_brow_upper": _span(33, 37),
        "left_brow_lower": _span(38, 41),
        "right_brow_upper": _span(42, 46),
        "right_brow_lower": _span(47, 50),
        "nose_bridge": _span(51, 54),
        "nose_left": _span(55, 57),
        "nose_base": _span(58, 62),
        "nose_right": (65, 64, 63),
        "left_eye": _span(66, 73),
        "left_eye_centre": (74,),
        "right_eye": _span(75, 82),
        "right_eye_centre": (83,),
        "outer_lip": _span(84, 95),
        "inner_lip": _span(96, 103),
        "left_pupil": (104,),
        "right_pupil": (105,),
    }
    # fmt: off
    mirror = np.array([
        *range(32, -1, -1), 46, 45, 44, 43, 42, 50, 49, 48, 47, 37, 36, 35, 34, 33, 41, 40, 39, 38, 51, 52, 53, 54,
        65, 64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 79, 78, 77, 76, 75, 82, 81, 80, 83, 70, 69, 68, 67, 66, 73, 72, 71, 74,
        90, 89, 88, 87, 86, 85, 84, 95, 94, 93, 92, 91, 100, 99, 98, 97, 96, 103, 102, 101, 105, 104,
    ])
    # fmt: on
    mirror.flags.writeable = False
    parts = {
        "contour": Part(groups["contour"]),
        "left_brow": Part(_span(33, 41), True),
        "right_brow": Part(_span(42, 50), True),
        "nose_bridge": Part(groups["nose_bridge"]),
        "nose": Part((55, 56, 57, *_span(58, 62), 63, 64, 65)),
        "left_eye": Part(groups["left_eye"], True),
        "right_eye": Part(groups["right_eye"], True),
        "outer_lip": Part(groups["outer_lip"], True),
        "inner_lip": Part(groups["inner_lip"], True),
        "left_pupil": Part((104,)),
        "right_pupil": Part((105,)),
    }
    return Scheme(
        "106", _names(106, groups), mirror, MappingProxyType(parts), (66, 79), (_span(66, 73), _span(75, 82)), 54, (84, 90),
        (66, 70, 75, 79, 54, 60, 84, 90, 87, 93, 98, 102),
    )  # fmt: skip


def _scheme_98() -> Scheme:
    groups = {
        "contour": _span(0, 32),
        "left_brow_upper": _span(33, 37),
        "left_brow_lower": _span(38, 41),
        "right_brow_upper": _span(42, 46),
        "right_brow_lower": _span(47, 50),
        "nose_bridge": _span(51, 54),
        "nose_base": _span(55, 59),
        "left_eye": _span(60, 67),
        "right_eye": _span(68, 75),
        "outer_lip": _span(76, 87),
        "inner_lip": _span(88, 95),
        "left_pupil": (96,),
        "right_pupil": (97,),
    }
    brows = [(a, b) for a, b in enumerate(get_scheme("106").mirror[33:51], 33) if a < b]
    pairs = [
        *_reversed_pairs(0, 32), *brows, (55, 59), (56, 58), (60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74),
        (67, 73), (76, 82), (77, 81), (78, 80), (87, 83), (86, 84), (88, 92), (89, 91), (95, 93), (96, 97),
    ]  # fmt: skip
    parts = {
        "contour": Part(groups["contour"]),
        "left_brow": Part(_span(33, 41), True),
        "right_brow": Part(_span(42, 50), True),
        "nose_bridge": Part(groups["nose_bridge"]),
        "nose": Part(groups["nose_base"]),
        "left_eye": Part(groups["left_eye"], True),
        "right_eye": Part(groups["right_eye"], True),
        "outer_lip": Part(groups["outer_lip"], True),
        "inner_lip": Part(groups["inner_lip"], True),
        "left_pupil": Part((96,)),
        "right_pupil": Part((97,)),
    }
    return Scheme(
        "98", _names(98, groups), _mirror_from_pairs(98, pairs), MappingProxyType(parts), (60, 72), (_span(60, 67), _span(68, 75)), 54,
        (76, 82), (60, 64, 68, 72, 54, 57, 76, 82, 79, 85, 90, 94),
    )  # fmt: skip


def _scheme_68() -> Scheme:
    groups = {
        "contour": _span(0, 16),
        "left_brow": _span(17, 21),
        "right_brow": _span(22, 26),
        "nose_bridge": _span(27, 30),
        "nose_base": _span(31, 35),
        "left_eye": _span(36, 41),
        "right_eye": _span(42, 47),
        "outer_lip": _span(48, 59),
        "inner_lip": _span(60, 67),
    }
    pairs = [
        *_reversed_pairs(0, 16), *_reversed_pairs(17, 26), (31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
        (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
    ]  # fmt: skip
    closed = {"left_eye", "right_eye", "outer_lip", "inner_lip"}
    parts = {("nose" if name == "nose_base" else name): Part(indices, name in closed) for name, indices in groups.items()}
    return Scheme(
        "68", _names(68, groups), _mirror_from_pairs(68, pairs), MappingProxyType(parts), (36, 45), (_span(36, 41), _span(42, 47)), 30,
        (48, 54), (36, 39, 42, 45, 30, 33, 48, 54, 51, 57, 62, 66),
    )  # fmt: skip


SCHEMES: dict[str, Scheme] = {}


def get_scheme(name: str) -> Scheme:
    """Returns the scheme called `name`; a ZooError lists the schemes there are."""
    try:
        return SCHEMES[str(name)]
    except KeyError:
        raise unknown("scheme", str(name), SCHEMES) from None


for _make in (_scheme_106, _scheme_98, _scheme_68):
    _scheme = _make()
    SCHEMES[_scheme.name] = _scheme

_TO_68, _FROM_68 = map_106_to_68(), map_68_to_106()
# WFLW's points lie at the 106 points' stations (its four labelled faces at hand agree), not at those of the 68: a gather.
# fmt: off
_TO_98 = np.array([*_span(0, 54), *_span(58, 62), *_span(66, 73), *_span(75, 82), *_span(84, 103), 104, 105])
_FROM_INSIGHTFACE = np.array([
    1, 9, 10, 11, 12, 13, 14, 15, 16, 2, 3, 4, 5, 6, 7, 8, 0, 24, 23, 22, 21, 20, 19, 18, 32, 31, 30, 29, 28, 27, 26, 25, 17,
    43, 48, 49, 51, 50, 46, 47, 45, 44, 102, 103, 104, 105, 101, 100, 99, 98, 97, 72, 73, 74, 86, 75, 76, 77, 78, 79, 80, 85, 84, 83, 82,
    81, 35, 41, 40, 42, 39, 37, 33, 36, 34, 89, 95, 94, 96, 93, 91, 87, 90, 88, 52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55,
    65, 66, 62, 70, 69, 57, 60, 54, 38, 92,
])
# fmt: on


def to_scheme(points: np.ndarray, name: str) -> np.ndarray:
    """Returns 106 points (..., 106, C) as scheme `name`: (..., 106 or 98 or 68, C).

    98 is exact in meaning; 68 is read off the curves through the 106 (see `zoo.stations`), but for its brows' ends, which lie a little
    beyond them.
    """
    get_scheme(name)
    points = np.asarray(points)
    if str(name) == "68":
        return _TO_68(points)
    return points if str(name) == "106" else points[..., _TO_98, :]


def scores_as_scheme(scores: np.ndarray, name: str) -> np.ndarray:
    """Returns what belongs to each of 106 points (..., 106) and is no coordinate, as a score, at the points of scheme `name`."""
    get_scheme(name)
    scores = np.asarray(scores)
    return scores if str(name) == "106" else scores[..., _TO_68.nearest if str(name) == "68" else _TO_98]


def map_to(name: str) -> PointMap:
    """Returns how the points of scheme `name` come of the 106: of each at most four of them, by weights."""
    count = get_scheme(name).count
    if str(name) == "68":
        return _TO_68
    indices = np.arange(106) if str(name) == "106" else _TO_98
    weights = np.zeros((count, 4))
    weights[:, 0] = 1
    return PointMap(np.column_stack([indices, np.zeros((count, 3), int)]), weights)


def from_insightface(points: np.ndarray) -> np.ndarray:
    """Returns points (..., 106, 2) given in InsightFace's `2d106det` order in the JD-landmark order."""
    return np.asarray(points)[..., _FROM_INSIGHTFACE, :]


def from_scheme(points: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns points of scheme `name` as 106 points (106, 2) and which of them are known (106,) bool.

    Args:
      points: (count, 2) of scheme `name`. What the scheme does not know is zero and False: mask it out of the loss. 68 points do not
        know the brows' lower edges, the sides of the nose and the pupils; the ends of the contour are its curve gone on straight.
    """
    scheme = get_scheme(name)
    points = np.asarray(points, np.float64)
    if points.shape != (scheme.count, 2):
        raise ValueError(f"scheme {name} has points of shape {(scheme.count, 2)}, received {points.shape}")
    if name == "106":
        return points.copy(), np.ones(106, bool)
    if name == "68":
        return _FROM_68(points), _FROM_68.known
    full, known = np.zeros((106, 2)), np.zeros(106, bool)
    full[_TO_98], known[_TO_98] = points, True
    full[[74, 83]], known[[74, 83]] = points[[96, 97]], True
    return full, known
