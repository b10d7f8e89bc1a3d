"""Whether a file is a Face Landmarker of MediaPipe (.task): asked of its bytes, before MediaPipe, which may crash on others, opens it."""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO
from pathlib import Path

from training.readers.sample import MESH_COUNT
from zoo.errors import ZooError, one_line
from zoo.runtime.graph import read_graph

# Where it can be had, under Apache-2.0.
HOME = "https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker"
_DETECTOR, _MESH = "face_detector.tflite", "face_landmarks_detector.tflite"
_MAX_PADDING = 1 << 16  # bytes before the first entry: packers align what follows
_MAX_BYTES = 64 << 20  # Google's has 4 MB
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError, OverflowError)


def read_task(path: Path) -> bytes:
    """Returns the bytes of a Face Landmarker, whose networks are whole and whose mesh has `MESH_COUNT` vertices.

    Raises:
      ZooError: the path is no such file; what it is instead.
    """
    wanted = "the teacher must be 'mesh' or a Face Landmarker of MediaPipe (.task)"
    if not path.exists():
        raise ZooError(f"there is no file {str(path)!r}; {wanted}")
    if path.is_dir():
        raise ZooError(f"{str(path)!r} is a folder; {wanted}")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ZooError(f"{path} has {path.stat().st_size >> 20} MB; {wanted}, which has 4")
        content = path.read_bytes()
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from None
    if not content:
        raise ZooError(f"{path} is empty; {wanted}")
    if content[4:8] == b"TFL3":
        raise ZooError(f"{path} is a single network (TFLite); {wanted}")
    if b"PK\x03\x04" not in content[:_MAX_PADDING]:
        raise ZooError(f"{path} is no MediaPipe task; {wanted}")
    try:
        with zipfile.ZipFile(BytesIO(content)) as bundle:
            _check(path, bundle)
    except _DAMAGED as error:
        raise ZooError(f"{path} is damaged or cut short: {one_line(error)}; get it again") from None
    return content


def _check(path: Path, bundle: zipfile.ZipFile) -> None:
    sizes = {item.filename: item.file_size for item in bundle.infolist()}
    missing = [name for name in (_DETECTOR, _MESH) if name not in sizes]
    if missing:
        raise ZooError(f"{path} has no {missing[0]}, which a Face Landmarker has; it holds {', '.join(sorted(sizes)[:5]) or 'nothing'}")
    if max(sizes.values()) > _MAX_BYTES:
        raise ZooError(f"{path} unpacks to {max(sizes.values()) >> 20} MB; a Face Landmarker has 4")
    if damaged := bundle.testzip():
        raise ZooError(f"{path} is damaged: {damaged} is not as it was packed; get it again")
    try:
        graph = read_graph(bundle.read(_MESH))
        vertices = {_count(graph.tensors[index].shape) == 3 * MESH_COUNT for index in graph.outputs}
    except Exception:  # whatever a flatbuffer's parser raises
        raise ZooError(f"{path}: its {_MESH} is no whole network (TFLite)") from None
    if True not in vertices:
        raise ZooError(f"{path}: its {_MESH} gives no mesh of {MESH_COUNT} vertices")


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
