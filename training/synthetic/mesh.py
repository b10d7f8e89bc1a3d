"""A drawn head as triangles: skull, ears, hair, neck and shoulders under one texture, rendered with exact sub-pixel geometry."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.synthetic.look import Look, hair_edge
from training.synthetic.paint import Canvas
from training.synthetic.shape import TURNS, FaceShape, Pose, head_mesh, row_heights, smooth_step, surface, unit_normals

_FINE = 2  # super-sampling
_SHIFT = 4  # fractional bits of cv2's coordinates
_CREST = 9.0  # millimetres by which hair wins over the skin below it in the painter's order
_COLLAR = 14.0  # likewise clothes over the neck
_HIDDEN_MM = 3.0  # a point this far behind the triangle that is drawn there is hidden


@dataclass
class Shot:
    """A head rendered at twice the picture's resolution within a box of the picture.

    Attributes:
      box: x0, y0, x1, y1 in image pixels.
      colour: (2h, 2w, 3) uint8.
      mask: (2h, 2w) uint8, 255 where there is a head.
      face_ids: (2h, 2w) int32, the triangle drawn, from 1; 0 is none.
      far_mm: (triangles + 1,) depth of the farthest corner of each triangle, at its id.
      first_hair: the id of the first triangle of hair.
    """

    box: tuple[int, int, int, int]
    colour: np.ndarray
    mask: np.ndarray
    face_ids: np.ndarray
    far_mm: np.ndarray
    first_hair: int

    def local(self, image_points: np.ndarray) -> np.ndarray:
        """Returns image pixels (..., 2) as cv2's coordinates in the box at double resolution."""
        return (image_points - self.box[:2]) * _FINE - 0.5

    def reduced_mask(self) -> np.ndarray:
        """Returns the share (h, w) of each pixel of the box that the head covers."""
        size = self.box[2] - self.box[0], self.box[3] - self.box[1]
        return cv2.resize(self.mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    def paste(self, image: np.ndarray) -> None:
        """Lays the head over a float32 RGB picture, in place."""
        x0, y0, x1, y1 = self.box
        colour = cv2.resize(cv2.bitwise_and(self.colour, self.colour, mask=self.mask), (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        behind = 1 - self.reduced_mask()
        part = image[y0:y1, x0:x1]
        part *= cv2.merge([behind, behind, behind])
        part += colour

    def visible(self, points: np.ndarray) -> np.ndarray:
        """Returns which points (N, 3) (image pixels and depth) are seen: (N,) bool."""
        at = self.local(points[:, :2])
        rows, columns = self.mask.shape
        inside = (at >= -0.5).all(1) & (at[:, 0] < columns - 0.5) & (at[:, 1] < rows - 0.5)
        x, y = np.clip(np.round(at), 0, (columns - 1, rows - 1)).astype(int).T
        ids = self.face_ids[y, x]
        return inside & (ids < self.first_hair) & (points[:, 2] > self.far_mm[ids] - _HIDDEN_MM)


@dataclass
class Mesh:
    """Triangles with one texture.

    Attributes:
      vertices, texels: (V, 3) millimetres in the head's frame and (V, 2) edge-based texture pixels.
      triangles: (T, 3) int.
      order_mm: (T,) what is added to a triangle's depth before sorting.
      culled: (T,) bool, drawn only when it faces the viewer.
      texture: (rows, columns, 3) uint8.
      skin_triangles: how many triangles, the first ones, are the head's own skin.
      first_hair: index of the first triangle of hair.
    """

    vertices: np.ndarray
    texels: np.ndarray
    triangles: np.ndarray
    order_mm: np.ndarray
    culled: np.ndarray
    texture: np.ndarray
    skin_triangles: int
    first_hair: int

    def render(self, pose: Pose, height: int, width: int) -> Shot:
        """Returns the mesh as seen in a picture of `height` by `width` pixels."""
        seen = pose.project(self.vertices)
        low = np.clip(np.floor(seen[:, :2].min(0)).astype(int) - 1, 0, (width - 1, height - 1))
        high = np.clip(np.ceil(seen[:, :2].max(0)).astype(int) + 1, low + 1, (width, height))
        box = int(low[0]), int(low[1]), int(high[0]), int(high[1])
        # cv2's whole numbers are middles of pixels, ours are edges: hence the half.
        corners = np.concatenate([(seen[:, :2] - low) * _FINE - 0.5, seen[:, 2:]], 1)[self.triangles]
        ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        turn = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
        safe = np.where(np.abs(turn) < 1e-6, 1e-6, turn)
        values = (self.texels - 0.5)[self.triangles]
        du, dv = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
        slope_x = (du * ac[:, 1:2] - dv * ab[:, 1:2]) / safe[:, None]
        slope_y = (dv * ab[:, 0:1] - du * ac[:, 0:1]) / safe[:, None]
        constant = values[:, 0] - slope_x * corners[:, 0, 0:1] - slope_y * corners[:, 0, 1:2]
        facing = turn > 0
        order = corners[..., 2].mean(1) + np.where(facing, self.order_mm, 0)
        drawn = np.flatnonzero((facing | ~self.culled) & (np.abs(turn) > 1e-3))
        drawn = drawn[np.argsort(order[drawn], kind="stable")]
        ids = np.zeros(((box[3] - box[1]) * _FINE, (box[2] - box[0]) * _FINE), np.int32)
        fixed = np.round(corners[..., :2] * 2**_SHIFT).astype(np.int32)
        for triangle, name in zip(fixed[drawn], (drawn + 1).tolist(), strict=True):
            cv2.fillConvexPoly(ids, triangle, name, shift=_SHIFT)
        empty = np.zeros((1, 2), np.float32)
        # Texture pixels as functions of the pixel: (triangles + 1, of u v, along x y and constant).
        planes = np.stack([np.concatenate([empty, part.astype(np.float32)]) for part in (slope_x, slope_y, constant)], -1)
        self._trim(ids, corners)
        grid_x = np.arange(ids.shape[1], dtype=np.float32)
        grid_y = np.arange(ids.shape[0], dtype=np.float32)[:, None]
        index = ids.astype(np.intp)
        maps = np.empty((2, *ids.shape), np.float32)
        spare = np.empty(ids.shape, np.float32)  # fresh memory for every step would cost more than the sums
        for value, (along_x, along_y, constant) in zip(maps, planes.transpose(1, 2, 0).copy(), strict=True):
            along_x.take(index, out=value, mode="clip")
            value *= grid_x
            along_y.take(index, out=spare, mode="clip")
            spare *= grid_y
            value += spare
            constant.take(index, out=spare, mode="clip")
            value += spare
        colour = cv2.remap(self.texture, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.compare(ids, 0, cv2.CMP_GT)
        far_mm = np.concatenate([[-np.inf], corners[..., 2].min(1)])
        return Shot(box, colour, mask, ids, far_mm, self.first_hair + 1)

    def _trim(self, ids: np.ndarray, corners: np.ndarray) -> None:
        """Empties pixels of the face's outline whose middle no triangle covers: cv2 also fills the pixels that an edge merely touches."""
        solid = (ids > 0).view(np.uint8)
        rim = cv2.subtract(solid, cv2.erode(solid, np.ones((3, 3), np.uint8)))  # the frame of the box is no outline to cv2
        found_rim = cv2.findNonZero(rim)
        if found_rim is None:
            return
        columns, rows = found_rim[:, 0].T
        skin = ids[rows, columns] <= self.skin_triangles
        columns, rows = columns[skin], rows[skin]
        bottom, right_end = ids.shape[0] - 1, ids.shape[1] - 1
        found = np.zeros(len(rows), np.int32)
        # A pixel may bear the id of a neighbour that was painted later and merely touches it: ask the triangles round about as well.
        for down, right in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            lost = np.flatnonzero(found == 0)
            names = ids[np.clip(rows[lost] + down, 0, bottom), np.clip(columns[lost] + right, 0, right_end)]
            triangle = corners[names - 1, :, :2]
            edge = np.roll(triangle, -1, 1) - triangle
            to = np.stack([columns[lost], rows[lost]], -1)[:, None] - triangle
            side = edge[..., 0] * to[..., 1] - edge[..., 1] * to[..., 0]
            inside = ((side >= -1e-6).all(1) | (side <= 1e-6).all(1)) & (names > 0)
            found[lost[inside]] = names[inside]
        ids[rows, columns] = found


@dataclass(frozen=True)
class _Part:
    """Triangles with a texture of their own; texels are edge-based pixels of that texture."""

    vertices: np.ndarray
    texels: np.ndarray
    triangles: np.ndarray
    texture: np.ndarray
    culled: bool = True
    order_mm: float = 0.0


def _grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Returns the triangles of a grid; the diagonals of its left half mirror those of its right half, which `on_mesh` relies on."""
    index = np.arange(rows * columns).reshape(rows, columns)
    cells = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]], -1)
    half = (columns - 1) // 2
    right, left = cells[:, half:].reshape(-1, 4), cells[:, :half].reshape(-1, 4)
    return np.concatenate([right[:, [0, 1, 2]], right[:, [1, 3, 2]], left[:, [0, 1, 3]], left[:, [0, 3, 2]]])


def _join(parts: list[_Part], first_hair: int) -> Mesh:
    """Returns one mesh of parts; the textures are stacked, each with a margin of its own last pixels."""
    width = max(part.texture.shape[1] for part in parts) + 2
    vertices = np.concatenate([part.vertices.reshape(-1, 3) for part in parts])
    counts = [len(part.triangles) for part in parts]
    starts = np.cumsum([0] + [part.vertices.size // 3 for part in parts])
    padded = [cv2.copyMakeBorder(p.texture, 0, 2, 0, width - p.texture.shape[1], cv2.BORDER_REPLICATE) for p in parts]
    tops = np.cumsum([0] + [len(texture) for texture in padded])
    return Mesh(
        vertices,
        np.concatenate([part.texels.reshape(-1, 2) + np.array([0, top]) for part, top in zip(parts, tops, strict=False)]),
        np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)]),
        np.repeat([part.order_mm for part in parts], counts),
        np.repeat([part.culled for part in parts], counts),
        np.concatenate(padded),
        counts[0],
        sum(counts[:first_hair]),
    )


def build_mesh(shape: FaceShape, look: Look, canvas: Canvas, skin: np.ndarray, pose: Pose, rng: np.random.Generator) -> Mesh:
    """Returns a person: `skin` (rows, columns, 3) uint8 is the lit texture of `canvas`."""
    turn, height = np.meshgrid(TURNS, row_heights(shape))
    triangles = _grid_triangles(*turn.shape)
    if look.hair_style != "bald":  # what the hair covers need not be drawn
        spare = ((height < hair_edge(look, turn) - 25) & (height < -40)).ravel()
        triangles = triangles[~spare[triangles].all(1)]
    parts = [_Part(head_mesh(shape), canvas.texture(turn, height), triangles, skin)]
    parts += [_ear(shape, look, pose, sign) for sign in (-1, 1)]
    parts += _body(shape, look, pose, rng)
    if look.hair_style != "bald":
        parts.append(_hair(shape, look, pose, skin.shape[1], rng))
    return _join(parts, 5)


def _ear(shape: FaceShape, look: Look, pose: Pose, sign: int) -> _Part:
    t = np.linspace(0, 2 * np.pi, 20)
    across = np.concatenate([[0.5], np.cos(t) * (0.5 + 0.1 * np.sin(t - 0.9)) + 0.5])
    down = np.concatenate([[0.5], np.sin(t) * (0.5 - 0.03 * np.cos(t)) + 0.5])
    lift = 15 * across + 3 * (across > 0.3)
    rim = np.stack([sign * (shape.half_width - 4 + lift * (1 - 0.35 * down)), -16 + 58 * down, 4 - 30 * across + 5 * down], -1)
    facing = pose.rotation @ np.array([0.7 * sign, 0, 0.7]) @ look.light
    lit = (look.ambient + (1.0 - look.ambient) * np.clip((facing + 0.3) / 1.3, 0, 1)) ** 0.85
    patch = np.empty((64, 64, 3), np.float32)
    patch[:] = look.skin * (0.96, 0.86, 0.84)
    dark = (look.skin * (0.5, 0.36, 0.34)).tolist()
    cv2.ellipse(patch, (30, 34), (13, 19), 0, 0, 360, dark, -1)
    cv2.ellipse(patch, (36, 26), (17, 22), 0, 200, 350, dark, 3)
    patch = np.clip(cv2.GaussianBlur(patch, (0, 0), 3.5) * lit, 0, 255).astype(np.uint8)
    fan = np.array([(0, i, i + 1) for i in range(1, len(rim) - 1)])
    return _Part(rim, np.stack([2 + 60 * across, 2 + 60 * down], -1), fan, patch, culled=False)


def _lit_grid(grid: np.ndarray, colour: np.ndarray, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Returns the texture (uint8) and the texels of a grid (rows, columns, 3) in the viewer's frame, lit and coloured at its vertices."""
    lambert = np.clip((unit_normals(grid) @ look.light + 0.25) / 1.25, 0, 1)
    lit = (look.ambient + (1.05 - look.ambient) * lambert)[..., None] ** 0.82 * colour
    rows, columns = grid.shape[:2]
    fine = cv2.resize(lit.astype(np.float32), (columns * 6, rows * 6), interpolation=cv2.INTER_LINEAR)
    texels = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), -1) * 6
    return np.clip(fine, 0, 255).astype(np.uint8), texels


def _body(shape: FaceShape, look: Look, pose: Pose, rng: np.random.Generator) -> list[_Part]:
    """Returns neck and shoulders. They stay upright while the head turns, so they are built in the viewer's frame and turned back."""
    nape = pose.rotation @ np.array([0.0, 42.0, -20.0])
    base = np.array([0.3 * nape[0], 158 + rng.uniform(-8, 12), -28.0])
    thick = rng.uniform(0.68, 0.84) * shape.half_width
    around = np.linspace(-np.pi, np.pi, 23)
    ring = np.stack([np.sin(around), 0 * around, 0.86 * np.cos(around)], -1)
    down = np.linspace(0, 1.25, 6)[:, None, None]
    wide = thick * (1 + 0.1 * (2 * down - 1) ** 2)
    neck = nape + (base - nape) * down + ring * wide
    under = np.clip((down[:, 0] - 0.26) / 0.6, 0, 1) + 0.12 * (1 - np.cos(around + look.light[0]))
    shade = (0.5 + 0.5 * np.clip(under, 0, 1))[..., None]
    cloth = rng.uniform(25, 215) + rng.normal(0, 38, 3)
    drop = rng.uniform(0.7, 1.3)
    low = rng.uniform(4, 34)  # how deep the collar is cut in front
    rings = [
        (thick + 5, 52, 0),
        (thick + 12, 60, 4),
        (115, 66, 18),
        (158, 76, 36),
        (186, 84, 62),
        (196, 92, 110),
        (200, 96, 260),
        (200, 96, 600),
    ]
    scale = rng.uniform(0.9, 1.08)
    torso = np.stack(
        [
            base + np.stack([np.sin(around) * x * (scale if x > 100 else 1), y * drop + 0 * around - 14, np.cos(around) * z], -1)
            for x, z, y in rings
        ]
    )
    torso[:2, :, 1] += low * np.clip(np.cos(around), 0, 1) ** 2
    torso[0, :, 1] += 2
    parts = []
    skin = look.skin * (0.95, 0.88, 0.86) * shade
    for grid, colour, order in ((neck, skin, 0.0), (torso, np.clip(cloth, 12, 240), _COLLAR)):
        texture, texels = _lit_grid(grid, colour, look)
        parts.append(_Part(grid @ pose.rotation, texels, _grid_triangles(*grid.shape[:2]), texture, order_mm=order))
    return parts


def _hair(shape: FaceShape, look: Look, pose: Pose, columns: int, rng: np.random.Generator) -> _Part:
    turn, share = np.meshgrid(np.linspace(-np.pi, np.pi, 31), np.linspace(0, 1, 8) ** 0.9)
    shell = hair_shell(shape, look, turn, share, rng)
    rows = columns // 4
    normal = unit_normals(shell) @ pose.rotation.T
    lit = look.ambient + (1.1 - look.ambient) * np.clip((normal @ look.light + 0.3) / 1.3, 0, 1)
    half = look.light + np.array([0, 0, 1])
    shine = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 10
    maps = cv2.resize(np.stack([lit * (1 - 0.3 * share**3), shine], -1).astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    strands = rng.normal(0, 0.9, (5, columns // 2)).astype(np.float32)
    locks = rng.normal(0, 0.8, (3, max(columns // 12, 2))).astype(np.float32)
    strands = cv2.resize(strands, (columns, rows), interpolation=cv2.INTER_LINEAR)
    strands += cv2.resize(locks, (columns, rows), interpolation=cv2.INTER_CUBIC)
    dull, bright = maps[..., 0] * (1 + 0.2 * strands), maps[..., 1] * (1 + 0.5 * strands)
    texture = cv2.merge([cv2.addWeighted(dull, float(c), bright, float(0.22 * c + 16), 0, dtype=cv2.CV_8U) for c in look.hair])
    texels = np.stack([(turn / np.pi + 1) / 2 * columns, share * rows], -1)
    culled = look.hair_style == "buzz"  # of other hair the inside is seen, behind the neck or at the temples
    return _Part(shell, texels, _grid_triangles(*turn.shape), texture, culled, _CREST)


def hair_shell(shape: FaceShape, look: Look, turn: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns points (..., 3) of the hair's outside at turns and shares (0 at the crown, 1 at the edge), in the head's frame."""
    height = shape.crown + 0.5 + (hair_edge(look, turn) - shape.crown) * share**1.15
    point = surface(shape, turn, np.clip(height, shape.crown + 0.5, 24.0))
    point[..., 1] = height
    middle = np.array([0.0, -20.0, -8.0])
    outward = point - middle
    outward[..., 1] = np.where(height > -20, 0, outward[..., 1])
    outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-6)
    front = smooth_step(np.cos(turn), -0.1, 0.8)
    locks = 1 + 0.12 * np.sin(7 * turn + rng.uniform(0, 6)) + 0.08 * np.sin(17 * turn + rng.uniform(0, 6))
    volume = 2.0 if look.hair_style == "buzz" else look.hair_volume
    snug = 0.25 if look.hair_style in ("bob", "long") else 0.8 * (np.cos(turn) > -0.5)
    thick = 1.0 + volume * locks * (1 - np.maximum(snug, front) * share**4)
    return point + outward * thick[..., None]


def wear_glasses(shot: Shot, shape: FaceShape, pose: Pose, rng: np.random.Generator) -> None:
    wide, tall = rng.uniform(22, 27), rng.uniform(15, 21)
    power, width = rng.choice([2.0, 2.8, 4.0]), rng.uniform(1.2, 3.6)
    colour = np.array([(20, 18, 20), (70, 44, 26), (150, 120, 60), (120, 30, 36), (60, 64, 74)])[rng.integers(5)]
    t = np.linspace(0, 2 * np.pi, 49)
    x, y = wide * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power), tall * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / power)
    middle = shape.eye_x + 1.5
    front = surface(shape, np.array(0.0), np.array(-4.0))[2] + 7

    def place(points: np.ndarray) -> np.ndarray:
        bent = np.concatenate([points, (front - 0.0035 * points[:, :1] ** 2)], 1)
        return np.round(shot.local(pose.project(bent)[:, :2]) * 2**_SHIFT).astype(np.int32)

    rims = [place(np.stack([sign * middle + x, 3 + y], -1)) for sign in (-1, 1)]
    bridge = np.linspace(-(middle - wide), middle - wide, 9)
    lines = [*rims, place(np.stack([bridge, -1 - 3 * np.cos(bridge / (middle - wide) * 1.5)], -1))]
    for sign in (-1, 1):
        if sign * pose.yaw_deg > 8:  # the arm on the side that is turned away is behind the face
            continue
        start = np.array([sign * (middle + wide), -2, front - 0.0035 * (middle + wide) ** 2])
        arm = start + np.linspace(0, 1, 8)[:, None] * (np.array([sign * (shape.half_width + 3), -6, 8]) - start)
        lines.append(np.round(shot.local(pose.project(arm)[:, :2]) * 2**_SHIFT).astype(np.int32))
    every = np.concatenate(lines) >> _SHIFT
    margin = 3 + round(width * pose.scale * _FINE)
    (x0, y0), (x1, y1) = np.clip(every.min(0) - margin, 0, None), np.maximum(every.max(0) + margin, 1)
    part = slice(y0, y1), slice(x0, x1)
    lens, frame = np.zeros_like(shot.mask), np.zeros_like(shot.mask)
    cv2.fillPoly(lens, rims, 255, shift=_SHIFT)
    cv2.polylines(frame, lines, False, 255, max(1, round(width * pose.scale * _FINE)), cv2.LINE_AA, shift=_SHIFT)
    solid = shot.mask[part] * (shot.face_ids[part] < shot.first_hair)
    tint = rng.uniform(0.02, 0.12)
    for cover, paint, alpha in ((lens, (200, 215, 225), tint), (frame, colour, 0.95)):
        share = cv2.bitwise_and(cover[part], solid).astype(np.float32) * np.float32(alpha / 255)
        for plane, value in enumerate(paint):
            shot.colour[(*part, plane)] = shot.colour[(*part, plane)] * (1 - share) + np.float32(value) * share
