"""Figures as SVG: the picture, and over it points, contours, heat maps and arrows, sharp at any zoom.

SVG's coordinates are edge-based like ours, so image points are written down as they are and a zoom is another view box.
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from demo.compare import Finding
from zoo.alignment import Alignment
from zoo.heatmaps import LOGIT_SCALE
from zoo.overlay import HOLLOW_BELOW, score_colours
from zoo.schemes import get_scheme

# Told apart on skin, on white and on black; the first eight also by those who see red and green alike (with the words beside them).
PALETTE = (
    "#0a9bc4", "#e4572e", "#6a9f00", "#8b5cf6", "#c98a00", "#d6336c", "#0f9d8a", "#7a7f8a", "#3f6fe0", "#9a5b2f", "#c026d3", "#2e7d32",
    "#8a8420", "#8f4a6f",
)  # fmt: skip
TRUTH_COLOUR = "#ffffff"
ARROW_COLOUR = "#ffe14d"
REGIONS = {
    "Face": tuple(get_scheme("106").parts),
    "Left eye": ("left_eye", "left_pupil", "left_brow"),
    "Right eye": ("right_eye", "right_pupil", "right_brow"),
    "Nose": ("nose", "nose_bridge"),
    "Mouth": ("outer_lip", "inner_lip"),
}
WHOLE = "Whole picture"
LAYERS = ("Points", "Contours", "Numbers", "Confidence", "Heat maps")
HEAT_OPTIONS = ("all points", *(f"{index} {name}" for index, name in enumerate(get_scheme("106").names)))
# A region this narrow is shown as single pixels, and its heat maps as single cells.
PIXEL_VIEW_PX = 160
MAX_SENT_PX = 960
_CSS_PX = 420  # what a figure is drawn for: strokes are given in units of its width over this
_ASPECT = {"Face": 1.0, "Left eye": 1.4, "Right eye": 1.4, "Nose": 1.0, "Mouth": 1.4}
_MARGIN = {"Face": 0.18}


def palette(count: int) -> list[str]:
    """Returns `count` colours, in order, round and round."""
    return list(itertools.islice(itertools.cycle(PALETTE), count))


@dataclass(frozen=True)
class View:
    """A rectangle of the picture in whole image pixels, which may reach beyond it; `single_pixels` if they are to be seen as such."""

    x0: int
    y0: int
    x1: int
    y1: int
    single_pixels: bool

    @property
    def unit(self) -> float:
        """Image pixels per CSS pixel of a figure of usual width."""
        return max(self.x1 - self.x0, (self.y1 - self.y0)) / _CSS_PX


def view_of(shape: tuple[int, ...], region: str, faces: Sequence[np.ndarray] = ()) -> View:
    """Returns the view of a region that holds the points (106, 2) of all `faces`, one for all columns; else the whole picture."""
    height, width = shape[:2]
    if region not in REGIONS or not len(faces):
        return View(0, 0, width, height, width <= PIXEL_VIEW_PX)
    indices = sorted({index for part in REGIONS[region] for index in get_scheme("106").parts[part].indices})
    points = np.concatenate([face[indices] for face in faces])
    low, high = points.min(0), points.max(0)
    centre, (wide, high_px) = (low + high) / 2, np.maximum(high - low, 1.0) * (1 + 2 * _MARGIN.get(region, 0.22))
    wide = max(wide, high_px * _ASPECT[region], 8.0)
    half = np.array([wide, wide / _ASPECT[region]]) / 2
    (x0, y0), (x1, y1) = np.floor(centre - half).astype(int), np.ceil(centre + half).astype(int)
    return View(int(x0), int(y0), int(x1), int(y1), bool(x1 - x0 <= PIXEL_VIEW_PX))


def findings_layers(findings: Sequence[Finding], colour: str, view: View, shown: Sequence[str], point: int | None = None) -> list[str]:
    """Returns the layers that a visitor has switched on, of every face that one file has found.

    Args:
      findings: what the file finds on each face in the view.
      colour: of its points.
      view: what is shown.
      shown: among `LAYERS`.
      point: whose heat map is shown; None for all.
    """
    layers = []
    for finding in findings:
        if "Heat maps" in shown and finding.maps is not None:
            layers.append(heat_layer(finding.maps, finding.alignment, view, point))
        if "Contours" in shown:
            layers.append(contours_layer(finding.points, "#ffffff", view))
        by_score, numbers = "Confidence" in shown, "Numbers" in shown
        if "Points" in shown or by_score or numbers:
            layers.append(points_layer(finding.points, finding.scores, colour, view, finding.sigmas, finding.visible,
                                       by_score=by_score, numbers=numbers))  # fmt: skip
    return layers


def difference_layers(first: np.ndarray, second: np.ndarray, times: float, colours: tuple[str, str], view: View) -> list[str]:
    """Returns two sets of points (106, 2) in their colours, and arrows from the first, `times` as long as the difference."""
    return [
        points_layer(second, None, colours[1], view),
        points_layer(first, None, colours[0], view),
        arrows_layer(first, second, times, ARROW_COLOUR, view),
    ]


def drift_layers(calm: np.ndarray, finding: Finding, colour: str, view: View) -> list[str]:
    """Returns the crop's outline, the points (106, 2) as they are now, and arrows to them from where they were undisturbed."""
    side = finding.alignment.size
    corners = finding.alignment.to_image(np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float64))
    return [
        outline_layer(corners, "#ffffff", view),
        contours_layer(finding.points, "#ffffff", view),
        points_layer(finding.points, finding.scores, colour, view, visible=finding.visible),
        arrows_layer(calm, finding.points, 1, ARROW_COLOUR, view),
    ]


def picture_layer(image: np.ndarray, view: View) -> str:
    """Returns the part of (H, W, 3) uint8 RGB that a view shows: exact pixels where they are seen, else JPEG of at most `MAX_SENT_PX`."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(view.x0, 0), max(view.y0, 0), min(view.x1, width), min(view.y1, height)
    if x0 >= x1 or y0 >= y1:
        return ""
    part = image[y0:y1, x0:x1]
    scale = min(1.0, MAX_SENT_PX / max(part.shape[:2]))
    if scale < 1:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    look = "pixelated" if view.single_pixels else "auto"
    return _image(_packed(part, exact=view.single_pixels), x0, y0, x1 - x0, y1 - y0, look)


def contours_layer(points: np.ndarray, colour: str, view: View) -> str:
    """Returns the parts of one face (106, 2) as lines over a dark halo."""
    lines = []
    for part in get_scheme("106").parts.values():
        if len(part.indices) > 1:
            path = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points[list(part.indices)]) + ("Z" if part.closed else "")
            lines.append(f'<path d="{path}"/>')
    drawn, width = "".join(lines), float(np.clip(0.006 * _size(points), 0.5 * view.unit, 1.4 * view.unit))
    style = 'fill="none" stroke-linejoin="round" stroke-linecap="round"'
    return (
        f'<g {style} stroke="#0b1018" stroke-opacity=".45" stroke-width="{2.3 * width:.3f}">{drawn}</g>'
        f'<g {style} stroke="{colour}" stroke-opacity=".95" stroke-width="{width:.3f}">{drawn}</g>'
    )


def points_layer(
    points: np.ndarray,
    scores: np.ndarray | None,
    colour: str,
    view: View,
    sigmas: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    *,
    by_score: bool = False,
    numbers: bool = False,
) -> str:
    """Returns one face's points (106, 2), each with its number, name, place and confidence to read when pointed at.

    Args:
      points: image pixels.
      scores: (106,) in 0..1, or None where there are none (the truth).
      colour: of all points unless `by_score`, which goes from red over amber to green.
      view: what is shown; strokes follow its size.
      sigmas: (106,) image pixels; with `by_score` each point stands in a circle of this radius.
      visible: (106,) in 0..1; points that are more likely occluded than seen are hollow.
      by_score: whether to show confidence.
      numbers: whether each bears its index.
    """
    unit, names = view.unit, get_scheme("106").names
    size = _size(points)
    radius = float(np.clip(0.0085 * size, 0.9 * unit, 3.4 * unit))
    colours = [colour] * len(points)
    if by_score and scores is not None:
        colours = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in score_colours(scores)]
    hollow = np.zeros(len(points), bool) if visible is None else np.asarray(visible) < HOLLOW_BELOW
    circles = [f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{sigma:.3f}" stroke="{fill}" fill="{fill}"/>'
               for (x, y), sigma, fill in zip(points, () if sigmas is None else sigmas, colours, strict=False) if by_score]  # fmt: skip
    dots, texts = [], []
    for index, ((x, y), fill) in enumerate(zip(points, colours, strict=True)):
        score = "" if scores is None else f", score {scores[index]:.2f}"
        score += "" if sigmas is None else f", sigma {sigmas[index]:.2f} px"
        score += "" if visible is None else f", visible {visible[index]:.2f}"
        title = f"<title>{index} {names[index]} ({x:.2f}, {y:.2f}){score}</title>"
        if view.single_pixels:  # a ring leaves the pixels under it to be seen, and its middle is the point
            dots.append(f'<circle cx="{x:.3f}" cy="{y:.3f}" r="{4 * unit:.3f}" stroke="{fill}">{title}</circle>')
            dots.append(f'<circle class="core" cx="{x:.3f}" cy="{y:.3f}" r="{1.1 * unit:.3f}" fill="{fill}" stroke="none"/>')
        elif hollow[index]:
            ring = f'fill="#0b101855" stroke="{fill}" stroke-width="{0.55 * radius:.3f}" class="hollow"'
            dots.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{0.8 * radius:.3f}" {ring}>{title}</circle>')
        else:
            dots.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.3f}" fill="{fill}">{title}</circle>')
        if numbers:
            texts.append(f'<text x="{x + 1.5 * radius:.2f}" y="{y - 1.5 * radius:.2f}">{index}</text>')
    style = (
        f'fill="#00000001" stroke-width="{1.6 * unit:.3f}"' if view.single_pixels else f'stroke="#0b1018" stroke-width="{0.2 * radius:.3f}"'
    )
    font = float(np.clip(0.026 * size, 5 * unit, 11 * unit))
    halo = (
        f'fill="#fff" stroke="#0b1018" stroke-width="{font / 5:.3f}" paint-order="stroke" font-size="{font:.2f}" font-family="sans-serif"'
    )
    faint = f'fill-opacity=".12" stroke-opacity=".8" stroke-width="{0.7 * unit:.3f}"'
    around = f'<g class="sigmas" {faint}>{"".join(circles)}</g>' if circles else ""
    return f'{around}<g class="points" {style}>{"".join(dots)}</g>' + (f"<g {halo}>{''.join(texts)}</g>" if texts else "")


def heat_layer(maps: np.ndarray, alignment: Alignment, view: View, point: int | None = None) -> str:
    """Returns heat maps (grid, grid, 106) laid on the picture through the alignment's inverse: of one point, or the strongest of all.

    What is shown is each map's soft-max over its own highest value.
    """
    chosen = maps if point is None else maps[..., point : point + 1]
    mass = np.exp(LOGIT_SCALE * (chosen - chosen.max((0, 1))))
    heat = np.rint(255 * mass.max(-1)).astype(np.uint8)
    rgba = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGBA)
    rgba[..., 3] = np.minimum(1.6 * heat, 130 if view.single_pixels else 215).astype(np.uint8)
    cell_px = alignment.size / heat.shape[0]
    origin, right, down = alignment.to_image(np.array([[0, 0], [cell_px, 0], [0, cell_px]], np.float64))
    (a, b), (c, d), (e, f) = right - origin, down - origin, origin
    packed = "png;base64," + base64.b64encode(cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1]).decode()
    look = "pixelated" if view.single_pixels else "auto"
    inner = _image(packed, 0, 0, heat.shape[1], heat.shape[0], look)
    return f'<g class="heat" transform="matrix({a:.5f} {b:.5f} {c:.5f} {d:.5f} {e:.4f} {f:.4f})">{inner}</g>'


def arrows_layer(start: np.ndarray, end: np.ndarray, times: float, colour: str, view: View) -> str:
    """Returns arrows from each of the points (106, 2) towards where the other set has it, `times` as long as the difference."""
    unit, lines = view.unit, []
    for (x, y), (dx, dy) in zip(start, times * (end - start), strict=True):
        length = math.hypot(dx, dy)
        if length < 0.2 * unit:
            continue
        ux, uy = dx / length, dy / length
        head = min(5 * unit, 0.6 * length)
        tip = (x + dx, y + dy)
        sides = [(tip[0] - head * (ux + s * 0.5 * uy), tip[1] - head * (uy - s * 0.5 * ux)) for s in (1, -1)]
        barbs = "L".join(f"{px:.3f} {py:.3f}" for px, py in (sides[0], tip, sides[1]))
        lines.append(f'<path d="M{x:.3f} {y:.3f}L{tip[0]:.3f} {tip[1]:.3f}M{barbs}"/>')
    drawn = "".join(lines)
    style = 'fill="none" stroke-linecap="round" stroke-linejoin="round"'
    return (
        f'<g {style} stroke="#0b1018" stroke-opacity=".55" stroke-width="{3.4 * unit:.3f}">{drawn}</g>'
        f'<g class="arrows" {style} stroke="{colour}" stroke-width="{1.7 * unit:.3f}">{drawn}</g>'
    )


def outline_layer(corners: np.ndarray, colour: str, view: View) -> str:
    """Returns a closed dashed line through points (N, 2); its first corner, the crop's top left, bears a dot."""
    path = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in corners) + "Z"
    unit, (x, y) = view.unit, corners[0]
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{1.6 * unit:.3f}" stroke-dasharray="{6 * unit:.2f} {4 * unit:.2f}"/>'
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{4 * unit:.2f}" fill="{colour}"/>'
    )


def boxes_layer(boxes: Iterable[Sequence[float]], chosen: int, view: View) -> str:
    """Returns the faces' boxes (x0, y0, x1, y1) with their numbers, the chosen one brighter; for pictures of several faces."""
    unit, drawn = view.unit, []
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        opacity = 0.95 if number == chosen else 0.5
        drawn.append(
            f'<g opacity="{opacity}"><rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" rx="{4 * unit:.2f}" '
            f'fill="none" stroke="#fff" stroke-width="{1.4 * unit:.3f}"/><text x="{x0 + 4 * unit:.1f}" y="{y0 - 4 * unit:.1f}" fill="#fff" '
            f'stroke="#0b1018" stroke-width="{2 * unit:.3f}" paint-order="stroke" font-size="{12 * unit:.2f}" '
            f'font-family="sans-serif">{number + 1}</text></g>'
        )
    return "".join(drawn)


def marks_layer(clicked: Sequence[Sequence[float]], colour: str, view: View) -> str:
    """Returns numbered marks at the points a visitor has clicked."""
    unit = view.unit
    return "".join(
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{5 * unit:.2f}" fill="{colour}" stroke="#fff" stroke-width="{1.5 * unit:.2f}"/>'
        f'<text x="{x + 8 * unit:.2f}" y="{y + 4 * unit:.2f}" fill="#fff" stroke="#0b1018" stroke-width="{2.5 * unit:.2f}" '
        f'paint-order="stroke" font-size="{13 * unit:.2f}" font-family="sans-serif">{number}</text>'
        for number, (x, y) in enumerate(clicked, 1)
    )


def _size(points: np.ndarray) -> float:
    """Returns the root of the area of the box round points (N, 2), in image pixels."""
    return math.sqrt(max(float(np.prod(np.ptp(points, axis=0))), 1.0))


def figure(view: View, label: str, *layers: str) -> str:
    """Returns a whole SVG of the layers in order; `label` is what a screen reader says of it."""
    box = f"{view.x0} {view.y0} {view.x1 - view.x0} {view.y1 - view.y0}"
    said = escape(label, quote=True)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" aria-label="{said}">{"".join(layers)}</svg>'


def _image(packed: str, x: float, y: float, width: float, height: float, look: str) -> str:
    place = f'x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none"'
    return f'<image {place} style="image-rendering:{look}" href="data:image/{packed}"/>'


def _packed(rgb: np.ndarray, exact: bool) -> str:
    """Returns a picture as `png;base64,...` or `jpeg;base64,...`."""
    kind, options = (".png", []) if exact else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90])
    content = base64.b64encode(cv2.imencode(kind, np.ascontiguousarray(rgb[..., ::-1]), options)[1]).decode()
    return f"{'png' if exact else 'jpeg'};base64,{content}"
