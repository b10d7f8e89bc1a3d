"""Videos of one face whose every motion is known, rendered from its picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from zoo.alignment import LABEL_EYE_DISTANCE, Alignment

FRAMES_PER_S = 30.0
SIZE_PX = 400
# The face's eyes lie this share of the frame apart, its middle in the frame's middle.
_EYES_SHARE = 0.22
# A camera on a table: what is between two frames of a face that rests.
STILL_SHIFT_PX, STILL_ROTATION_DEG, NOISE_LEVELS, QUALITIES = 0.5, 0.5, 3.0, (70, 90)
# A head that nods, turns in the picture's plane and comes nearer: reach in eye distances, degrees and as a factor; periods in seconds.
SWAY, TURN_DEG, GROWTH = 0.6, 12.0, 1.12
_PERIODS_S = (1.6, 2.3, 2.9)
_NO_MOTION = Alignment(np.eye(2, 3), SIZE_PX)


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: pixels (SIZE_PX, SIZE_PX, 3) uint8, its time, and the similarity from the still reference frame into it."""

    image: np.ndarray
    time_s: float
    motion: Alignment

    def to_reference(self, points: np.ndarray) -> np.ndarray:
        """Returns frame points (N, 2) where they would lie, had the face not moved."""
        return self.motion.to_image(points)


def resting(image: np.ndarray, five: np.ndarray, frames: int, seed: int) -> Iterator[Frame]:
    """Yields a face that rests before a camera at rest: only noise and compression are new in every frame; as `still`."""
    rng, reference = np.random.default_rng(seed), _reference(five)
    for index in range(frames):
        yield _frame(image, reference, (0.0, 1.0, np.zeros(2)), index / FRAMES_PER_S, rng)


def still(image: np.ndarray, five: np.ndarray, frames: int, seed: int) -> Iterator[Frame]:
    """Yields a face that rests before a trembling, noisy camera: sub-pixel shifts, small rotations, fresh noise and compression.

    Args:
      image: (H, W, 3) uint8 RGB.
      five: (5, 2) image points: eyes, nose tip, mouth corners.
    """
    rng, reference = np.random.default_rng(seed), _reference(five)
    for index in range(frames):
        rotation_deg, shift = rng.uniform(-STILL_ROTATION_DEG, STILL_ROTATION_DEG), rng.uniform(-STILL_SHIFT_PX, STILL_SHIFT_PX, 2)
        yield _frame(image, reference, (rotation_deg, 1.0, shift), index / FRAMES_PER_S, rng)


def moving(image: np.ndarray, five: np.ndarray, frames: int, seed: int) -> Iterator[Frame]:
    """Yields a face that sways, turns in the picture's plane and comes nearer and goes, before the same noisy camera; as `still`."""
    rng, reference = np.random.default_rng(seed), _reference(five)
    phases, eyes_px = rng.uniform(0, 2 * np.pi, 4), _EYES_SHARE * SIZE_PX
    for index in range(frames):
        time_s = index / FRAMES_PER_S
        across, turn, nearer = (np.sin(2 * np.pi * time_s / period + phase) for period, phase in zip(_PERIODS_S, phases, strict=False))
        down = np.sin(2 * np.pi * time_s / _PERIODS_S[1] + phases[3])
        shift = np.array([across, 0.5 * down]) * SWAY / 2 * eyes_px
        yield _frame(image, reference, (TURN_DEG * turn, GROWTH**nearer, shift), time_s, rng)


def _reference(five: np.ndarray) -> Alignment:
    """Returns the similarity from the picture to the still frame."""
    eyes, middle = five[1] - five[0], five.mean(0)
    scale = _EYES_SHARE * SIZE_PX / np.linalg.norm(eyes)
    return Alignment(np.column_stack([scale * np.eye(2), SIZE_PX / 2 - scale * middle]), SIZE_PX)


def scale_of(five: np.ndarray) -> float:
    """Returns how many pixels of the still frame one pixel of the picture is."""
    return _reference(five).scale


def _frame(
    image: np.ndarray, reference: Alignment, motion: tuple[float, float, np.ndarray], time_s: float, rng: np.random.Generator
) -> Frame:
    """Returns the frame that shows the reference frame turned in degrees and scaled about its middle, then shifted in pixels."""
    rotation_deg, scale, shift_px = motion
    jitter = rotation_deg, scale, shift_px / LABEL_EYE_DISTANCE / SIZE_PX
    clean = reference.perturbed(*jitter).crop(image, cv2.BORDER_REPLICATE)
    pixels = clean + rng.normal(0, NOISE_LEVELS, clean.shape)
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    _, packed = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Frame(np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1]), time_s, _NO_MOTION.perturbed(*jitter))
