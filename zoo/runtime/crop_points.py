"""What a network finds in a crop, whatever runs it: the one place where maps become points in crop pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.heatmaps import Decoded, decode, decode_stored


@dataclass(frozen=True, eq=False)
class CropPoints:
    """What a network finds in one crop.

    Attributes:
      points: (K, 2) in crop pixels, edge-based.
      scores: (K,) float32 in 0..1, how much of each heat map agrees with its point: see `zoo.heatmaps.Decoded`.
      spreads: (K,) float32 in crop pixels, how widely each heat map is spread round its point.
    """

    points: np.ndarray
    scores: np.ndarray
    spreads: np.ndarray


def from_maps(maps: np.ndarray, size: int) -> CropPoints:
    """Returns what heat maps (grid, grid, K) of real values (see `zoo.heatmaps`) say of a crop whose side is `size` pixels."""
    return _in_pixels(decode(maps), size / maps.shape[1])


def from_stored_maps(maps: np.ndarray, size: int, scale: float, zero_point: int) -> CropPoints:
    """Returns the same of maps as an int8 file stores them, faster: see `zoo.heatmaps.decode_stored`."""
    return _in_pixels(decode_stored(maps, scale, zero_point), size / maps.shape[1])


def _in_pixels(found: Decoded, stride_px: float) -> CropPoints:
    return CropPoints(found.points * stride_px, found.scores, found.spreads * np.float32(stride_px))
