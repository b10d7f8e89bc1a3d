"""Labels made on pictures whose EXIF turn was not applied: recognised, since on the upright picture they lie 90 degrees or a mirror off."""

from __future__ import annotations

import numpy as np

from training.readers.picture import orientation, read_picture
from training.readers.problems import TURNED, Problem
from training.readers.sample import Sample
from zoo.alignment import four_points
from zoo.detector import detect_faces
from zoo.errors import ZooError

# A face that is found is the labelled one where its keypoints lie this near, over the distance of the eyes, in the mean.
_SAME_FACE = 0.5
_UPRIGHT_DEG = 45.0


def as_shown(points: np.ndarray, tag: int, size: tuple[int, int]) -> np.ndarray:
    """Returns points (N, 2) of a stored picture where the upright one has them.

    Args:
      points: edge-based pixels of the picture as it is stored.
      tag: its EXIF orientation, 1 to 8.
      size: width and height of the upright picture.
    """
    width, height = size
    x, y = points.T
    places = {
        2: (width - x, y), 3: (width - x, height - y), 4: (x, height - y), 5: (y, x), 6: (width - y, x), 7: (width - y, height - x),
        8: (y, height - x),
    }  # fmt: skip
    return np.column_stack(places.get(tag, (x, y)))


def made_before_turning(sample: Sample, size: tuple[int, int]) -> Problem | None:
    """Returns a problem where a label seems to have been made on the stored picture and not on the upright one, or None.

    Three signs: points outside that the turn brings inside; a face that lies on its side or upside down until it is turned, and is not
    found where it is labelled; a face that is found where the turn brings the label.

    Args:
      sample: the face.
      size: width and height of the upright picture.
    """
    tag = orientation(sample.path)
    if tag == 1:
        return None
    known = sample.image_points[sample.weights > 0]
    if _outside(known, size) and not _outside(as_shown(known, tag, size), size):
        return Problem(TURNED, sample.path.name, f"orientation {tag}: {_outside(known, size)} points outside, none where it is turned")
    turned = as_shown(sample.five, tag, size)
    lies, stands = abs(_roll_deg(sample.five)) > _UPRIGHT_DEG, abs(_roll_deg(turned)) <= _UPRIGHT_DEG
    if tag != 2 and not (lies and stands):
        return None
    try:
        faces = [face.points for face in detect_faces(read_picture(sample.path))]
    except ZooError:
        faces = []
    if any(_apart(four, four_points(sample.five)) < _SAME_FACE for four in faces):
        return None
    if lies and stands:
        angle = f"{_roll_deg(sample.five):.0f} degrees"
        return Problem(TURNED, sample.path.name, f"orientation {tag}: the face lies at {angle} until it is turned")
    if any(_apart(four, four_points(turned)[[1, 0, 2, 3]]) < _SAME_FACE for four in faces):
        return Problem(TURNED, sample.path.name, f"orientation {tag}: a face is found where the mirrored label lies")
    return None


def _outside(points: np.ndarray, size: tuple[int, int]) -> int:
    return int(((points < -1) | (points > np.add(size, 1))).any(1).sum())


def _roll_deg(five: np.ndarray) -> float:
    """Returns by how much a face is rotated in the picture's plane, from its mouth to its eyes; 0 is upright."""
    up = five[:2].mean(0) - five[3:].mean(0)
    return float(np.degrees(np.arctan2(up[0], -up[1])))


def _apart(four: np.ndarray, other: np.ndarray) -> float:
    """Returns the mean distance of two faces' keypoints (4, 2) over the distance of the first one's eyes."""
    return float(np.linalg.norm(four - other, axis=1).mean() / max(np.linalg.norm(four[1] - four[0]), 1e-9))
