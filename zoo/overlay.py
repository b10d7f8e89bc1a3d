"""Landmarks drawn on a copy of a picture: contours and points, sized to the face and placed to a fraction of a pixel."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np

from zoo.errors import ZooError
from zoo.images import as_rgb
from zoo.schemes import Scheme, get_scheme

# Shares of the face's size (root of the area of the box round its points).
LINE_SHARE = 0.0055
DOT_SHARE = 0.0075
TEXT_SHARE = 0.024
MIN_LINE_PX, MIN_DOT_PX, MIN_TEXT_PX = 0.6, 0.9, 7.0

LINE_COLOUR = (255, 255, 255)
DOT_COLOUR = (64, 224, 255)
HALO_COLOUR = (16, 20, 28)
HALO_STRENGTH = 0.45
# A point that is less visible than this is a ring: so much larger than a dot, with a hole of this share.
HOLLOW_BELOW, HOLLOW_SIZE, HOLLOW_SHARE = 0.5, 1.5, 0.65
# From a score of 0 to 1: red, amber, green; read between the stops.
SCORE_STOPS = np.array([0.0, 0.5, 1.0])
SCORE_COLOURS = np.array([[255, 59, 48], [255, 196, 0], [52, 232, 124]], np.float64)

# Coordinates reach OpenCV as integers with this many binary places.
_SHIFT = 4
# Thinner strokes than this many pixels are drawn enlarged and shrunk, since OpenCV's strokes are whole pixels wide.
_FINE_STROKE_PX = 3.0
_MAX_ENLARGEMENT = 4


def draw_points(
    image: np.ndarray,
    points: np.ndarray,
    scores: np.ndarray | None = None,
    scheme: str = "106",
    indices: bool = False,
    visible: np.ndarray | None = None,
) -> np.ndarray:
    """Returns a copy of the picture with the landmarks of one or more faces.

    Args:
      image: (H, W, 3) uint8 RGB, or what `as_rgb` accepts; it is not changed.
      points: (N, 2) or, for several faces, (faces, N, 2) image points; points that are not finite are left out.
      scores: (N,) or (faces, N) from 0 to 1; points are then coloured from red to green.
      scheme: the scheme whose N points these are.
      indices: whether each point bears its number.
      visible: (N,) or (faces, N) from 0 to 1; points below a half are drawn hollow.

    Raises:
      ZooError: the points, scores or visibilities do not fit the scheme.
    """
    layout = get_scheme(scheme)
    points = np.asarray(points, np.float64)
    faces = points[None] if points.ndim == 2 else points
    if faces.ndim != 3 or faces.shape[1:] != (layout.count, 2):
        raise ZooError(f"scheme {layout.name} needs points of shape ({layout.count}, 2), received {points.shape}")
    scores, visible = _checked(scores, points, "scores"), _checked(visible, points, "visibilities")
    picture = as_rgb(image).copy()
    for index, face in enumerate(faces):
        hollow = np.zeros(layout.count, bool) if visible is None else visible[index] < HOLLOW_BELOW
        _draw_face(picture, face, None if scores is None else scores[index], layout, indices, hollow)
    return picture


def _checked(values: np.ndarray | None, points: np.ndarray, what: str) -> np.ndarray | None:
    """Returns values (faces, N) of points (N, 2) or (faces, N, 2), or a ZooError."""
    if values is None:
        return None
    values = np.asarray(values, np.float64)
    if values.shape != points.shape[:-1]:
        raise ZooError(f"points of shape {points.shape} need {what} of shape {points.shape[:-1]}, received {values.shape}")
    return values.reshape(-1, points.shape[-2])


def score_colours(scores: np.ndarray) -> np.ndarray:
    """Returns RGB (N, 3) uint8 for scores (N,): red at 0, amber at a half, green at 1; a score that is not a number is red."""
    clean = np.nan_to_num(np.clip(scores, 0, 1))
    return np.stack([np.interp(clean, SCORE_STOPS, channel) for channel in SCORE_COLOURS.T], -1).round().astype(np.uint8)


def _draw_face(
    picture: np.ndarray, points: np.ndarray, scores: np.ndarray | None, layout: Scheme, indices: bool, hollow: np.ndarray
) -> None:
    """Draws one face into the picture in place."""
    shown = np.isfinite(points).all(1)
    # Far outside the picture OpenCV's fixed-point coordinates would overflow.
    shown &= (np.abs(np.nan_to_num(points)) < 4 * max(picture.shape[:2]) + 1000).all(1)
    if not shown.any():
        return
    low, high = points[shown].min(0), points[shown].max(0)
    size = max(math.sqrt(float(np.prod(high - low))), float((high - low).max()) / 2, 1.0)
    line_px, dot_px = max(LINE_SHARE * size, MIN_LINE_PX), max(DOT_SHARE * size, MIN_DOT_PX)
    text_px = max(TEXT_SHARE * size, MIN_TEXT_PX) if indices else 0.0

    margin = math.ceil(3 * dot_px + 3 * text_px + 2)
    x0, y0 = np.maximum(np.floor(low).astype(int) - margin, 0)
    x1, y1 = np.minimum(np.ceil(high).astype(int) + margin, [picture.shape[1], picture.shape[0]])
    if x1 <= x0 or y1 <= y0:
        return
    enlargement = int(np.clip(math.ceil(_FINE_STROKE_PX / line_px), 1, _MAX_ENLARGEMENT))
    area = ((y1 - y0, x1 - x0), (x0, y0), enlargement)
    # A faint dark halo under all strokes keeps them visible on any skin and background.
    halo, pen = _Pen(*area), _Pen(*area)
    _draw_lines(halo, points, shown, layout, 2.4 * line_px, HALO_COLOUR)
    _draw_lines(pen, points, shown, layout, line_px, LINE_COLOUR)
    colours = np.tile(DOT_COLOUR, (layout.count, 1)) if scores is None else score_colours(scores)
    for point, colour, ring in zip(points[shown], colours[shown], hollow[shown], strict=True):
        radius_px = HOLLOW_SIZE * dot_px if ring else dot_px
        halo.dot(point, 1.7 * radius_px, HALO_COLOUR)
        pen.dot(point, 1.2 * radius_px, HALO_COLOUR)
        pen.dot(point, radius_px, colour.tolist())
        if ring:
            pen.dot(point, HOLLOW_SHARE * radius_px, HALO_COLOUR)
    if indices:
        for index in np.flatnonzero(shown):
            pen.text(str(index), points[index] + [1.6 * dot_px, -1.6 * dot_px], text_px)
    halo.lay_on(picture, HALO_STRENGTH)
    pen.lay_on(picture, 1.0)


def _draw_lines(pen: _Pen, points: np.ndarray, shown: np.ndarray, layout: Scheme, width_px: float, colour: tuple[int, int, int]) -> None:
    for part in layout.parts.values():
        indices = [*part.indices, part.indices[0]] if part.closed else list(part.indices)
        for a, b in itertools.pairwise(indices):
            if shown[a] and shown[b]:
                pen.line(points[a], points[b], width_px, colour)


class _Pen:
    """A transparent layer over part of a picture, drawn enlarged so that strokes may be fractions of a pixel wide."""

    def __init__(self, shape: tuple[int, int], origin: tuple[int, int], enlargement: int):
        self.shape, self.origin, self.enlargement = shape, np.asarray(origin, np.float64), enlargement
        height, width = shape[0] * enlargement, shape[1] * enlargement
        # Colour over black and opacity over nothing: together a picture with premultiplied transparency.
        self.colour, self.opacity = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)

    def _fixed(self, point: np.ndarray) -> tuple[int, int]:
        # OpenCV puts pixel centres on integers; ours lie at i + 0.5.
        x, y = np.rint(((point - self.origin) * self.enlargement - 0.5) * (1 << _SHIFT)).astype(int)
        return int(x), int(y)

    def line(self, start: np.ndarray, end: np.ndarray, width_px: float, colour: tuple[int, int, int]) -> None:
        thickness = max(1, round(width_px * self.enlargement))
        for layer, value in ((self.colour, colour), (self.opacity, 255)):
            cv2.line(layer, self._fixed(start), self._fixed(end), value, thickness, cv2.LINE_AA, _SHIFT)

    def dot(self, centre: np.ndarray, radius_px: float, colour: tuple[int, int, int]) -> None:
        radius = round(radius_px * self.enlargement * (1 << _SHIFT))
        for layer, value in ((self.colour, colour), (self.opacity, 255)):
            cv2.circle(layer, self._fixed(centre), radius, value, cv2.FILLED, cv2.LINE_AA, _SHIFT)

    def text(self, text: str, corner: np.ndarray, height_px: float) -> None:
        x, y = (int(value) >> _SHIFT for value in self._fixed(corner))
        scale = height_px * self.enlargement / 22  # Hershey's digits are 22 px high at scale 1
        stroke = max(1, round(1.6 * scale))
        for width, colour in ((stroke + max(2, round(2.5 * scale)), HALO_COLOUR), (stroke, LINE_COLOUR)):
            for layer, value in ((self.colour, colour), (self.opacity, 255)):
                cv2.putText(layer, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, value, width, cv2.LINE_AA)

    def lay_on(self, picture: np.ndarray, strength: float) -> None:
        """Lays the layer on the picture in place; a `strength` of 1 leaves strokes opaque."""
        colour, opacity = self.colour, self.opacity
        if self.enlargement > 1:
            size = (self.shape[1], self.shape[0])
            colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
            opacity = cv2.resize(opacity, size, interpolation=cv2.INTER_AREA)
        x, y = self.origin.astype(int)
        under = picture[y : y + self.shape[0], x : x + self.shape[1]]
        # Rows apart, so that a large face needs no float copy of the whole picture.
        parts = round(256 * strength)
        for row in range(0, self.shape[0], 256):
            rows = slice(row, row + 256)
            through = 255 * 256 - opacity[rows].astype(np.uint32)[..., None] * parts
            mixed = colour[rows].astype(np.uint32) * (parts * 255) + under[rows] * through
            under[rows] = np.minimum((mixed + 255 * 128) // (255 * 256), 255)
