"""MediaPipe's refined face mesh as one more model to evaluate: the peer whose package comes with the requirements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.teacher.mesh import find_meshes, mesh_to_106
from zoo.errors import ZooError
from zoo.landmarker import Prediction
from zoo.mediapipe_files import mediapipe_file
from zoo.schemes import SCHEMES

MESH = "mediapipe"  # what it is called where a model is named
_FILE = "face_landmark/face_landmark_with_attention.tflite"


class Mesh:
    """Finds faces as `Landmarker.detect` does, by MediaPipe's own detector; its points are mapped to the 106 by geometry alone."""

    def detect(self, image: np.ndarray, **_: Any) -> list[Prediction]:
        """Returns the faces of a picture (H, W, 3) uint8 RGB; it has no scores of single points, so that all are 1."""
        found = [mesh_to_106(mesh) for mesh in find_meshes(image)]
        return [Prediction(points, np.ones(len(points), np.float32), SCHEMES["106"].five_points(points)) for points in found]


def mesh_file() -> Path:
    """Returns the network's file in MediaPipe's package; a ZooError if there is none."""
    if path := mediapipe_file(_FILE):
        return path
    raise ZooError(f"no installed mediapipe carries {_FILE}; the releases up to 0.10.21 do")
