"""What finds the faces' meshes: a teacher is a function from a picture to meshes, chosen by name, here and in every worker alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.teacher.task_file import read_task
from zoo import terminal
from zoo.errors import ZooError, one_line
from zoo.files import sha256
from zoo.mediapipe_files import mediapipe_file

# A teacher: (H, W, 3) uint8 RGB to the meshes (478, 3) of its faces in image pixels, depth in the same unit.
Finder = Callable[[np.ndarray], list[np.ndarray]]

MESH = "mesh"  # MediaPipe's refined face mesh, which comes with its package
TASK = ".task"  # the ending of a Face Landmarker that the user brings
_MESH_FILE = "face_landmark/face_landmark_with_attention.tflite"
MAX_FACES = 4
# The border that is added on every side, as a share of the longer one, and the detector's least confidence: asked in turn until a face is
# found. Without a border the detector misses faces that fill the picture. What it is sure of last, profiles above all, the mesh often
# fits all the same, and where it does not, picture and mirror image disagree.
_FIRST = (0.25, 0.3)
_PASSES = {MESH: (_FIRST,), TASK: (_FIRST, (0.25, 0.05), (0.1, 0.05), (0.5, 0.05))}


def find_meshes(image: np.ndarray, teacher: str = MESH, sure: bool = False) -> list[np.ndarray]:
    """Returns the faces' meshes (478, 3) in image pixels (depth in the same unit), the largest first, `MAX_FACES` at most.

    Args:
      image: (H, W, 3) uint8 RGB.
      teacher: `MESH`, or the path of a Face Landmarker (.task).
      sure: whether to ask no more than once.

    Raises:
      ZooError: there is no such teacher.
    """
    for border, confidence in _PASSES[MESH if teacher == MESH else TASK][: 1 if sure else None]:
        pad = round(border * max(image.shape[:2]))
        padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        if meshes := finder(teacher, confidence)(padded):
            return sorted((mesh - [pad, pad, 0] for mesh in meshes), key=extent_px, reverse=True)
    return []


def extent_px(mesh: np.ndarray) -> float:
    """Returns the diagonal of a mesh's box, which, unlike the eyes' distance, a turned head keeps."""
    return float(np.linalg.norm(np.ptp(mesh[:, :2], axis=0)))


def identity(teacher: str) -> dict[str, str]:
    """Returns which teacher a name means: `teacher`, `MESH` or a file's name, and `teacher_sha256` of the network's or the task's file.

    Raises:
      ZooError: there is no such teacher.
    """
    path = teacher_file(teacher)
    return {"teacher": teacher if teacher == MESH else path.name, "teacher_sha256": sha256(path)}


def teacher_file(teacher: str) -> Path:
    """Returns the file of a teacher's mesh network, or of the task that holds it, as far as one can see usable.

    Raises:
      ZooError: there is no such teacher.
    """
    if teacher != MESH:
        read_task(Path(teacher))
        return Path(teacher)
    if path := mediapipe_file(_MESH_FILE):
        return path
    raise ZooError(f"no installed mediapipe carries {_MESH_FILE}; the releases up to 0.10.21 do")


def opened(teacher: str) -> None:
    """Opens a teacher, so that its faults come to light; a ZooError says which."""
    finder(teacher, _FIRST[1])


@lru_cache(maxsize=4)
def finder(teacher: str, confidence: float) -> Finder:
    """Returns the teacher of a name, as `find_meshes` takes it, its detector with a least confidence; loaded once in a process.

    Raises:
      ZooError: there is no such teacher.
    """
    return _face_mesh(confidence) if teacher == MESH else _face_landmarker(Path(teacher), confidence)


def _face_mesh(confidence: float) -> Finder:
    os.environ.setdefault("GLOG_minloglevel", "2")
    with terminal.without_stderr():
        from mediapipe.python.solutions.face_mesh import FaceMesh

        mesh = FaceMesh(static_image_mode=True, max_num_faces=MAX_FACES, refine_landmarks=True, min_detection_confidence=confidence)

    def find(image: np.ndarray) -> list[np.ndarray]:
        found = mesh.process(image).multi_face_landmarks or []
        return [mesh_vertices(face.landmark, *image.shape[:2]) for face in found]

    return _quietened(find)


def _face_landmarker(path: Path, confidence: float) -> Finder:
    content = read_task(path)
    os.environ.setdefault("GLOG_minloglevel", "2")
    with terminal.without_stderr():
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=content), running_mode=vision.RunningMode.IMAGE, num_faces=MAX_FACES,
        min_face_detection_confidence=confidence, min_face_presence_confidence=confidence,
    )  # fmt: skip
    try:
        with terminal.without_stderr():
            landmarker = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        raise ZooError(f"MediaPipe cannot open {path}: {one_line(error)}") from None

    def find(image: np.ndarray) -> list[np.ndarray]:
        found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
        return [mesh_vertices(face, *image.shape[:2]) for face in found.face_landmarks]

    return _quietened(find)


def _quietened(find: Finder) -> Finder:
    """Returns a teacher that keeps off stderr what MediaPipe writes there, with the first picture or with the first of a kind."""

    def quiet(image: np.ndarray) -> list[np.ndarray]:
        with terminal.without_stderr():
            return find(image)

    quiet(np.zeros((64, 64, 3), np.uint8))
    return quiet


def mesh_vertices(vertices: Sequence[Any], height: int, width: int) -> np.ndarray:
    """Returns MediaPipe's normalised landmarks of a face as (478, 3) image pixels (depth in the same unit)."""
    return np.array([(point.x * width, point.y * height, point.z * width) for point in vertices])
