"""Other ways to read points from heat maps than the codec's, for comparison: nothing of them is used by the zoo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.heatmaps import LOGIT_SCALE, WINDOW_RADIUS, decode
from zoo.landmarker import Landmarker
from zoo.schemes import SCHEMES

IN_USE = f"{2 * WINDOW_RADIUS + 1} x {2 * WINDOW_RADIUS + 1} expectation, in use"
MIRRORED = "in use, averaged with the mirror image"


def expectation(maps: np.ndarray, radius: int | None = None) -> np.ndarray:
    """Returns grid points (K, 2): the expectation of the soft-max of maps (grid, grid, K) over the cells round the highest one.

    Args:
      radius: of the square of cells; None takes the whole map.
    """
    mass = np.exp(LOGIT_SCALE * maps.astype(np.float64))
    height, width, count = maps.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[:, None]
    if radius is not None:
        top, left = np.divmod(mass.reshape(-1, count).argmax(0), width)
        mass = mass * (np.abs(rows - top) <= radius)[:, None] * (np.abs(columns - left) <= radius)[None]
    total = mass.sum((0, 1))
    return np.stack([(mass.sum(0) * (columns + 0.5)).sum(0) / total, (mass.sum(1) * (rows + 0.5)).sum(0) / total], -1)


def highest_cell(maps: np.ndarray) -> np.ndarray:
    """Returns grid points (K, 2): the centre of each map's highest cell."""
    top, left = np.divmod(maps.reshape(-1, maps.shape[2]).argmax(0), maps.shape[1])
    return np.stack([left, top], -1) + 0.5


def quarter_offset(maps: np.ndarray) -> np.ndarray:
    """Returns the highest cell's centre moved by a quarter of a cell towards its higher neighbour on each axis (Newell et al., 2016)."""
    points = highest_cell(maps)
    left, top = (points - 0.5).astype(int).T
    padded, k = np.pad(maps, ((1, 1), (1, 1), (0, 0)), mode="edge"), np.arange(maps.shape[2])
    across = padded[top + 1, left + 2, k] - padded[top + 1, left, k]
    along = padded[top + 2, left + 1, k] - padded[top, left + 1, k]
    return points + 0.25 * np.sign(np.stack([across, along], -1))


DECODERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    IN_USE: lambda maps: decode(maps)[0],
    "whole-map expectation": expectation,
    "5 x 5 expectation": lambda maps: expectation(maps, 2),
    "3 x 3 expectation": lambda maps: expectation(maps, 1),
    "highest cell": highest_cell,
    "highest cell and a quarter": quarter_offset,
}


def decoded(find: Landmarker, image: np.ndarray, five: np.ndarray) -> dict[str, np.ndarray]:
    """Returns a face's 106 points (106, 2) in image pixels by every decoder, and averaged with those of the mirrored crop.

    Args:
      find: whose network is asked.
      image: (H, W, 3) uint8 RGB.
      five: (5, 2) naive image points.
    """
    if find.maps is None:
        raise ZooError(f"{find.name} decodes within its graph: there are no maps to read in other ways")
    alignment = Alignment.from_five(five, find.size, find.label_template)
    crop = alignment.crop(image)
    maps = find.maps(crop)
    stride = find.size / maps.shape[1]
    found = {name: alignment.to_image(stride * decoder(maps)) for name, decoder in DECODERS.items()}
    other = stride * decode(find.maps(np.ascontiguousarray(crop[:, ::-1])))[0] * [-1, 1] + [find.size, 0]
    mirrored = alignment.to_image(other[SCHEMES["106"].mirror])
    return found | {MIRRORED: (found[IN_USE] + mirrored) / 2}
