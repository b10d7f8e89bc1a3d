"""A face recogniser given as a file: aligned crops in, unit vectors out, whose inner products say how alike two faces are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from zoo.alignment import Alignment
from zoo.errors import ZooError, one_line, unknown
from zoo.runtime.interpreter import open_interpreter, read_model

# ArcFace's template for 112 px: left eye, right eye, nose tip, mouth corners (Deng et al. 2019), there with pixel centres at integers.
SIZE = 112
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]) + 0.5
# What is subtracted from and divides pixel values 0..255, per channel.
NORMALISATIONS = {
    "imagenet": (255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])),
    "arcface": (np.full(3, 127.5), np.full(3, 127.5)),
    "none": (np.zeros(3), np.ones(3)),
}
STAND_IN = "stand-in: the picture's own pixels, no recogniser"
_STAND_IN_PX = 28

# Takes crops (N, 112, 112, 3) uint8 RGB to unit vectors (N, D) float32.
Embed = Callable[[np.ndarray], np.ndarray]


def aligned(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns the crop (112, 112, 3) in which the points lie on ArcFace's template, by the least-squares similarity.

    Args:
      image: (H, W, 3) uint8 RGB.
      points: (5, 2) image points: eyes, nose tip, mouth corners; or (4, 2) with the mouth's centre, laid on the corners' centre.
    """
    template = TEMPLATE if len(points) == 5 else np.vstack([TEMPLATE[:3], TEMPLATE[3:].mean(0)])
    return Alignment.from_pairs(points, template, SIZE).crop(image)


def open_recogniser(path: str | None, normalisation: str = "imagenet", bgr: bool = False) -> tuple[str, Embed]:
    """Returns a recogniser's name and the function that embeds with it; without a path a stand-in, for trying the study out.

    Args:
      path: an .onnx file (onnxruntime is needed) or a .tflite file with one float input of 112 x 112 pixels, channels first or last.
      normalisation: among `NORMALISATIONS`.
      bgr: whether it takes blue first.

    Raises:
      ZooError: the file is missing, of another kind or shape, or onnxruntime is not installed.
    """
    if normalisation not in NORMALISATIONS:
        raise unknown("normalisation", normalisation, tuple(NORMALISATIONS))
    if path is None:
        return STAND_IN, _pixels
    file = Path(path)
    if not file.is_file():
        raise ZooError(f"there is no recogniser {path!r}")
    openers = {".onnx": _open_onnx, ".tflite": _open_tflite}
    if file.suffix not in openers:
        raise ZooError(f"the recogniser must be an .onnx or a .tflite file, received {path!r}")
    shape, run = openers[file.suffix](file)
    first = _channels_first(shape, file)
    mean, deviation = (values.astype(np.float32) for values in NORMALISATIONS[normalisation])

    def embed(crops: np.ndarray) -> np.ndarray:
        found = []
        for crop in crops:
            values = (crop[..., ::-1] if bgr else crop).astype(np.float32)
            values = (values - mean) / deviation
            found.append(np.ravel(run(np.ascontiguousarray(values.transpose(2, 0, 1) if first else values)[None])))
        return _unit(np.array(found, np.float32))

    return file.stem, embed


def _channels_first(shape: list, file: Path) -> bool:
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
    for first, expected in ((True, [3, SIZE, SIZE]), (False, [SIZE, SIZE, 3])):
        if len(sides) == 4 and all(side in (None, wanted) for side, wanted in zip(sides[1:], expected, strict=True)):
            return first
    raise ZooError(f"{file} takes {list(shape)}; one picture of 3 x {SIZE} x {SIZE} or {SIZE} x {SIZE} x 3 is expected")


def _open_onnx(file: Path) -> tuple[list, Callable[[np.ndarray], np.ndarray]]:
    try:
        import onnxruntime
    except ImportError:
        raise ZooError("an .onnx recogniser needs onnxruntime: pip install onnxruntime (or give a .tflite file)") from None
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a type of its own for every fault
        raise ZooError(f"onnxruntime refuses {file}: {one_line(error)[:200]}") from None
    given = session.get_inputs()[0]
    return list(given.shape), lambda batch: session.run(None, {given.name: batch})[0]


def _open_tflite(file: Path) -> tuple[list, Callable[[np.ndarray], np.ndarray]]:
    interpreter = open_interpreter(read_model(file), file)
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if given["dtype"] != np.float32:
        raise ZooError(f"{file} takes {np.dtype(given['dtype']).name}; a float32 recogniser is expected")

    def run(batch: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], batch)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return given["shape"].tolist(), run


def _pixels(crops: np.ndarray) -> np.ndarray:
    small = [cv2.resize(crop, (_STAND_IN_PX, _STAND_IN_PX), interpolation=cv2.INTER_AREA) for crop in crops]
    values = np.array(small, np.float32).reshape(len(crops), -1)
    return _unit(values - values.mean(1, keepdims=True))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
