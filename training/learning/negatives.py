"""Crops that show no aligned face, so that a network learns to spread its maps where there is nothing to find."""

from __future__ import annotations

import cv2
import numpy as np

from zoo.alignment import Alignment

# The face lies on its side or upside down, fills the crop many times over, is far too small, or lies beside the crop.
_TURN_DEG, _CLOSE, _FAR, _BESIDE = (70.0, 290.0), (3.0, 8.0), (0.1, 0.3), (2.0, 3.0)
_KINDS = ("turned", "close", "far", "beside", "plain")
_CHANCES = (0.4, 0.15, 0.1, 0.15, 0.2)


def negative_crop(image: np.ndarray, alignment: Alignment, rng: np.random.Generator) -> np.ndarray:
    """Returns a crop (S, S, 3) uint8 without a face where one would be after alignment.

    Args:
      image: (H, W, 3) uint8, a picture of a face.
      alignment: of that face.
    """
    kind = rng.choice(_KINDS, p=_CHANCES)
    if kind == "plain":
        return _plain(alignment.size, rng)
    turn_deg, scale, shift = 0.0, float(rng.uniform(0.8, 1.25)), np.zeros(2)
    if kind == "turned":
        turn_deg = float(rng.uniform(*_TURN_DEG))
    elif kind in ("close", "far"):
        scale, shift = float(rng.uniform(*(_CLOSE if kind == "close" else _FAR))), rng.uniform(-0.5, 0.5, 2)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        shift = rng.uniform(*_BESIDE) * np.array([np.cos(angle), np.sin(angle)])
    return alignment.perturbed(turn_deg, scale, tuple(shift)).crop(image)


def _plain(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a flat colour, a gradient, blurred spots or noise, (size, size, 3) uint8."""
    base = np.full((size, size, 3), rng.uniform(0, 255, 3), np.float32)
    kind = rng.integers(4)
    if kind == 1:
        rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
        base += (rows * rng.uniform(-200, 200) + columns * rng.uniform(-200, 200))[..., None]
    elif kind > 1:
        noise = rng.normal(0, rng.uniform(5, 80), (size, size, 3)).astype(np.float32)
        base += cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(1, size / 8))) * 6 if kind == 2 else noise
    return np.clip(base, 0, 255).astype(np.uint8)
