"""The worst faces on one sheet: truth and prediction in two colours."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.evaluation.faces import Face, known_points, measurable, picture, title
from training.evaluation.measure import Evaluation
from training.evaluation.report import WORST, worst_faces
from zoo.alignment import Alignment

TRUE_COLOUR, FOUND_COLOUR, JOIN_COLOUR = (60, 235, 120), (255, 96, 40), (255, 230, 90)
_TILE_PX, _COLUMNS, _TEXT_PX, _HEADING_PX = 260, 5, 20, 30
# The aligned crop is shrunk so that points found outside it are still seen.
_SHRINK = 0.74
_BINARY_PLACES = 4


def worst_sheet(results: Sequence[tuple[Evaluation, Sequence[Face]]], count: int = WORST) -> np.ndarray:
    """Returns a picture (H, W, 3) uint8: for each evaluation a heading and its worst faces, the worst first.

    Each tile is the upright aligned face with the true points, those found, and what lies between them.
    """
    blocks = []
    for result, given in results:
        faces = measurable(given)
        tiles = [_tile(result, faces, index, rank) for rank, index in enumerate(worst_faces(result, count), 1)]
        blank = np.full_like(tiles[0], 255)
        tiles += [blank] * (-len(tiles) % _COLUMNS)
        rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
        blocks += [_heading(f"{result.model} on {title(result.source)}: the worst of {len(faces)} faces", rows[0].shape[1]), *rows]
    return np.vstack(blocks)


def _heading(title: str, width: int) -> np.ndarray:
    bar = np.full((_HEADING_PX, width, 3), 255, np.uint8)
    end = _write(bar, title, 8, (20, 20, 20))
    end = _write(bar, "true", end + 24, tuple(c // 2 for c in TRUE_COLOUR))
    _write(bar, "found", end + 12, FOUND_COLOUR)
    return bar


def _write(bar: np.ndarray, text: str, x: int, colour: tuple[int, ...], scale: float = 0.5) -> int:
    """Writes into the bar in place; returns where the text ends. OpenCV's letters are ASCII alone."""
    text = text.encode("ascii", "replace").decode()
    cv2.putText(bar, text, (x, bar.shape[0] - 6), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return x + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]


def _tile(result: Evaluation, faces: Sequence[Face], index: int, rank: int) -> np.ndarray:
    sample = faces[index][0]
    alignment = Alignment.from_five(sample.five, _TILE_PX).perturbed(scale=_SHRINK)
    crop, known = alignment.crop(picture(faces[index])), known_points(sample)
    true, found = (alignment.to_crop(points)[known] for points in (sample.native_points, result.points[index]))
    if result.found[index]:
        for a, b in zip(true, found, strict=True):
            cv2.line(crop, _fixed(a), _fixed(b), JOIN_COLOUR, 1, cv2.LINE_AA, _BINARY_PLACES)
        _dots(crop, found, FOUND_COLOUR)
    _dots(crop, true, TRUE_COLOUR)
    error = f"{100 * result.nme[index]:.1f} % of eyes" if result.found[index] else "missed by the detector"
    lines = []
    for line in (f"{rank}: {error}, yaw {result.yaw_deg[index]:+.0f}", result.pictures[index]):
        lines.append(np.full((_TEXT_PX, _TILE_PX, 3), 255, np.uint8))
        _write(lines[-1], line, 4, (20, 20, 20), 0.42)
    return np.vstack([crop, *lines])


def _dots(crop: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    for point in points:
        cv2.circle(crop, _fixed(point), 28, colour, cv2.FILLED, cv2.LINE_AA, _BINARY_PLACES)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Returns a point as OpenCV's fixed-point coordinates, in which pixel centres lie on integers; far away is cut to near."""
    x, y = np.rint((np.clip(point, -_TILE_PX, 2 * _TILE_PX) - 0.5) * (1 << _BINARY_PLACES)).astype(int)
    return int(x), int(y)
