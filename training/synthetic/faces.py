"""Faces drawn by code, with the exact place of every one of the 106 points: for tests, the demo and a first training without data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from training.synthetic.look import Look, sample_look, sample_shape
from training.synthetic.mesh import build_mesh, wear_glasses
from training.synthetic.paint import paint_face
from training.synthetic.shape import FaceShape, Pose, project_points

_DETAIL = 1.65  # texture pixels for a pixel of the picture at the middle of the face


@dataclass(frozen=True)
class SyntheticFace:
    """A drawn picture and its truth.

    Attributes:
      image: (size, size, 3) uint8 RGB.
      points: (106, 2) float64, edge-based image pixels, in the order of JD-landmark.
      visible: (106,) bool: inside the picture and hidden neither by the face itself nor by hair.
      yaw_deg: positive turns the nose to the right of the picture.
      pitch_deg: positive turns it up.
      roll_deg: positive turns the head clockwise.
    """

    image: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def draw_face(
    seed: int | np.random.Generator, size: int = 256, *, yaw: float | None = None, pitch: float | None = None, roll: float | None = None
) -> SyntheticFace:
    """Returns a random portrait, the same one for the same seed.

    Args:
      size: edge of the picture in pixels.
      yaw, pitch, roll: degrees; None draws them at random.
    """
    rng = np.random.default_rng(seed)
    shape, look, pose = sample_shape(rng), sample_look(rng), _sample_pose(rng, yaw, pitch, roll)
    reach = size * rng.uniform(0.44, 0.62)
    pose = _placed(shape, pose, reach, size * (0.5 + rng.uniform(-0.06, 0.06, 2)))
    image = _background(rng, size, size)
    points, visible = draw_head(image, shape, look, pose, rng)
    return SyntheticFace(_photograph(image, rng), points, visible, pose.yaw_deg, pose.pitch_deg, pose.roll_deg)


def synthetic_faces(count: int, seed: int = 0, size: int = 256) -> Iterator[SyntheticFace]:
    """Yields `count` portraits; face i does not depend on `count`."""
    for index in range(count):
        yield draw_face(np.random.default_rng([seed, index]), size)


def draw_scene(seed: int, faces: int = 3, width: int = 900, height: int = 500) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns a group picture (height, width, 3) uint8 RGB and the points (106, 2) of each face, from left to right."""
    rng = np.random.default_rng([seed, 7])
    image = _background(rng, height, width)
    step = width / faces
    people = []
    for index in range(faces):
        shape, look = sample_shape(rng), sample_look(rng)
        pose = _sample_pose(rng, rng.uniform(-25, 25), rng.uniform(-8, 8), rng.uniform(-12, 12))
        reach = min(0.42 * height, 0.62 * step) * rng.uniform(0.62, 1.0)
        centre = np.array([(index + 0.5 + rng.uniform(-0.06, 0.06)) * step, height * 0.43 + 0.22 * (0.42 * height - reach)])
        people.append((reach, index, shape, look, _placed(shape, pose, reach, centre)))
    points: dict[int, np.ndarray] = {}
    for _, index, shape, look, pose in sorted(people, key=lambda person: person[0]):  # who is nearer stands in front
        points[index], _ = draw_head(image, shape, look, pose, rng)
    return _photograph(image, rng), [points[index] for index in range(faces)]


def draw_head(
    image: np.ndarray, shape: FaceShape, look: Look, pose: Pose, rng: np.random.Generator, glasses: bool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a person into `image` (float32 RGB, in place) and returns the points (106, 2) in image pixels and `visible` (106,).

    Args:
      glasses: None wears them one time in six.
    """
    canvas, skin = paint_face(shape, look, pose, _DETAIL * pose.scale, rng)
    shot = build_mesh(shape, look, canvas, skin, pose, rng).render(pose, image.shape[0], image.shape[1])
    if rng.random() < 1 / 6 if glasses is None else glasses:
        wear_glasses(shot, shape, pose, rng)
    shot.paste(image)
    points = project_points(shape, pose)
    return points[:, :2].copy(), shot.visible(points)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Returns a float32 RGB picture of gradients, blobs, stripes or noise."""

    def shade() -> np.ndarray:
        grey = rng.uniform(15, 235)
        return np.clip(grey + rng.normal(0, 32, 3), 0, 255).astype(np.float32)

    first, second = shade(), shade()
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    bearing = rng.uniform(0, 2 * np.pi)
    along = (x / width - 0.5) * np.float32(np.cos(bearing)) + (y / height - 0.5) * np.float32(np.sin(bearing)) + 0.5
    image = cv2.merge([a + (b - a) * along for a, b in zip(first, second, strict=True)])
    kind = rng.integers(5)
    if kind == 1:
        for _ in range(rng.integers(6, 16)):
            at = rng.integers(0, (width, height)).tolist()
            cv2.circle(image, at, int(rng.uniform(0.04, 0.2) * height), shade().tolist(), -1)
        image = cv2.stackBlur(image, (2 * int(rng.uniform(1, 0.05 * height)) + 1,) * 2)
    elif kind == 2:
        period, lean = rng.uniform(0.05, 0.2) * height, rng.uniform(-1, 1)
        stripe = 1 + 0.22 * np.sign(np.sin((x + np.float32(lean) * y) * np.float32(2 * np.pi / period)))
        image *= cv2.merge([stripe, stripe, stripe])
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 3))
    elif kind == 3:
        cells = rng.normal(0, 22, (rng.integers(4, 14), rng.integers(4, 14), 3)).astype(np.float32)
        image += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind == 4:
        for _ in range(rng.integers(3, 8)):
            a, b = rng.integers(-20, (width, height)), rng.integers(10, (width // 2, height))
            cv2.rectangle(image, a.tolist(), (a + b).tolist(), shade().tolist(), -1)
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 5))
    return np.clip(image, 0, 255, out=image)


def _photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the picture (uint8) as a camera would give it: exposure, a touch of blur, grain."""
    image = cv2.addWeighted(image, rng.uniform(0.85, 1.1), image, 0, rng.uniform(-6, 10))
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))
    grain = rng.standard_normal(image.shape[:2], np.float32) * np.float32(rng.uniform(0, 4.5))
    return cv2.add(image, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U)


# ---- pose -----------------------------------------------------------------------------------------------------------------------------


def _sample_pose(rng: np.random.Generator, yaw: float | None, pitch: float | None, roll: float | None) -> Pose:
    drawn = np.clip(rng.normal(0, (22, 9, 10)), (-55, -22, -30), (55, 22, 30))
    given = [float(value) if fixed is None else float(fixed) for value, fixed in zip(drawn, (yaw, pitch, roll), strict=True)]
    return Pose(*given, distance=float(rng.uniform(600, 1800)))


def _placed(shape: FaceShape, pose: Pose, reach: float, centre: np.ndarray) -> Pose:
    """Returns the pose scaled so that the points' box has an edge of `reach` pixels and its middle at `centre`."""
    unit = project_points(shape, Pose(pose.yaw_deg, pose.pitch_deg, pose.roll_deg, 1.0, (0.0, 0.0), pose.distance))[:, :2]
    low, high = unit.min(0), unit.max(0)
    scale = reach / float((high - low).max())
    middle = np.asarray(centre) - scale * (low + high) / 2
    return Pose(pose.yaw_deg, pose.pitch_deg, pose.roll_deg, float(scale), (float(middle[0]), float(middle[1])), pose.distance)
