"""MediaPipe's face meshes as models to evaluate: the refined mesh, whose package comes with the requirements, and the Face Landmarker."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.teacher import finder
from training.teacher.mesh import label, mesh_to_106
from zoo.landmarker import Prediction
from zoo.schemes import SCHEMES

MESH = "mediapipe"  # what the refined mesh is called where a model is named
TASK = finder.TASK  # what the file of a Face Landmarker ends in


class Mesh:
    """Finds faces as `Landmarker.detect` does, by MediaPipe's own detector; its points are mapped to the 106 by geometry alone.

    Attributes:
      teacher: as `training.teacher.finder` takes it.
      mirror: whether its mesh is averaged with that of the mirror image, as `python -m training label` does.
    """

    def __init__(self, teacher: str = finder.MESH, mirror: bool = False):
        finder.opened(teacher)
        self.teacher, self.mirror = teacher, mirror

    def detect(self, image: np.ndarray, **_: Any) -> list[Prediction]:
        """Returns the faces of a picture (H, W, 3) uint8 RGB; it has no scores of single points, so that all are 1."""
        if self.mirror:
            found = [one.points for one in label(image, self.teacher)]
        else:
            found = [mesh_to_106(mesh) for mesh in finder.find_meshes(image, self.teacher)]
        return [Prediction(points, np.ones(len(points), np.float32), SCHEMES["106"].five_points(points)) for points in found]
