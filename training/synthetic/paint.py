"""The skin, eyes, lips and hair of a drawn face: a texture painted flat, lit by the surface's own normals, and laid on a triangle mesh."""

from __future__ import annotations

import cv2
import numpy as np

from training.synthetic.look import Look, hair_edge
from training.synthetic.shape import (
    TURNS,
    FaceShape,
    Pose,
    brow,
    eyelids,
    half_width_at,
    iris_centre,
    lips,
    mesh_half_width,
    smooth_step,
    surface,
    unit_normals,
)

_FINE = 3  # super-sampling of a painted outline
_SHIFT = 6  # fractional bits of cv2's coordinates
_COARSE = 6  # texture pixels a cell of smooth shading
_FULL_TURN = 1.66  # radians painted at full detail; the back of the head is squeezed
_BROW_HAIRS = ((0, 0.6), (0.4, 1))  # from and to, as shares of the way across the brow
_CIRCLE = np.stack([[np.cos(t), np.sin(t)] for t in np.arange(36) * np.pi / 18])


class Canvas:
    """The unrolled head: columns are turns about the vertical axis, rows are heights; (x, y) in millimetres is where a face is painted.

    Attributes:
      albedo: (3, rows, columns) float32, planes of red, green and blue, 0 to 255.
    """

    def __init__(self, shape: FaceShape, detail: float) -> None:
        """Makes an empty canvas with `detail` texture pixels a millimetre."""
        self.shape, self.detail, self._radian = shape, detail, 70 * detail
        self._middle = int(np.ceil(self._squeeze(np.pi) / _COARSE)) * _COARSE
        rows = int(np.ceil((shape.chin - shape.crown) * detail / _COARSE)) * _COARSE
        self.albedo = np.zeros((3, rows, 2 * self._middle), np.float32)
        self._waiting: list[tuple] = []
        front = TURNS[np.abs(TURNS) <= np.pi / 2]
        self._sines, self._columns = np.sin(front), self._squeeze(front) + self._middle

    def _squeeze(self, turn: np.ndarray) -> np.ndarray:
        far = np.abs(turn)
        return np.sign(turn) * self._radian * (np.minimum(far, _FULL_TURN) + 0.2 * np.maximum(far - _FULL_TURN, 0))

    def texture(self, turn: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Returns edge-based texture pixels (..., 2) of turns and heights."""
        return np.stack([self._squeeze(turn) + self._middle, (height - self.shape.crown) * self.detail], -1)

    def _place(self, flat: np.ndarray) -> np.ndarray:
        """Returns edge-based texture pixels (N, 2) of points (N, 2) of the face seen straight on."""
        share = flat[:, 0] / np.maximum(mesh_half_width(self.shape, flat[:, 1]), 1e-6)
        # Straight from column to column of the mesh, as the texture is laid on it: so that what is painted at x is seen at x.
        across = np.interp(share, self._sines, self._columns)
        return np.stack([across, (flat[:, 1] - self.shape.crown) * self.detail], -1)

    def coarse(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the turns (1, columns / 6) and the heights (rows / 6, 1) of the middles of the cells of smooth shading."""
        rows, columns = self.albedo.shape[1] // _COARSE, self.albedo.shape[2] // _COARSE
        along = ((np.arange(columns) + 0.5) * _COARSE - self._middle) / self._radian
        far = np.abs(along)
        turn = np.sign(along) * (np.minimum(far, _FULL_TURN) + 5 * np.maximum(far - _FULL_TURN, 0))
        height = self.shape.crown + (np.arange(rows) + 0.5) * _COARSE / self.detail
        height = np.clip(height, self.shape.crown + 0.4, self.shape.chin - 0.4)
        return turn[None].astype(np.float32), height[:, None].astype(np.float32)

    def paint(
        self,
        flat: np.ndarray,
        colour: np.ndarray | tuple[float, float, float],
        alpha: float = 1.0,
        blur: float = 0.0,
        inside: np.ndarray | None = None,
        stroke: float | None = None,
    ) -> None:
        """Puts a colour over an outline, or along strokes, in line to be laid by `flush`; all in millimetres of the face seen straight on.

        Args:
          flat: outline (N, 2), or strokes (S, N, 2).
          blur: softness of the edge.
          inside: outline (M, 2) beyond which nothing is painted.
          stroke: width of the strokes; None fills.
        """
        self._waiting.append((flat, np.asarray(colour, np.float32), alpha, blur, inside, stroke))

    def flush(self) -> None:
        """Lays all that was painted, in order. Every point is placed in one go: numpy is slow on short arrays."""
        lines = [line.reshape(-1, 2) for item in self._waiting for line in (item[0], item[4]) if line is not None]
        texels = self._place(np.concatenate(lines))
        starts = np.cumsum([0] + [len(line) for line in lines])
        lows = np.minimum.reduceat(texels, starts[:-1]).astype(int).tolist()
        highs = np.maximum.reduceat(texels, starts[:-1]).astype(int).tolist()
        # cv2's whole numbers are middles of pixels, ours are edges: hence the half.
        fixed = {fine: ((texels * fine - 0.5) * 2**_SHIFT).round().astype(np.int32) for fine in (1, _FINE)}
        rows, columns = self.albedo.shape[1:]
        index = 0
        for flat, colour, alpha, blur, inside, stroke in self._waiting:
            soft = blur * self.detail
            margin = 2 + int(2.5 * soft + (stroke or 0) * self.detail)
            (left, top), (right, bottom) = lows[index], highs[index]
            x0, y0 = max(left - margin, 0), max(top - margin, 0)
            x1, y1 = min(right + margin + 1, columns), min(bottom + margin + 1, rows)
            fine = 1 if soft > 1 else _FINE
            at = fixed[fine][starts[index] : starts[index + 1]].reshape(flat.shape)
            inner = None if inside is None else fixed[_FINE][starts[index + 1] : starts[index + 2]]
            index += 1 if inside is None else 2
            if x1 <= x0 or y1 <= y0:
                continue
            width = None if stroke is None else max(1, round(stroke * self.detail * fine))
            cover = _coverage(at, (x0, y0, x1, y1), fine, width)
            if soft:
                cover = cv2.GaussianBlur(cover, (0, 0), max(soft, 0.3))
            weight = cover * np.float32(alpha / 255)
            if inner is not None:
                weight *= _coverage(inner, (x0, y0, x1, y1), _FINE, None) * np.float32(1 / 255)
            part = self.albedo[:, y0:y1, x0:x1]
            part += (colour[:, None, None] - part) * weight
        self._waiting.clear()


def _coverage(fixed: np.ndarray, box: tuple[int, int, int, int], fine: int, stroke: int | None) -> np.ndarray:
    """Returns how much of each texture pixel of `box` is in an outline, or under strokes of a width: (h, w) uint8, 255 for all."""
    x0, y0, x1, y1 = box
    mask = np.zeros(((y1 - y0) * fine, (x1 - x0) * fine), np.uint8)
    moved = fixed - np.array([x0, y0], np.int32) * (fine << _SHIFT)
    if stroke is None:
        cv2.fillPoly(mask, [moved], 255, cv2.LINE_8, _SHIFT)
    else:
        cv2.polylines(mask, list(moved), False, 255, stroke, cv2.LINE_8, _SHIFT)
    return mask if fine == 1 else cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)


def _ribbon(line: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Returns the outline of a band of `width` (a number or one for each point) about `line` (N, 2)."""
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], -1) / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    half = across * (np.broadcast_to(width, len(line))[:, None] / 2)
    return np.concatenate([line + half, (line - half)[::-1]])


def _ellipse(centre: np.ndarray | tuple[float, float], rx: float, ry: float | None = None, tilt: float = 0.0) -> np.ndarray:
    x, y = _CIRCLE[:, 0] * rx, _CIRCLE[:, 1] * (rx if ry is None else ry)
    return np.stack([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)], -1) + centre


def _tint(canvas: Canvas, look: Look, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smooth colour of the skin (3, rows / 6, columns / 6) with blotches, blush, hair roots and beard, and how hairy it is."""
    shape = canvas.shape
    turn, y = canvas.coarse()
    x = (half_width_at(shape, y) * np.sin(turn)).astype(np.float32)
    side, front = np.abs(x), np.cos(turn) > 0
    blotch = cv2.resize(rng.normal(0, 1, (9, 12)).astype(np.float32), x.shape[::-1], interpolation=cv2.INTER_CUBIC)
    tint = look.skin.astype(np.float32)[:, None, None] * (1 + 0.025 * blotch)

    def lay(mask: np.ndarray, colour: np.ndarray) -> None:
        nonlocal tint
        tint += (colour.astype(np.float32)[:, None, None] - tint) * mask.astype(np.float32)

    def soft(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return np.exp(-(((side - cx) / rx) ** 2)) * front * np.exp(-(((y - cy) / ry) ** 2))

    wing, base, below = shape.nose_half_width, shape.nose_base, shape.mouth_y + shape.mouth_open
    blush = soft(43, 34, 18, 14) * (0.4 + 0.5 * look.make_up) + soft(0, shape.nose_tip, 13, 10) * 0.45
    lay(np.minimum(blush, 1), look.skin * (1.0, 0.80, 0.78))
    dark = soft(shape.eye_x - 3, -6, 19, 8.5) * (0.42 + 0.25 * look.make_up) + soft(shape.eye_x - 2, 10, 14, 4) * (0.2 + 0.3 * look.age)
    dark += soft(shape.eye_x - 19, -2, 5, 8) * 0.35 + soft(0, base + 3.5, wing * 0.9, 4) * 0.45
    dark += soft(0, below + shape.lip_lower + 5, 13, 3.5) * 0.4 + soft(wing + 3.5, base - 5, 4, 9) * 0.3
    lay(np.minimum(dark, 1), look.skin * (0.74, 0.66, 0.66))
    hairy = np.zeros_like(side)
    if look.beard > 0:
        above = np.interp(side, [0, wing, 36, 58, 70], [300, shape.mouth_y + 12, shape.mouth_y - 4, 10, -10])
        jaw = smooth_step(y - above, -2, 9) * smooth_step(-np.abs(turn), -1.9, -1.6)
        goatee = soft(0, below + 32, 36, 24)
        lip = soft(0, (base + shape.mouth_y - shape.lip_upper) / 2 + 3, shape.mouth_half_width * 1.05, 5.5)
        hairy = np.clip(np.maximum(np.maximum(jaw, 1.2 * goatee) * look.beard, 1.3 * lip * look.moustache), 0, 0.95)
        lay(hairy, look.brow)
    dense = {"bald": 0.2 * (look.age < 0.6), "buzz": 0.6}.get(look.hair_style, 0.85)
    lay(smooth_step(np.minimum(hair_edge(look, turn), 12) - y, -7, 5) * dense, look.hair * 0.7)
    return np.clip(tint, 0, 255), hairy.astype(np.float32)


def shading(shape: FaceShape, look: Look, pose: Pose, turn: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how the head is lit at turns (1, columns) and heights (rows, 1): colour factors (3, rows, columns) and gloss."""
    to_head = pose.rotation.T.astype(np.float32)
    light = to_head @ look.light.astype(np.float32)
    points = surface(shape, turn, y).astype(np.float32)
    normal = unit_normals(points)
    facing = normal @ light
    lambert = np.clip((facing + 0.25) / 1.25, 0, 1)
    depth = np.ascontiguousarray(points[..., 2])
    shadow = np.zeros_like(depth)
    columns, rows = turn[0], y[:, 0]
    widths = np.maximum(half_width_at(shape, rows), 1)
    for step in (4, 9, 17):  # millimetres along the ray to the lamp
        x, height = points[..., 0] + step * light[0], points[..., 1] + step * light[1]
        across = np.arcsin(np.clip(x / np.interp(height[:, :1], rows, widths).astype(np.float32), -1, 1))
        map_x = np.interp(across, columns, np.arange(len(columns))).astype(np.float32)
        map_y = np.interp(height[:, :1], rows, np.arange(len(rows))).astype(np.float32)
        over = cv2.remap(depth, map_x, np.repeat(map_y, len(columns), 1), cv2.INTER_LINEAR) - depth - step * light[2]
        shadow = np.maximum(shadow, smooth_step(over, 0.3, 4.0))
    shadow = cv2.GaussianBlur(shadow * (np.cos(turn) > 0.1), (0, 0), 1.0)
    lit = look.ambient + (1.08 - look.ambient) * lambert * (1 - 0.55 * shadow)
    half = light + to_head @ np.array([0, 0, 1], np.float32)
    gloss = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 28 * (1 - shadow)
    # Where the light grazes the skin it reddens: light that has passed through.
    colour = [lit**power * (1 + (warm - 1) * lambert) for power, warm in zip((0.72, 0.82, 0.86), look.warmth, strict=True)]
    return np.stack(colour).astype(np.float32), gloss.astype(np.float32)


def _paint_eye(canvas: Canvas, look: Look, side: int) -> None:
    shape, sign = canvas.shape, (-1, 1)[side]
    share = np.linspace(0, 1, 25)
    high, low = eyelids(shape, side, share)
    outline = np.concatenate([high, low[::-1]])
    centre = iris_centre(shape, side)
    radius = shape.iris_radius
    dark = look.skin * (0.42, 0.33, 0.32)
    crease = high + np.stack([0 * share, -1.2 - 3.4 * np.sin(np.pi * share) ** 0.8], -1)
    lid = np.concatenate([high, crease[::-1]])
    canvas.paint(lid, look.skin * (0.9, 0.82, 0.82) * (1 - 0.35 * look.make_up), 0.55, 0.8)
    canvas.paint(_ribbon(crease, 1.3 * np.sin(np.pi * share) + 0.2), dark, 0.55, 0.45)
    canvas.paint(outline, (222, 214, 210), 1.0, 0.15)
    corner = sign * (shape.eye_x - shape.eye_half_width + 1.6), low[-1, 1] + 0.2
    canvas.paint(_ellipse(corner, 2.4, 1.8), (214, 140, 132), 0.8, 0.5, outline)
    canvas.paint(_ellipse(centre, radius), look.iris * 0.45, 1.0, 0.0, outline)
    canvas.paint(_ellipse(centre, radius * 0.84), look.iris, 0.95, 0.35, outline)
    glow = _ellipse(centre + np.array([0, 0.25 * radius]), radius * 0.5, radius * 0.35)
    canvas.paint(glow, np.minimum(look.iris * 1.5 + 14, 255), 0.6 * look.catchlight, 0.5, outline)
    canvas.paint(_ellipse(centre, radius * 0.4), look.pupil, 1.0, 0.0, outline)
    canvas.paint(_ribbon(high + np.array([0, 0.8]), 2.6), (40, 26, 24), 0.42, 0.8, outline)
    if look.catchlight:
        spot = centre + 0.42 * radius * np.array([np.sign(look.light[0]) or 1, -1])
        canvas.paint(_ellipse(spot, 1.25), (255, 255, 255), look.catchlight, 0.15, outline)
    lash = np.interp(share, [0, 0.15, 0.6, 1], [1.0, 1.5, 1.2, 0.5]) * (0.8 + 0.7 * look.make_up)
    canvas.paint(_ribbon(high - np.array([0, 0.25]), lash), np.minimum(look.brow, dark) * 0.45, 0.9, 0.15)
    canvas.paint(_ribbon(low + np.array([0, 0.3]), 0.8), dark * 1.2, 0.5, 0.25)
    if look.make_up > 0.3:
        roots = high[2:16:2]
        tips = roots + np.stack([sign * np.linspace(2.4, 0.2, len(roots)), -np.linspace(2.6, 2.8, len(roots))], -1)
        canvas.paint(np.stack([roots, tips], 1), look.brow * 0.4, 0.7 * look.make_up, 0.1, stroke=0.35)


def _paint_brow(canvas: Canvas, look: Look, side: int) -> None:
    share = np.linspace(0, 1, 21)
    high, low = brow(canvas.shape, side, share)
    canvas.paint(np.concatenate([high, low[::-1]]), look.brow, 0.72, 0.5)
    roots, tips = low[2:], high[:-2]
    hairs = np.concatenate([np.stack([roots + (tips - roots) * a, roots + (tips - roots) * b], 1) for a, b in _BROW_HAIRS])
    canvas.paint(hairs, look.brow * 0.7, 0.6, 0.1, stroke=0.55)


def _paint_nose(canvas: Canvas, look: Look) -> None:
    shape, wing, base = canvas.shape, canvas.shape.nose_half_width, canvas.shape.nose_base
    dark = look.skin * (0.5, 0.4, 0.38)
    for sign in (-1, 1):
        canvas.paint(_ellipse((sign * 0.42 * wing, base - 1.2), 0.25 * wing, 2.2, sign * -0.25), dark * 0.45, 0.85, 0.55)
        t = np.linspace(0, 1, 12)[:, None]
        start, bend, end = np.array([[0.78 * wing, base - 14], [1.12 * wing, base - 8], [0.74 * wing, base + 0.3]]) * (sign, 1)
        wall = start * (1 - t) ** 2 + 2 * bend * t * (1 - t) + end * t**2
        canvas.paint(_ribbon(wall, np.linspace(0.6, 2.0, 12)), dark, 0.42, 0.8)
        corner = np.array([shape.mouth_half_width + 7, shape.mouth_y - shape.smile - 3])
        fold = np.array([wing + 2, base - 9]) * (1 - t) + corner * t + np.array([3.5, -1]) * np.sin(np.pi * t)
        deep = np.clip(0.14 + 0.03 * max(shape.smile, 0) + 0.25 * look.age, 0, 0.55)
        canvas.paint(_ribbon(fold * (sign, 1), np.interp(t[:, 0], [0, 0.4, 1], [1.5, 2.5, 0.8])), dark, deep, 1.4)
    under = np.array([(-0.62, -0.2), (-0.3, 1.2), (0, 2.2), (0.3, 1.2), (0.62, -0.2)]) * (wing, 1) + (0, base)
    canvas.paint(_ribbon(under, 1.5), dark, 0.4, 0.7)


def _paint_mouth(canvas: Canvas, look: Look) -> None:
    shape = canvas.shape
    across = np.linspace(-1, 1, 41)
    edge, gap = lips(shape, across), lips(shape, 0.93 * across)

    def tube(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.concatenate([a, b[::-1]])

    canvas.paint(tube(edge["top"], edge["inner_bottom"]), look.lip * (0.84, 0.8, 0.82), 0.92, 0.35)
    canvas.paint(tube(edge["inner_top"], edge["bottom"]), look.lip, 0.92, 0.35)
    if shape.mouth_open > 0.8:
        cavity = tube(gap["inner_top"], gap["inner_bottom"])
        canvas.paint(cavity, (62, 20, 22), 1.0, 0.1)
        deep = min(0.62 * shape.mouth_open, 7.5)
        teeth = tube(gap["inner_top"] - (0, 1), gap["inner_top"] + (0, deep) * (1 - 0.5 * across[:, None] ** 2))
        canvas.paint(teeth, (232, 224, 212), 0.96, 0.25, cavity)
        canvas.paint(_ribbon(gap["inner_top"] + (0, 0.4), 1.6), (50, 18, 20), 0.5, 0.5, cavity)
        canvas.paint(_ellipse((shape.skew, shape.mouth_y + shape.mouth_open), 13, 0.3 * shape.mouth_open), (176, 78, 80), 0.8, 1.2, cavity)
    else:
        canvas.paint(_ribbon(edge["inner_top"] + (0, 0.15), 0.5 + 1.1 * (1 - across**2) ** 0.5), look.lip * 0.36, 0.8, 0.25)
    for i in (0, -1):
        canvas.paint(_ellipse(edge["inner_top"][i], 1.6, 1.1), look.skin * 0.4, 0.5, 0.6)
    shine = (edge["inner_bottom"] * 0.55 + edge["bottom"] * 0.45)[13:28]
    canvas.paint(_ribbon(shine, 0.22 * shape.lip_lower), (255, 236, 232), 0.22 + 0.3 * look.gloss, 0.9)


def paint_face(shape: FaceShape, look: Look, pose: Pose, detail: float, rng: np.random.Generator) -> tuple[Canvas, np.ndarray]:
    """Returns the canvas and its lit texture (rows, columns, 3) uint8, `detail` pixels a millimetre."""
    canvas = Canvas(shape, detail)
    size = canvas.albedo.shape[:0:-1]
    tint, hairy = _tint(canvas, look, rng)
    for plane, smooth in zip(canvas.albedo, tint, strict=True):
        cv2.resize(smooth, size, plane, interpolation=cv2.INTER_LINEAR)
    if look.beard > 0:
        bristle = rng.standard_normal((size[1] // 2, size[0] // 2), np.float32) * 0.3
        hairs = cv2.resize(bristle, size, interpolation=cv2.INTER_LINEAR) * cv2.resize(hairy, size, interpolation=cv2.INTER_LINEAR)
        canvas.albedo *= 1 + hairs
    if look.freckles:
        for x, y in rng.normal((0, 22), (28, 12), (50, 2)):
            canvas.paint(_ellipse((np.clip(x, -55, 55), y), rng.uniform(0.4, 0.9)), look.skin * (0.72, 0.6, 0.52), 0.6, 0.3)
    for line in range(3 if look.age > 0.5 else 0):
        x = np.linspace(-32, 32, 20)
        crease = np.stack([x, -38.0 - 8 * line - 0.002 * x**2], -1)
        canvas.paint(_ribbon(crease, 1.2 * np.cos(x / 22) ** 2 + 0.2), look.skin * 0.55, 0.3, 0.7)
    if look.hair_style not in ("bald", "buzz"):
        turn = rng.uniform(-0.7, 0.7, 90)
        root = np.stack([half_width_at(shape, np.full(90, look.hairline)) * np.sin(turn), hair_edge(look, turn) - 4], -1)
        tips = root + np.stack([rng.normal(0.5 * look.parting, 3, 90), rng.uniform(4, 9, 90)], -1)
        canvas.paint(np.stack([root, tips], 1), look.hair * 0.85, 0.55, 0.2, stroke=0.7)
    _paint_nose(canvas, look)
    _paint_mouth(canvas, look)
    for side in (0, 1):
        _paint_eye(canvas, look, side)
        _paint_brow(canvas, look, side)
    canvas.flush()
    colour, gloss = shading(shape, look, pose, *canvas.coarse())
    gloss = cv2.resize(200 * look.gloss * gloss, size, interpolation=cv2.INTER_LINEAR)
    lit = [cv2.add(cv2.multiply(a, cv2.resize(c, size)), gloss, dtype=cv2.CV_8U) for a, c in zip(canvas.albedo, colour, strict=True)]
    return canvas, cv2.merge(lit)
