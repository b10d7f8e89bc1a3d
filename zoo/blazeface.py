"""MediaPipe's two BlazeFace networks, run on inputs of any size: a picture's level or tile in, boxes, keypoints and scores out.

Both are convolutions throughout; only a few constants of their files (how far results are reshaped and enlarged) name the size they were
made for. These are exchanged for another size's, so that one call covers what would take many tiles of 128 or 192 px. At the size of the
file nothing changes. See Bazarevsky et al., BlazeFace, 2019 (arXiv 1907.05047).
"""

from __future__ import annotations

import functools
import math
import struct
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.detector_files import given_detector, read_detector
from zoo.errors import ZooError
from zoo.terminal import without_stderr

_SAME_FACE_IOU = 0.3
_KEPT_SHAPES = 8  # input shapes whose interpreters a network keeps; one of 512 x 512 takes about 30 MB
_POINTS = 4  # of six: eyes, nose tip, mouth centre; the ears are not used


@dataclass(frozen=True)
class _File:
    """A network's file: its name, the size it was made for, and layer by layer the stride in pixels and the anchors on a cell."""

    name: str
    size: int
    layers: tuple[tuple[int, int], ...]
    side_step: int  # the sides of an input are multiples of this: the coarsest layer's cells
    # Anchors below it are not looked at, whatever is asked for: neither boxes nor points depend on a score asked for.
    least_score: float
    # Runs of int32 in the file that name a size, each as (prefix, the numbers, suffix), and whether they are cells or sides.
    cells: tuple[tuple[tuple[int, ...], int, tuple[int, ...]], ...] = ()
    sides: tuple[int, ...] = ()


_RESHAPED = tuple(((3, 1), anchors, (values,)) for anchors in (512, 384) for values in (1, 16))  # both layers' scores and boxes
FILES = {
    "short": _File("face_detection_short_range.tflite", 128, ((8, 2), (16, 6)), 16, 0.3, cells=_RESHAPED),
    # Three layers are enlarged to sides of 12, 24 and 48 cells: buffers of 8 bytes.
    "full": _File("face_detection_full_range_sparse.tflite", 192, ((4, 1),), 32, 0.3, sides=(12, 24, 48)),
}


class Network:
    """One of the two networks; may be called from many threads, which take turns for one input shape."""

    def __init__(self, name: str):
        """Opens the file, wherever it is; no package that carries it is imported.

        Raises:
          ZooError: the file, or the interpreter, is not installed, or the file is another network's.
        """
        self.file = FILES[name]
        self._content = read_detector(name)
        self._shapes: OrderedDict[tuple[int, int], _Shape] = OrderedDict()
        self._opening = threading.Lock()

    @property
    def side_step_px(self) -> int:
        """The sides of a window are multiples of this."""
        return self.file.side_step

    def find(self, window: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """Returns the faces in a window, surest first.

        Args:
          window: (H, W, 3) uint8 RGB, both sides multiples of `side_step_px`.

        Returns:
          For each a table (6, 2) float64 in the window's pixels, edge-based (the box's two corners, left eye, right eye, nose tip, mouth
          centre), and its score, at least the file's `least_score`.
        """
        shape = self._shape(window.shape[0], window.shape[1])
        logits, values = shape.run(window)
        sure = np.flatnonzero(logits >= math.log(self.file.least_score / (1 - self.file.least_score)))
        if not len(sure):
            return []
        scores = 1 / (1 + np.exp(-np.clip(logits[sure].astype(np.float64), -100, 100)))
        values = values[sure].astype(np.float64)
        # Box centre, box size, then six points.
        centre, half = values[:, :2], np.abs(values[:, 2:4]) / 2
        table = np.concatenate([centre - half, centre + half, values[:, 4 : 4 + 2 * _POINTS]], 1).reshape(-1, 2 + _POINTS, 2)
        return _blended(table + shape.anchors[sure][:, None], scores)

    def _shape(self, height: int, width: int) -> _Shape:
        with self._opening:
            key = height, width
            if key not in self._shapes:
                while len(self._shapes) >= _KEPT_SHAPES:
                    self._shapes.popitem(last=False)
                self._shapes[key] = _Shape(self.file, self._content, height, width)
            self._shapes.move_to_end(key)
            return self._shapes[key]


class _Shape:
    """A network for one input shape: an interpreter behind a lock, and its anchors."""

    def __init__(self, file: _File, content: bytes, height: int, width: int):
        self.lock = threading.Lock()
        self.interpreter = _interpreter(_resized_file(file, content, height, width))
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.interpreter.resize_tensor_input(self.input, [1, height, width, 3])
        with without_stderr():
            self.interpreter.allocate_tensors()
        outputs = {int(detail["shape"][-1]): detail["index"] for detail in self.interpreter.get_output_details()}
        self.values, self.logits = outputs[16], outputs[1]
        self.anchors = np.concatenate([_centres(height, width, stride, count) for stride, count in file.layers])

    def run(self, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the logits (anchors,) and the values (anchors, 16) of a window uint8 of this shape."""
        scaled = window[None] * np.float32(1 / 127.5) - np.float32(1)
        with self.lock:
            self.interpreter.set_tensor(self.input, scaled)
            self.interpreter.invoke()
            return self.interpreter.get_tensor(self.logits)[0, :, 0], self.interpreter.get_tensor(self.values)[0]


def _interpreter(content: bytes) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ZooError("the face detector needs ai-edge-litert, which is not installed: pip install ai-edge-litert") from None
    with without_stderr():
        # One thread: several cost more than they bring at these sizes, and their pool would not survive a fork.
        return Interpreter(model_content=content, num_threads=1)


def _resized_file(file: _File, content: bytes, height: int, width: int) -> bytes:
    """Returns the file's bytes with its constants for another input shape."""
    if (height, width) == (file.size, file.size):
        return content
    exchanged = [
        ((*before, anchors, *after), (*before, anchors * height * width // file.size**2, *after)) for before, anchors, after in file.cells
    ]
    exchanged += [((8, side, side), (8, side * height // file.size, side * width // file.size)) for side in file.sides]
    for old, new in exchanged:
        packed = struct.pack(f"<{len(old)}i", *old)
        if packed not in content:
            raise ZooError(f"the face detector's file {file.name} is not the one of mediapipe 0.10.21: install that release")
        content = content.replace(packed, struct.pack(f"<{len(new)}i", *new))
    return content


def _centres(height: int, width: int, stride: int, count: int) -> np.ndarray:
    """Returns the centres (N, 2) of a layer's cells, row by row, each `count` times over."""
    x, y = ((np.arange(side // stride) + 0.5) * stride for side in (width, height))
    y, x = np.meshgrid(y, x, indexing="ij")
    return np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, axis=0)


def _blended(table: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Returns each group of overlapping boxes as its mean weighted by score (BlazeFace's blending) and its best score."""
    result = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        boxes = table[left, :2]
        common = np.clip(np.minimum(boxes[:, 1], boxes[0, 1]) - np.maximum(boxes[:, 0], boxes[0, 0]), 0, None).prod(1)
        areas = (boxes[:, 1] - boxes[:, 0]).prod(1)
        same = common > _SAME_FACE_IOU * (areas + areas[0] - common)
        same[0] = True
        result.append((np.average(table[left[same]], axis=0, weights=scores[left[same]]), float(scores[left[0]])))
        left = left[~same]
    return result


_first = threading.Lock()


def network(name: str) -> Network:
    """Returns the network "short" or "full", opened once in a process."""
    with _first:
        return _open(name, given_detector())


@functools.cache
def _open(name: str, given: str | None) -> Network:
    return Network(name)
