"""Faces found by MediaPipe's BlazeFace: all of them, from portraits that fill the picture to small heads in a group.

The two networks are the files that the mediapipe wheel carries; they are run directly by ai-edge-litert, and mediapipe
itself is never imported (it takes 9 s, brings TensorFlow along and logs). On the same input the result is MediaPipe's
own; but its sampling displaces the picture by almost half a pixel of the 128 or 192 that the network sees, which is
avoided here. See Bazarevsky et al., BlazeFace, 2019 (arXiv 1907.05047).
"""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from zoo.errors import ZooError, unknown
from zoo.images import as_rgb
from zoo.mediapipe_files import mediapipe_file
from zoo.terminal import without_stderr

RANGES = ("short", "full", "both")

# Both networks miss faces whose eyes are less than 10 px apart in their input, so this scale finds 20 px in the picture.
FINEST_SCALE = 0.5
# Neighbouring levels of the pyramid; each network is sure over a range of sizes of more than this.
LEVEL_RATIO = 2.2
# In pixels of the input: the largest face that the next coarser level may miss (box = 2.5 eye distances, with margin).
TILE_OVERLAP_PX = 60
# Sides added, as a share of the picture's own, when nothing was found: very tight crops show no outline of a head.
PADDINGS = (0.25, 0.75)
# A face is looked at again in a window this many times its box, where the short-range network is most exact.
CLOSE_UP = 1.75
USUAL_SCORE = 0.5
# Candidates may be this share less sure than what is sought, since the second look decides.
CANDIDATE_SHARE = 0.7
# A candidate that the short-range network does not confirm (a profile, a hidden face) is kept from this score on.
UNCONFIRMED_SCORE = 0.8
# What the second look must give a candidate of a tile: hands, ears and leaves reach 0.7 at most, real faces 0.75 or more.
TILE_SCORE = 0.7
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


def detect_faces(image: np.ndarray, range: str = "both", min_score: float = 0.5, tiles: bool = True) -> list[Face]:
    """Returns all faces in a picture, the largest first.

    The whole picture is searched and, at finer scales, overlapping tiles of it, down to faces with about 20 px between the
    eyes. Every face is then looked at once more from close by, so that its points depend little on where it stood.

    Args:
      image: (H, W, 3) uint8 RGB, or what `as_rgb` accepts.
      range: "short" (faces that fill much of the view), "full" (smaller faces too) or "both", which misses fewest.
      min_score: from 0 to 1; faces less sure than this are left out.
      tiles: False searches the whole picture only, which suits video from a camera.

    Raises:
      ZooError: the range or the score is not possible, the picture is no picture, or mediapipe's files are not installed.
    """
    if range not in RANGES:
        raise unknown("detector range", str(range), RANGES)
    if not 0 < min_score <= 1:
        raise ZooError(f"the detector's minimum score must lie above 0 and at most at 1, received {min_score}")
    image = as_rgb(image)
    networks = [_network(name) for name in (("short", "full") if range == "both" else (range,))]
    # What is sought does not depend on a high score asked for, so that asking for more only ever leaves faces out.
    sought = min(min_score, USUAL_SCORE)
    found = _search(image, networks, sought, tiles)
    for share in PADDINGS:
        if found:
            break
        margin = math.ceil(share * max(image.shape[:2]))
        padded = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
        found = [_moved(face, -margin) for face in _search(padded, networks, sought, tiles=False)]
    usable = [face for face in found if face.score >= min_score and _is_usable(face, image.shape)]
    return sorted(usable, key=lambda face: _area(np.array(face.box)), reverse=True)


def _is_usable(face: Face, shape: tuple[int, ...]) -> bool:
    """Returns whether a face is more than noise and its middle lies in the picture."""
    middle = face.points.mean(0)
    return face.box[2] - face.box[0] >= MIN_BOX_PX and bool(((middle >= 0) & (middle <= [shape[1], shape[0]])).all())


def _search(image: np.ndarray, networks: list[_Network], min_score: float, tiles: bool) -> list[Face]:
    """Returns the faces of a picture: candidates from the whole and from tiles, each confirmed by a close look, each once."""
    unsure = CANDIDATE_SHARE * min_score
    candidates = _distinct([face for network in networks for face in _look(network, image, unsure)])
    faces = [_second_look(face, image, min_score, UNCONFIRMED_SCORE) for face in candidates]
    faces = _distinct([face for face in faces if face is not None])
    if tiles:
        # Of two networks the last, full range, does it: it sees as small a face in a tile 2.25 times as large.
        candidates = _look_at_tiles(networks[-1], image, unsure)
        candidates = [face for face in _distinct(candidates) if not any(_same(face, other) for other in faces)]
        small = [_second_look(face, image, max(min_score, TILE_SCORE), math.inf) for face in candidates]
        faces = _distinct(faces + [face for face in small if face is not None])
    return faces


def _look(network: _Network, image: np.ndarray, min_score: float) -> list[Face]:
    """Returns the faces that a network finds in the whole picture, scaled into its input over black."""
    height, width = image.shape[:2]
    scale = network.size / max(height, width)
    small = _resized(image, scale)
    top, left = (network.size - small.shape[0]) // 2, (network.size - small.shape[1]) // 2
    return network.find(_window(small, left, top, network.size), min_score, (-left, -top), _exact_scale(image, small))


def _look_at_tiles(network: _Network, image: np.ndarray, min_score: float) -> list[Face]:
    """Returns the faces found in overlapping tiles of the picture at every scale finer than the whole."""
    coarsest = network.size / max(image.shape[:2])
    levels = max(0, math.ceil(math.log(FINEST_SCALE / coarsest) / math.log(LEVEL_RATIO)))
    found = []
    for level in np.arange(levels):
        scale = FINEST_SCALE * (coarsest / FINEST_SCALE) ** (level / levels)
        small = _resized(image, scale)
        exact = _exact_scale(image, small)
        for top in _starts(small.shape[0], network.size):
            for left in _starts(small.shape[1], network.size):
                found += network.find(_window(small, -left, -top, network.size), min_score, (left, top), exact)
    return found


def _starts(length: int, size: int) -> list[int]:
    """Returns where tiles of `size` begin, evenly spread over `length` with at least `TILE_OVERLAP_PX` in common."""
    if length <= size:
        return [0]
    steps = math.ceil((length - size) / (size - TILE_OVERLAP_PX))
    return np.linspace(0, length - size, steps + 1).round().astype(int).tolist()


def _second_look(face: Face, image: np.ndarray, min_score: float, unconfirmed_score: float) -> Face | None:
    """Returns the face as the short-range network sees it from close by, or None if there is none after all.

    A face that the network does not see there at all is still taken from `unconfirmed_score` on.
    """
    network = _network("short")
    x0, y0, x1, y1 = face.box
    side = CLOSE_UP * max(x1 - x0, y1 - y0)
    left, top = math.floor((x0 + x1 - side) / 2), math.floor((y0 + y1 - side) / 2)
    side = max(2, math.ceil(side))
    near = _window(image, -left, -top, side)
    scale = network.size / side
    seen = network.find(_resized(near, scale), CANDIDATE_SHARE * min(min_score, USUAL_SCORE), (0, 0), np.array([scale, scale]))
    seen = [_moved(other, (left, top)) for other in seen]
    same = max(seen, key=lambda other: _overlap(other.box, face.box)[0], default=None)
    if same is None or _overlap(same.box, face.box)[0] < SAME_FACE_IOU:
        return face if face.score >= max(unconfirmed_score, min_score) else None
    return same if same.score >= min_score else None


def _distinct(faces: list[Face]) -> list[Face]:
    """Returns the surest of every group of faces that overlap or lie one in another."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        if not any(_same(face, other) for other in kept):
            kept.append(face)
    return kept


def _same(face: Face, other: Face) -> bool:
    iou, inside = _overlap(face.box, other.box)
    return iou > SAME_FACE_IOU or inside > SAME_FACE_INSIDE


def _area(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def _overlap(box: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, float]:
    """Returns the common area of two boxes as a share of their union and of the smaller one."""
    a, b = np.array(box), np.array(other)
    common = _area(np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]))
    smaller, union = min(_area(a), _area(b)), _area(a) + _area(b) - common
    return (common / union if union else 0.0), (common / smaller if smaller else 0.0)


def _moved(face: Face, offset: tuple[float, float] | float) -> Face:
    offset = np.broadcast_to(np.asarray(offset, np.float64), 2)
    return Face(face.points + offset, tuple((np.array(face.box).reshape(2, 2) + offset).ravel().tolist()), face.score)


def _resized(image: np.ndarray, scale: float) -> np.ndarray:
    width, height = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _exact_scale(image: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Returns the scale across and down, which differ by the rounding to whole pixels."""
    return np.array([small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]])


def _window(image: np.ndarray, left: int, top: int, size: int) -> np.ndarray:
    """Returns (size, size, 3): the image laid with its corner at (left, top), cut off or filled up with black."""
    height, width = image.shape[:2]
    window = np.zeros((size, size, 3), np.uint8)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + width, size), min(top + height, size)
    if x0 < x1 and y0 < y1:
        window[y0:y1, x0:x1] = image[y0 - top : y1 - top, x0 - left : x1 - left]
    return window


class _Network:
    """One of the two networks: an interpreter behind a lock, and its anchors."""

    def __init__(self, path: Path, anchors: list[tuple[int, int]]):
        """Opens a file; `anchors` gives, layer by layer, the stride in pixels and how many anchors stand on a cell."""
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        self.lock = threading.Lock()
        detail = self.interpreter.get_input_details()[0]
        self.input, self.size = detail["index"], int(detail["shape"][1])
        outputs = {int(detail["shape"][-1]): detail["index"] for detail in self.interpreter.get_output_details()}
        self.regressors, self.logits = outputs[16], outputs[1]
        self.anchors = np.concatenate([_centres(self.size, stride, count) for stride, count in anchors])

    def find(self, window: np.ndarray, min_score: float, origin: tuple[float, float], scale: np.ndarray) -> list[Face]:
        """Returns the faces in a window (size, size, 3) uint8, in the image at (window point + origin) / scale."""
        with self.lock:
            self.interpreter.set_tensor(self.input, window[None].astype(np.float32) / 127.5 - 1)
            self.interpreter.invoke()
            logits = self.interpreter.get_tensor(self.logits)[0, :, 0]
            sure = np.flatnonzero(logits >= math.log(min_score / (1 - min_score)))
            values = self.interpreter.get_tensor(self.regressors)[0][sure].astype(np.float64)
        scores = 1 / (1 + np.exp(-np.clip(logits[sure].astype(np.float64), -100, 100)))
        # Box centre, box size, then six points: eyes, nose tip, mouth centre and the ears, which are not used.
        centre, half = values[:, :2], np.abs(values[:, 2:4]) / 2
        table = np.concatenate([centre - half, centre + half, values[:, 4:12]], 1).reshape(-1, 6, 2) + self.anchors[sure][:, None]
        return [_as_face(mean, score, origin, scale) for mean, score in _blended(table, scores)]


def _as_face(table: np.ndarray, score: float, origin: tuple[float, float], scale: np.ndarray) -> Face:
    image_points = (table + np.asarray(origin, np.float64)) / scale
    return Face(image_points[2:], tuple(image_points[:2].ravel().tolist()), score)


def _blended(table: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Returns each group of overlapping boxes as its mean weighted by score (BlazeFace's blending) and its best score."""
    result = []
    left = np.argsort(-scores)
    while len(left):
        boxes = table[left, :2]
        common = np.clip(np.minimum(boxes[:, 1], boxes[0, 1]) - np.maximum(boxes[:, 0], boxes[0, 0]), 0, None).prod(1)
        areas = (boxes[:, 1] - boxes[:, 0]).prod(1)
        same = common > SAME_FACE_IOU * (areas + areas[0] - common)
        same[0] = True
        result.append((np.average(table[left[same]], axis=0, weights=scores[left[same]]), float(scores[left[0]])))
        left = left[~same]
    return result


def _centres(size: int, stride: int, count: int) -> np.ndarray:
    """Returns the centres (N, 2) of a layer's cells, row by row, each `count` times over."""
    middle = (np.arange(size // stride) + 0.5) * stride
    y, x = np.meshgrid(middle, middle, indexing="ij")
    return np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, axis=0)


_FILES = {
    "short": ("face_detection_short_range.tflite", [(8, 2), (16, 6)]),
    "full": ("face_detection_full_range_sparse.tflite", [(4, 1)]),
}
_opening = threading.Lock()


def _network(name: str) -> _Network:
    with _opening:
        return _open(name)


@functools.cache
def _open(name: str) -> _Network:
    file, anchors = _FILES[name]
    path = mediapipe_file(f"face_detection/{file}")
    if path is None:
        raise ZooError(f"the face detector's file {file} is not installed; install mediapipe==0.10.21, or give five points of the face")
    try:
        with without_stderr():
            return _Network(path, anchors)
    except ImportError:
        raise ZooError("the face detector needs ai-edge-litert; install requirements.txt, or give five points of the face") from None
