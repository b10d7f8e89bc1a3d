"""A contact sheet of a source's faces: aligned crops with their own points drawn, so that a wrong index or half a pixel shows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.data.checks import Face
from training.readers.picture import read_picture
from training.readers.sample import Sample
from zoo.alignment import Alignment
from zoo.overlay import DOT_COLOUR, draw_points

TILE_PX, COLUMNS, ROWS = 224, 8, 4
# Crops are cut larger than the tile, so that the lines drawn on them stay fine.
_DRAWN_PX, _MARK_PX = 448, 4


def sheet(faces: Sequence[Face], columns: int = COLUMNS) -> np.ndarray:
    """Returns a contact sheet (rows x tile, columns x tile, 3) uint8 of faces, with the points their labels know; white where none is left.

    Raises:
      ZooError: a picture cannot be read.
    """
    columns = max(1, min(columns, len(faces)))
    tiles = [_tile(sample, read_picture(sample.path) if image is None else image) for sample, image in faces]
    tiles += [np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def _tile(sample: Sample, image: np.ndarray) -> np.ndarray:
    if not sample.scheme:
        return _whole(image)
    alignment = Alignment.from_five(sample.five, _DRAWN_PX)
    crop, native = alignment.crop(image), alignment.to_crop(sample.native_points)
    if sample.scheme == "106":
        native[sample.weights == 0] = np.nan
    drawn = draw_points(crop, native, scheme=sample.scheme)
    if sample.scheme == "106" and not sample.weights.all():
        _mark(drawn, native)
    return cv2.resize(drawn, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)


def _mark(crop: np.ndarray, points: np.ndarray) -> None:
    """Marks points in place, larger: where many are unknown, few lines lead the eye to the others."""
    for x, y in points[np.isfinite(points).all(1) & (points > 0).all(1) & (points < len(crop)).all(1)]:
        cv2.circle(crop, (round((x - 0.5) * 16), round((y - 0.5) * 16)), 16 * _MARK_PX, DOT_COLOUR, cv2.FILLED, cv2.LINE_AA, 4)


def _whole(image: np.ndarray) -> np.ndarray:
    """Returns a picture scaled into a white tile."""
    height, width = image.shape[:2]
    scale = TILE_PX / max(height, width)
    small = cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    tile = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    top, left = (TILE_PX - small.shape[0]) // 2, (TILE_PX - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile
