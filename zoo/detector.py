"""Faces found by MediaPipe's BlazeFace: all of them, any way up, from portraits that fill the picture to small heads in a group.

The networks come from wherever they are (`zoo.detector_files`); mediapipe itself is never imported (it takes 9 s, brings TensorFlow along
and logs). A picture is searched at a few scales, each in one call where it is small enough, else in tiles; the short-range network serves
at all of them, since it finds eyes from 7 to 48 pixels of its input apart. A face that it is not sure of is looked at from close by, and
four ways up. `python -m training study detection` measures what is found, how exactly, and in what time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from zoo.blazeface import network
from zoo.errors import ZooError, unknown
from zoo.forking import UNFORKED
from zoo.images import MAX_MEGAPIXELS, as_rgb

RANGES = ("short", "full", "both")


@dataclass(frozen=True)
class Search:
    """How finely a picture is searched.

    Attributes:
      scale: the finest; no picture is enlarged to be searched, save small ones to `COARSEST_PX`.
      side_px: the longer side at the finest scale is this at most.
    """

    scale: float
    side_px: float


# The short-range network finds nine in ten faces with eyes 5 px apart in its input and nearly all with 7 px. So "fast" finds eyes that are
# 10 px or 1.4 % of the longer side apart, whichever is more; "thorough" those that are 10 px apart, however large the picture, in time that
# grows with its pixels.
SEARCHES = {"fast": Search(0.535, 384), "thorough": Search(0.55, math.inf)}
DEFAULT_SEARCH, DEFAULT_RANGE = "fast", "short"

# The longer side at the coarsest scale, where a face may fill the picture; of a strip, the shorter side is half of this.
COARSEST_PX = 96
# Neighbouring scales differ by less: the network finds eyes of 7 to 48 px, seven times as many.
LEVEL_RATIO = 4.2
# Of an input; larger levels are searched in tiles that have `TILE_OVERLAP_PX` in common: the largest face that the next coarser level may
# miss, with eyes of 8 px times `LEVEL_RATIO` there, a box of 2.5 eye distances, and margin.
TILE_PX, TILE_OVERLAP_PX = 608, 96
# Sides added, as a share of the picture's longer side (of a strip, of twice its shorter one), when nothing was found: very tight crops show
# no outline of a head.
PADDINGS = (0.25, 0.75)

# From this score on, and with the eyes turned by less than `SURE_ROLL_DEG`, a face is what it seems. Of upright faces in the wild 94 in
# 100 reach it; of faces that lie on their side or upside down, found with wrong points, fewer than 1 in 1,000.
SURE_SCORE, SURE_ROLL_DEG = 0.86, 45.0
# Eyes nearer to each other in the network's input leave its points uncertain: such a face is looked at from close by as well.
SURE_EYES_PX = 16.0
# The window of a close look, as a multiple of the box, and the side of the input that it is scaled to: the larger one for candidates that
# may be a face or not, the smaller one where the answer is mostly known, for a face whose points are to be found or a likely error.
CLOSE_UP, CLOSE_UP_PX, SMALL_CLOSE_UP_PX = 1.75, 96, 64
USUAL_SCORE = 0.5
# What a candidate must reach from close by, the more the less sure it was: (candidate's score, needed score). Ears, hands, flowers and
# letters reach 0.79 from below 0.5 and 0.7 from below 0.75, the best of four ways up; 99 in 100 faces reach 0.77.
NEEDED_SCORES = ((0.5, 0.8), (0.75, 0.7), (1.0, 0.5))
# A candidate that is not seen at all from close by (a profile, an occluded face) is kept from this score on.
UNCONFIRMED_SCORE = 0.8
# Smaller boxes than this hold no face that could be told from noise.
MIN_BOX_PX = 10
SAME_FACE_IOU = 0.3
SAME_FACE_INSIDE = 0.7


@dataclass(frozen=True, eq=False)
class Face:
    """One face in image coordinates (edge-based pixels).

    Attributes:
      points: (4, 2) float64: left eye, right eye (left in the picture of an upright head), nose tip, mouth centre.
      box: (x0, y0, x1, y1), about from brow to chin; it may reach beyond the picture.
      score: from 0 to 1.
    """

    points: np.ndarray
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A face as a search sees it: a table (6, 2) of its box's corners and four points in the picture's pixels; its eyes' distance in the
    network's input."""

    table: np.ndarray
    score: float
    input_eyes_px: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1); the corners of a turned picture's box are put in order."""
        (x0, y0), (x1, y1) = self.table[:2].tolist()
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    @property
    def is_sure(self) -> bool:
        """Whether the face is what it seems: upright enough that a face lying on its side is not mistaken for it."""
        return self.score >= SURE_SCORE and abs(_roll_deg(self.table)) < SURE_ROLL_DEG


def detect_faces(image: np.ndarray, range: str = DEFAULT_RANGE, min_score: float = USUAL_SCORE, search: str = DEFAULT_SEARCH) -> list[Face]:
    """Returns the faces in a picture, the largest first, whichever way up they are.

    Args:
      image: (H, W, 3) uint8 RGB, or what `as_rgb` accepts.
      range: the networks that search: "short", "full" (for upright faces only, and slower) or "both".
      min_score: from 0 to 1; faces less sure than this are left out, and nothing else changes. None is less sure than 0.3.
      search: "fast" finds faces of 5 % of the picture's longer side and more, "thorough" those with 10 px and more between the eyes; see
        `SEARCHES`.

    Raises:
      ZooError: the range, the score or the search is not possible, the picture is none or has more than `MAX_MEGAPIXELS`, or the
        networks' files are not found.
    """
    if range not in RANGES:
        raise unknown("detector range", str(range), RANGES)
    if search not in SEARCHES:
        raise unknown("search", str(search), SEARCHES)
    if not 0 < min_score <= 1:
        raise ZooError(f"the detector's minimum score must lie above 0 and at most at 1, received {min_score}")
    image = as_rgb(image)
    megapixels = image.shape[0] * image.shape[1] / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise ZooError(f"the picture has {megapixels:.0f} megapixels; at most {MAX_MEGAPIXELS} are searched: scale it down first")
    names = ("short", "full") if range == "both" else (range,)
    with UNFORKED:
        halves = Halves(image)
        found = _settled(_searched(halves, _levels(image.shape, SEARCHES[search], names)), halves)
        for again in (_padded, _turned):
            # A picture in which nothing was found is searched again, but not as finely: with sides added, then the other three ways up.
            found = found or _settled(again(halves, _levels(image.shape, SEARCHES["fast"], names)), halves)
    usable = [face for face in found if face.score >= min_score and _is_usable(face, image.shape)]
    return sorted(usable, key=lambda face: _area(face.box), reverse=True)


def _is_usable(face: Face, shape: tuple[int, ...]) -> bool:
    """Returns whether a face is more than noise and its middle lies in the picture."""
    middle = face.points.mean(0)
    return face.box[2] - face.box[0] >= MIN_BOX_PX and bool(((middle >= 0) & (middle <= [shape[1], shape[0]])).all())


# ---- the picture at its scales -------------------------------------------------------------------------------------------------------


class Halves:
    """A picture and what is left when it is halved once, twice and so on, each made when it is first asked for.

    Halving is the one reduction that OpenCV does with vector instructions; an odd last row or column is left out, so that the scale is
    exactly 1/2. All of them together have a third of the picture's pixels.
    """

    def __init__(self, image: np.ndarray):
        """`image` is (H, W, 3) uint8 and is neither changed nor copied."""
        self.levels = [image]

    def above(self, scale: float) -> tuple[np.ndarray, float]:
        """Returns the picture halved as often as leaves its scale at least `scale`, and that scale."""
        halved = max(0, math.floor(math.log2(1 / scale) + 1e-9))
        while len(self.levels) <= halved:
            last = self.levels[-1]
            height, width = last.shape[0] // 2, last.shape[1] // 2
            if not height or not width:
                halved = len(self.levels) - 1
                break
            self.levels.append(cv2.resize(last[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))
        return self.levels[halved], 0.5**halved

    def scaled(self, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the picture at about this scale, and the exact scale across and down: whole pixels make the two differ."""
        image, halved = self.above(scale)
        small = _resized(image, scale / halved)
        return small, np.array([small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]]) * halved


def _resized(image: np.ndarray, scale: float) -> np.ndarray:
    """Returns the picture scaled by 1/2 to 1, or enlarged."""
    width, height = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return image if (height, width) == image.shape[:2] else cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _levels(shape: tuple[int, ...], search: Search, names: Sequence[str]) -> list[tuple[float, str]]:
    """Returns the scales at which a picture of a shape is searched, the finest first, each with a network that does it."""
    longer, shorter = max(shape[:2]), min(shape[:2])
    coarsest = max(COARSEST_PX / longer, min(COARSEST_PX / 2 / shorter, search.scale))
    finest = max(min(search.scale, search.side_px / longer), coarsest)
    steps = math.ceil(math.log(finest / coarsest) / math.log(LEVEL_RATIO) - 1e-9)
    return [(finest * (coarsest / finest) ** (step / max(steps, 1)), name) for step in np.arange(steps + 1) for name in names]


def _searched(halves: Halves, levels: Sequence[tuple[float, str]]) -> list[_Candidate]:
    """Returns the candidates of a picture at all its scales."""
    found = []
    for scale, name in levels:
        small, exact = halves.scaled(scale)
        found += _look(small, name, lambda table, exact=exact: table / exact)
    return found


def _padded(halves: Halves, levels: Sequence[tuple[float, str]]) -> list[_Candidate]:
    """Returns the candidates of a picture at the coarsest scale, with black sides added."""
    found = []
    scale, name = levels[-1]
    for share in PADDINGS:
        small, exact = halves.scaled(scale / (1 + 2 * share))
        margin = math.ceil(share * min(max(small.shape[:2]), 2 * min(small.shape[:2])))
        small = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
        found += _look(small, name, lambda table, exact=exact, margin=margin: (table - margin) / exact)
    return found


def _turned(halves: Halves, levels: Sequence[tuple[float, str]]) -> list[_Candidate]:
    """Returns the candidates of a picture turned by one, two and three quarters."""
    found = []
    for scale, name in levels:
        small, exact = halves.scaled(scale)
        for quarters in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(small, quarters))
            found += _look(turned, name, lambda table, q=quarters, s=small.shape, exact=exact: _turned_back(table, q, s) / exact)
    return found


def _turned_back(table: np.ndarray, quarters: int, shape: tuple[int, ...]) -> np.ndarray:
    """Returns points (..., 2) of a picture that was turned by `np.rot90(picture, quarters)`, in the picture of `shape` itself."""
    height, width = shape[:2]
    x, y = table[..., 0], table[..., 1]
    return np.stack([(x, y), (width - y, x), (width - x, height - y), (y, height - x)][quarters], -1)


def _look(image: np.ndarray, name: str, to_picture: Callable[[np.ndarray], np.ndarray]) -> list[_Candidate]:
    """Returns what a network finds in an image, in one call or in overlapping tiles.

    Args:
      name: of the network; only the short-range one's finds may be sure.
      to_picture: takes a table (6, 2) in this image's pixels to the picture's.
    """
    found = []
    one = network(name)
    for window, left, top in _tiles(image, one.side_step_px):
        if (window == window[0, 0]).all():
            continue  # one colour: nothing to find
        for table, score in one.find(window):
            eyes_px = float(np.linalg.norm(table[3] - table[2])) if name == "short" else 0.0
            found.append(_Candidate(to_picture(table + [left, top]), score, eyes_px))
    return found


def _tiles(image: np.ndarray, step: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields windows that cover the image, filled up with black to sides that are multiples of `step`, and where each begins."""
    height, width = image.shape[:2]
    (rows, tall), (columns, wide) = _parts(height), _parts(width)
    for y in rows:
        for x in columns:
            tile = image[y : y + tall, x : x + wide]
            sides = [-(-side // step) * step for side in tile.shape[:2]]
            top, left = (sides[0] - tile.shape[0]) // 2, (sides[1] - tile.shape[1]) // 2
            if tile.shape[:2] != tuple(sides):
                window = np.zeros((*sides, 3), np.uint8)
                window[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
                tile = window
            yield tile, x - left, y - top


def _parts(length: int) -> tuple[list[int], int]:
    """Returns where the fewest tiles begin that cover `length` with at least `TILE_OVERLAP_PX` in common, and their one length."""
    if length <= TILE_PX:
        return [0], length
    count = math.ceil((length - TILE_OVERLAP_PX) / (TILE_PX - TILE_OVERLAP_PX))
    side = math.ceil((length + (count - 1) * TILE_OVERLAP_PX) / count)
    return np.linspace(0, length - side, count).round().astype(int).tolist(), side


# ---- each face once, and surely ------------------------------------------------------------------------------------------------------


def _settled(candidates: list[_Candidate], halves: Halves) -> list[Face]:
    """Returns the faces among candidates, each once: the sure ones as they are, the others as they look from close by."""
    faces: list[_Candidate] = []
    for candidate in _distinct(candidates, inside=False):
        if any(_overlap(candidate.box, other.box)[1] > SAME_FACE_INSIDE for other in faces if other.is_sure):
            continue
        settled = candidate if candidate.is_sure and candidate.input_eyes_px >= SURE_EYES_PX else _from_close_by(candidate, halves)
        if settled is not None:
            faces.append(settled)
    return [Face(one.table[2:], one.box, one.score) for one in _distinct(faces, inside=True)]


def _from_close_by(candidate: _Candidate, halves: Halves) -> _Candidate | None:
    """Returns the candidate as the short-range network sees it from close by, the way up that it is surest of; None if it is no face."""
    x0, y0, x1, y1 = candidate.box
    side = CLOSE_UP * max(x1 - x0, y1 - y0)
    if not side >= 2:
        return None
    input_px = SMALL_CLOSE_UP_PX if candidate.is_sure or candidate.score < USUAL_SCORE else CLOSE_UP_PX
    image, halved = halves.above(min(1.0, input_px / side))
    size = max(2, math.ceil(side * halved))
    left, top = (math.floor((low + high) / 2 * halved - size / 2) for low, high in ((x0, x1), (y0, y1)))
    window = cv2.resize(_window(image, left, top, size), (input_px, input_px), interpolation=cv2.INTER_LINEAR)
    scale = input_px / size
    best, upright = None, False
    for quarters in np.arange(4):
        turned = np.ascontiguousarray(np.rot90(window, quarters))
        for table, score in network("short").find(turned):
            seen = _Candidate(table, score, math.inf)
            if (best is None or score > best.score) and np.abs(table[:2].mean(0) - input_px / 2).max() < input_px / 4:
                back = (_turned_back(table, quarters, window.shape) / scale + [left, top]) / halved
                best, upright = replace(seen, table=back), seen.is_sure
        weak = candidate.score < USUAL_SCORE and (best is None or best.score < USUAL_SCORE)
        if quarters == 0 and (candidate.is_sure or upright or weak):
            break  # upright, or nothing there that may be a face: one upside down is seen from close by as well
    if best is None:
        return candidate if candidate.score >= UNCONFIRMED_SCORE else None
    needed = next(score for below, score in NEEDED_SCORES if candidate.score <= below)
    return best if best.score >= needed else None


def _window(image: np.ndarray, left: int, top: int, size: int) -> np.ndarray:
    """Returns (size, size, 3): the image's part that begins at (left, top), filled up with black."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size, width), min(top + size, height)
    if (x0, y0, x1, y1) == (left, top, left + size, top + size):
        return image[y0:y1, x0:x1]
    window = np.zeros((size, size, 3), np.uint8)
    if x0 < x1 and y0 < y1:
        window[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return window


def _roll_deg(table: np.ndarray) -> float:
    """Returns by how much the line between the eyes of a table (6, 2) is turned, clockwise as seen, in -180..180 degrees."""
    across = table[3] - table[2]
    return math.degrees(math.atan2(across[1], across[0]))


def _distinct(faces: list[_Candidate], inside: bool) -> list[_Candidate]:
    """Returns the surest of every group of faces that overlap or, with `inside`, lie one in another."""
    kept: list[_Candidate] = []
    boxes: list[tuple[float, ...]] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        box = face.box
        overlaps = [_overlap(box, other) for other in boxes]
        if not any(iou > SAME_FACE_IOU or (inside and within > SAME_FACE_INSIDE) for iou, within in overlaps):
            kept.append(face)
            boxes.append(box)
    return kept


def _area(box: Sequence[float]) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float]:
    """Returns the common area of two boxes as a share of their union and of the smaller one."""
    common = _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    smaller, union = min(_area(a), _area(b)), _area(a) + _area(b) - common
    return (common / union if union else 0.0), (common / smaller if smaller else 0.0)
