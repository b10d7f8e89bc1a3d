"""Any model's points averaged with those it finds in the mirror image: what a teacher does, at twice the cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from training.teacher.blend import mirror_averaged
from zoo.landmarker import Landmarker, Prediction


class Mirrored:
    """Finds faces as the landmarker that it is given does, each averaged with its mirror image; scores are the picture's own."""

    def __init__(self, find: Landmarker):
        self.find = find

    def __call__(self, image: np.ndarray, five: np.ndarray) -> Prediction:
        """Returns a face, as `Landmarker` does."""
        return replace(self.find(image, five), points=mirror_averaged(self.find, image, five))

    def detect(self, image: np.ndarray, **options: Any) -> list[Prediction]:
        """Returns the faces of a picture, as `Landmarker.detect` does."""
        return [self(image, found.five) for found in self.find.detect(image, **options)]
