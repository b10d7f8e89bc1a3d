"""The codec between points and heat maps: an unrounded log-Gaussian in, a local soft-argmax out.

A map holds bounded logits in 0..6 (the network ends in ReLU6, which pins the int8 range); `LOGIT_SCALE` times the map are
the logits of a soft-max over its cells. Grid coordinates are edge-based: a point at (x, y) of the crop lies at (x, y) / stride
of the grid, and the centre of cell (i, j) is (i + 0.5, j + 0.5).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

# Soft-max logits per unit of map. With 6 x 2 = 12 between the highest and the lowest cell, a flat background of 1,024 cells
# takes at most 0.6 % of the mass, and one int8 step changes a cell's probability by 4.7 %.
LOGIT_SCALE = 2.0
MAP_MAX = 6.0
SIGMA_CELLS = 1.0
# Half of the decoding window: 7 x 7 cells hold 99.9 % of a Gaussian of sigma 1.
WINDOW_RADIUS = 3


class Decoded(NamedTuple):
    """What K maps say.

    Attributes:
      points: (K, 2) float64 grid points.
      scores: (K,) float32 in 0..1: 0 for a map that is the same everywhere, 1 where nothing lies outside the decoder's window.
      spreads: (K,) float32, the standard deviation of the soft-max within the window, in cells, as the root of the mean over both axes.
    """

    points: np.ndarray
    scores: np.ndarray
    spreads: np.ndarray


def encode(grid_points: np.ndarray, grid: int, sigma_cells: float = SIGMA_CELLS) -> np.ndarray:
    """Returns the maps (grid, grid, K) float32 that a perfect network would give for points (K, 2) in grid coordinates.

    The position is not rounded: the logits fall off with the square of the distance from the point itself, so that the
    soft-max is a Gaussian of `sigma_cells`, down to the floor of 0.
    """
    grid_points = np.asarray(grid_points, np.float64)
    centres = np.arange(grid) + 0.5
    dx2 = (centres[None, :, None] - grid_points[:, 0]) ** 2
    dy2 = (centres[:, None, None] - grid_points[:, 1]) ** 2
    return np.maximum(0.0, MAP_MAX - (dx2 + dy2) / (2 * sigma_cells**2 * LOGIT_SCALE)).astype(np.float32)


def decode(maps: np.ndarray) -> Decoded:
    """Returns grid points, scores and spreads of maps (grid, grid, K).

    A point is the expectation of the soft-max over the 7 x 7 cells round the highest one, its spread the deviation there. Its score is
    (share - base) / (1 - base): the share of the whole map's soft-max that lies in that window, less that of a flat map, which is the
    window's share of the cells, so that grids of all sizes have one scale. Within 3 cells of the border the window is cut and leans inward:
    see `tests/zoo/test_heatmaps.py` for by how much.
    """
    height, width, count = maps.shape
    mass = cv2.transpose(np.ascontiguousarray(maps, np.float32).reshape(height * width, count))
    mass *= LOGIT_SCALE
    peak = mass.argmax(1)
    np.exp(mass, out=mass)  # logits are at most 12, so no maximum need be taken off first
    return _expectation(mass, peak, height, width)


def decode_stored(maps: np.ndarray, scale: float, zero_point: int) -> Decoded:
    """Returns what `decode` does from maps (grid, grid, K) int8 as a file stores them: nothing is dequantised, and 256
    exponentials serve all cells.

    Args:
      maps: a stored value v means (v - zero_point) * scale.
      scale, zero_point: of the file's output.
    """
    height, width, count = maps.shape
    # OpenCV's table is for uint8; the order of values, and so the highest, stays the same with the top bit flipped.
    stored = cv2.transpose(np.ascontiguousarray(maps).view(np.uint8).reshape(height * width, count) ^ np.uint8(0x80))
    values = (np.arange(-128, 128) - zero_point).astype(np.float32) * np.float32(scale)
    return _expectation(cv2.LUT(stored, np.exp(values * np.float32(LOGIT_SCALE))), stored.argmax(1), height, width)


def _expectation(mass: np.ndarray, peak: np.ndarray, height: int, width: int) -> Decoded:
    """Returns what unnormalised maps (K, height * width) float32 with their highest cells (K,) say."""
    cells, inside, bases = _windows(height, width)
    flat = cells[peak] + np.arange(len(mass), dtype=np.intp)[:, None] * (height * width)
    # One product gives the mass of each window and its moments round the peak's centre.
    moments = (mass.take(flat) * inside[peak]).astype(np.float64) @ _MOMENTS
    total, off, base = moments[:, :1], moments[:, 1:3] / moments[:, :1], bases[peak]
    spreads = np.sqrt(np.maximum(moments[:, 3] / total[:, 0] - (off * off).sum(1), 0) / 2)
    scores = np.maximum(total[:, 0] / mass.sum(1) - base, 0) / (1 - base)
    centres = np.stack([peak % width, peak // width], 1) + 0.5
    return Decoded(centres + off, scores.astype(np.float32), spreads.astype(np.float32))


@lru_cache(maxsize=8)
def _windows(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the windows round a map's cells (cells, 49), which of their cells lie in it (cells, 49), and their share of it (cells,)."""
    cells = np.arange(height * width)[:, None]
    rows, columns = cells // width + _MOMENTS[:, 2].astype(int), cells % width + _MOMENTS[:, 1].astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    within = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
    return within.astype(np.intp), inside.astype(np.float32), inside.mean(1) * (inside.shape[1] / (height * width))


def _moments() -> np.ndarray:
    """Returns 1, x, y and the distance's square (49, 4) of the window's cells, from its middle."""
    offsets = np.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1, dtype=np.float64)
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    return np.stack([np.ones(x.size), x.ravel(), y.ravel(), (x * x + y * y).ravel()], 1)


_MOMENTS = _moments()
