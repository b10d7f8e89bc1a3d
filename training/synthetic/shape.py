"""The shape of a drawn face: its curves, its 106 points and its surface in millimetres, and how they are projected into a picture.

Head frame: x to the right in the picture, y down from the line of the eyes, z towards the viewer, origin between the ears. The head is a
stack of horizontal ellipses, one for each height, with a relief of gaussian bumps (nose, sockets, lips) on its front. Seen straight on, a
point of the surface keeps its x and y, so a face is designed flat and every outline that is painted passes through its own points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from zoo.schemes import get_scheme

_WIDEST = 5.0  # height (mm) at which the head is widest
_CHIN_DEPTH = 84.0
_CONTOUR_TOP = -9.0
# Where points lie between the corner of the mouth and its middle, as shares of the arc; the stations of JD-landmark (`zoo.stations`).
_LIP_SHARES = {"top": (0.39, 0.79), "bottom": (0.32, 0.64), "inner_top": (0.42,), "inner_bottom": (0.43,)}
_INNER_CORNER, _LIP_SAMPLES = 0.93, 200

# The grid of the head: columns are close together at the nose, rows at the chin and at the crown.
# fmt: off
_RIGHT = np.array([0, .07, .14, .21, .3, .42, .56, .73, .93, 1.15, 1.37, np.pi / 2, 1.8, 2.3, np.pi])
TURNS = np.concatenate([-_RIGHT[:0:-1], _RIGHT])
_FRONT = _RIGHT[np.pi / 2 >= _RIGHT]
_ABOVE = np.array([1, .98, .92, .8, .66, .52, .4, .3, .22, .14, .07])
_BELOW = np.concatenate([np.linspace(0, 0.82, 18), 1 - 0.18 * np.cos(np.linspace(0, np.pi / 2, 7))[1:] ** 2])
# fmt: on


@dataclass(frozen=True)
class FaceShape:
    """Measures of a face in millimetres unless said otherwise; pairs are (left, right) in the picture.

    Attributes:
      half_width, chin, crown: of the head; chin and crown are heights.
      jaw_square: exponent, 1.8 for an oval jaw to 2.7 for a square one.
      chin_round: exponent, 1.7 for a pointed chin to 2.4 for a broad one.
      eye_x: half the distance between the eyes' middles.
      eye_tilt: how far the outer corner lies above the inner one.
      eye_open: share of the full opening, 0 closed.
      gaze: where the irises are from the eyes' middles, (x, y).
      brow_raise: upwards, of each brow.
      brow_tilt: how far the inner end lies below the outer one.
      smile: how far the corners of the mouth lie above its middle.
      skew: how far the mouth is off to the right.
    """

    half_width: float = 72.0
    chin: float = 116.0
    crown: float = -104.0
    jaw_square: float = 2.2
    chin_round: float = 2.0
    eye_x: float = 32.0
    eye_half_width: float = 15.0
    eye_height: float = 10.5
    eye_tilt: float = 1.5
    eye_open: tuple[float, float] = (1.0, 1.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    iris_radius: float = 5.9
    brow_y: float = -21.0
    brow_raise: tuple[float, float] = (0.0, 0.0)
    brow_thickness: float = 7.0
    brow_half_length: float = 21.0
    brow_arch: float = 5.0
    brow_tilt: float = 0.0
    nose_half_width: float = 17.0
    nose_base: float = 47.0
    nose_depth: float = 22.0
    nose_bridge: float = 7.0
    mouth_y: float = 71.0
    mouth_half_width: float = 25.0
    lip_upper: float = 7.0
    lip_lower: float = 9.5
    mouth_open: float = 0.0
    smile: float = 1.0
    skew: float = 0.0

    @property
    def nose_tip(self) -> float:
        """The height of the tip of the nose."""
        return self.nose_base - 9.0

    def mirrored(self) -> FaceShape:
        """Returns the face in a looking glass."""
        return replace(
            self,
            eye_open=self.eye_open[::-1],
            brow_raise=self.brow_raise[::-1],
            gaze=(-self.gaze[0], self.gaze[1]),
            skew=-self.skew,
        )


# ---- outlines, flat (x, y) ------------------------------------------------------------------------------------------------------------


def half_width_at(shape: FaceShape, y: np.ndarray) -> np.ndarray:
    """Returns half the width of the head (mm) at heights `y`, zero beyond crown and chin."""
    y = np.asarray(y, np.float64)
    below = np.clip((y - _WIDEST) / (shape.chin - _WIDEST), 0, 1)
    above = np.clip((y - _WIDEST) / (shape.crown - _WIDEST), 0, 1)
    lower = (1 - below**shape.jaw_square) ** (1 / shape.chin_round)
    upper = (1 - above**2.8) ** (1 / 2.3)
    return shape.half_width * np.where(y > _WIDEST, lower, upper)


def eyelids(shape: FaceShape, side: int, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the upper and the lower lid (N, 2) of the eye on `side` (0 left, 1 right).

    Args:
      share: (N,) from 0 at the outer corner to 1 at the inner one.
    """
    sign, opening = (-1, 1)[side], shape.eye_open[side]
    x = sign * (shape.eye_x + shape.eye_half_width * (1 - 2 * share))
    line = -shape.eye_tilt * (0.5 - share)
    bow = np.sin(np.pi * share) ** 0.85
    low = 0.38 * shape.eye_height * (0.5 + 0.5 * min(opening, 1)) * bow * (1 + 0.25 * np.cos(np.pi * share))
    high = low - shape.eye_height * opening * bow * (1 - 0.18 * np.cos(np.pi * share))
    return np.stack([x, line + high], -1), np.stack([x, line + low], -1)


def iris_centre(shape: FaceShape, side: int) -> np.ndarray:
    """Returns the middle (2,) of the iris; it follows the gaze and sinks a little with the lid."""
    upper, lower = eyelids(shape, side, np.array([0.5]))
    middle = (upper[0] + lower[0]) / 2
    return middle + np.array(shape.gaze) * np.array([1.0, min(shape.eye_open[side], 1.0)])


def brow(shape: FaceShape, side: int, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the upper and the lower edge (N, 2) of a brow for shares (N,) from 0 at its outer end to 1 at its inner one."""
    sign = (-1, 1)[side]
    x = shape.eye_x + 3 + shape.brow_half_length * (1 - 2 * share)
    ridge = shape.brow_y - shape.brow_raise[side] + shape.brow_tilt * (share - 0.5)
    ridge = ridge + shape.brow_arch * np.where(share < 0.4, 1.0 * ((0.4 - share) / 0.4) ** 2, 0.5 * ((share - 0.4) / 0.6) ** 2)
    half = 0.5 * shape.brow_thickness * np.interp(share, [0, 0.2, 0.6, 0.9, 1], [0, 0.6, 1, 0.95, 0.8])
    return np.stack([sign * x, ridge - half], -1), np.stack([sign * x, ridge + half], -1)


def lips(shape: FaceShape, across: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the four edges of the lips, each (N, 2), for shares (N,) from -1 at the left corner to 1 at the right one.

    Keys: `top` and `bottom` of the outer outline, `inner_top` and `inner_bottom`.
    """
    x = shape.mouth_half_width * across + shape.skew * (1 - across**2)
    line = shape.mouth_y + shape.smile * (0.35 - across**2)
    arch = np.clip(1 - across**2, 0, 1)
    cupid = 1 - 0.16 * np.exp(-((across / 0.12) ** 2)) + 0.1 * np.exp(-(((np.abs(across) - 0.25) / 0.16) ** 2))
    gap_arch = np.clip(1 - (across / _INNER_CORNER) ** 2, 0, 1) ** 0.75
    inner_top = line - 0.12 * shape.mouth_open * gap_arch + 0.8 * np.exp(-((across / 0.2) ** 2)) * arch
    inner_bottom = inner_top + (0.25 + 0.88 * shape.mouth_open) * gap_arch
    top = inner_top - shape.lip_upper * cupid * arch**0.7
    bottom = inner_bottom + shape.lip_lower * arch**0.72
    edges = {"top": top, "bottom": bottom, "inner_top": inner_top, "inner_bottom": inner_bottom}
    return {name: np.stack([x, y], -1) for name, y in edges.items()}


def flat_points(shape: FaceShape) -> np.ndarray:
    """Returns the 106 points (106, 2) of the face seen straight on, in millimetres."""
    points = np.zeros((106, 2))
    heights = contour_heights(shape)
    widths = mesh_half_width(shape, heights)
    points[0:17] = np.stack([-widths, heights], -1)
    points[32:15:-1] = np.stack([widths, heights], -1)
    quarters = np.linspace(0, 1, 5)
    for side, (start, eye, centre, pupil) in enumerate(((33, 66, 74, 104), (42, 75, 83, 105))):
        upper, lower = brow(shape, side, quarters)
        outline = np.concatenate([upper, lower[:0:-1]])  # outer end, upper edge to the inner end, back along the lower edge
        high, low = eyelids(shape, side, quarters)
        lids = np.concatenate([high, low[3:0:-1]])  # clockwise from the outer corner for the left eye
        if side == 1:
            outline = np.concatenate([upper[::-1], lower[1:]])
            lids = np.concatenate([high[::-1], low[1:4]])
        points[start : start + 9], points[eye : eye + 8] = outline, lids
        points[centre] = points[pupil] = iris_centre(shape, side)
    tip, base, wing = shape.nose_tip, shape.nose_base, shape.nose_half_width
    points[51:55, 1] = np.linspace(-1, tip, 4)
    points[55:58] = (-shape.nose_bridge - 3, 3), (-0.72 * wing, base - 15), (-wing, base - 6)
    points[58:61] = (-0.66 * wing, base), (-0.3 * wing, base + 1.2), (0, base + 2.2)
    mirror = get_scheme("106").mirror
    for right in (61, 62, 63, 64, 65):
        points[right] = points[mirror[right]] * (-1, 1)
    top, bottom, inner_top, inner_bottom = (_lip_points(shape, edge) for edge in _LIP_SHARES)
    points[84:96] = np.concatenate([top, bottom[-2:0:-1]])
    points[96:104] = np.concatenate([inner_top, inner_bottom[-2:0:-1]])
    return points


def _lip_points(shape: FaceShape, edge: str) -> np.ndarray:
    """Returns the points along one edge of the lips, corners and middle among them, from left to right."""
    reach = _INNER_CORNER if edge.startswith("inner") else 1.0
    halves = [_along_lip(shape, edge, corner, (0, *_LIP_SHARES[edge], 1)) for corner in (-reach, reach)]
    return np.concatenate([halves[0], halves[1][-2::-1]])


def _along_lip(shape: FaceShape, edge: str, corner: float, shares: Sequence[float]) -> np.ndarray:
    line = lips(shape, np.linspace(corner, 0, _LIP_SAMPLES))[edge]
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    return np.stack([np.interp(np.array(shares) * lengths[-1], lengths, axis) for axis in line.T], -1)


# ---- surface --------------------------------------------------------------------------------------------------------------------------


def smooth_step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns 0 up to `low`, 1 from `high`, and a smooth rise between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _relief(shape: FaceShape, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns what the features add to the depth of the front at (x, y), in millimetres. Every term is even in x."""
    side = np.abs(x)
    tip, base, wing = shape.nose_tip, shape.nose_base, shape.nose_half_width
    rise = np.clip((y + 10) / (tip + 10), 0, 1)
    along = np.where(y < tip, rise**1.5 * (1.6 - 0.6 * rise), np.exp(-(((y - tip) / 7.5) ** 2)))
    spread = shape.nose_bridge * 1.05 + (0.55 * wing - 0.4 * shape.nose_bridge) * rise**2
    total = shape.nose_depth * along * np.exp(-((x / spread) ** 2))
    # height, |x|, y, spread in x, spread in y
    bumps = (
        (2.0, 0, -4, 7, 12),
        (8.5, 0.72 * wing, base - 6, 0.3 * wing, 6.5),
        (-7.0, shape.eye_x - 4, -3, 17, 10),
        (3.8, shape.eye_x, 0, 11, 8.5),
        (3.0, 26, shape.brow_y, 20, 8),
        (4.5, 0.58 * shape.half_width, 30, 17, 15),
        (5.5, 0, shape.mouth_y, 20, 11),
        (-1.8, 0, shape.mouth_y, 24, 2.2),
        (-3.0, 0, shape.mouth_y + shape.lip_lower + 6, 14, 5),
        (4.5, 0, shape.chin - 16, 14, 10),
    )
    for height, x0, y0, wide, tall in bumps:
        total = total + height * np.exp(-(((side - x0) / wide) ** 2)) * np.exp(-(((y - y0) / tall) ** 2))
    return total


def surface(shape: FaceShape, turn: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns points (..., 3) of the head at turns and heights, which are broadcast together.

    Args:
      turn: radians about y, 0 in front, past +-pi/2 behind.
      y: millimetres.
    """
    below = np.clip((y - _WIDEST) / (shape.chin - _WIDEST), 0, 1)
    above = np.clip((y - _WIDEST) / (shape.crown - _WIDEST), 0, 1)
    dome = (1 - above**2.7) ** (1 / 2.2)
    middle = np.where(y > _WIDEST, 5 + (_CHIN_DEPTH - 5) * below**2.2, 5 - 10 * above)
    profile = 89 + (_CHIN_DEPTH - 89) * below**2
    front = np.where(y > _WIDEST, profile - middle, 84 * dome)
    back = np.where(y > _WIDEST, 98 * (1 - below) ** 0.85, 98 * dome)
    cosine = np.cos(turn)
    ahead = np.maximum(cosine, 0)
    x = half_width_at(shape, y) * np.sin(turn)
    z = middle + front * ahead + back * np.minimum(cosine, 0)
    z = z + _relief(shape, x, y) * ahead**0.7 * (1 - below**8)
    return np.stack([x, np.broadcast_to(y, x.shape), z], -1)


def unit_normals(grid: np.ndarray) -> np.ndarray:
    """Returns the outward normals of a grid of points (rows, columns, 3) whose columns go around to the right and rows down."""
    normal = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)


def row_heights(shape: FaceShape) -> np.ndarray:
    """Returns the heights of the rows of the head's mesh, crown to chin."""
    return np.concatenate([_ABOVE * shape.crown, _BELOW * shape.chin])


@lru_cache(maxsize=8)
def head_mesh(shape: FaceShape) -> np.ndarray:
    """Returns the head's mesh (rows, columns, 3) at `row_heights` and `TURNS`."""
    mesh = surface(shape, TURNS[None], row_heights(shape)[:, None])
    mesh.flags.writeable = False
    return mesh


@lru_cache(maxsize=8)
def _row_half_widths(shape: FaceShape) -> np.ndarray:
    return half_width_at(shape, row_heights(shape))


def mesh_half_width(shape: FaceShape, y: np.ndarray) -> np.ndarray:
    """Returns half the width of the head's mesh at heights `y`: straight from row to row."""
    return np.interp(y, row_heights(shape), _row_half_widths(shape))


@lru_cache(maxsize=8)
def contour_heights(shape: FaceShape) -> np.ndarray:
    """Returns the heights (17,) of contour points 0 to 16, equally far apart along the mesh's outline seen straight on."""
    rows = row_heights(shape)
    y = np.concatenate([[_CONTOUR_TOP], rows[rows > _CONTOUR_TOP]])
    x = mesh_half_width(shape, y)
    along = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    return np.interp(np.linspace(0, along[-1], 17), along, y)


def on_mesh(shape: FaceShape, flat: np.ndarray) -> np.ndarray:
    """Returns the points (N, 3) of the front of the mesh that are seen straight on at (x, y), with the depth of its flat triangles.

    Truth is taken from the triangles that are drawn and not from the smooth surface, from which they differ by a tenth of a millimetre.
    """
    rows, mesh = row_heights(shape), head_mesh(shape)
    width = mesh_half_width(shape, flat[:, 1])
    share = np.clip(np.abs(flat[:, 0]) / np.maximum(width, 1e-6), 0, 1)
    sines = np.sin(_FRONT)
    column = np.clip(np.searchsorted(sines, share, "right") - 1, 0, len(sines) - 2)
    row = np.clip(np.searchsorted(rows, flat[:, 1], "right") - 1, 0, len(rows) - 2)
    right = (share - sines[column]) / (sines[column + 1] - sines[column])
    down = (flat[:, 1] - rows[row]) / (rows[row + 1] - rows[row])
    depth = mesh[:, len(_RIGHT) - 1 :, 2]
    a, b, c, d = depth[row, column], depth[row, column + 1], depth[row + 1, column], depth[row + 1, column + 1]
    first = a + right * (b - a) + down * (c - a)
    second = d + (1 - right) * (c - d) + (1 - down) * (b - d)
    return np.stack([np.sign(flat[:, 0]) * share * width, flat[:, 1], np.where(right + down <= 1, first, second)], -1)


# ---- pose -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pose:
    """How a head is turned and where it lies in the picture.

    Attributes:
      yaw_deg: positive turns the nose to the right of the picture.
      pitch_deg: positive turns it up.
      roll_deg: positive turns the head clockwise.
      scale: pixels a millimetre at the middle of the head.
      centre: image pixels of the middle of the head.
      distance: of the viewer, in millimetres.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    scale: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)
    distance: float = 900.0

    @property
    def rotation(self) -> np.ndarray:
        """The matrix (3, 3) from the head's frame to the viewer's."""
        yaw, pitch, roll = np.deg2rad([self.yaw_deg, self.pitch_deg, self.roll_deg])
        c, s = np.cos, np.sin
        turn = np.array([[c(yaw), 0, s(yaw)], [0, 1, 0], [-s(yaw), 0, c(yaw)]])
        nod = np.array([[1, 0, 0], [0, c(pitch), -s(pitch)], [0, s(pitch), c(pitch)]])
        lean = np.array([[c(roll), -s(roll), 0], [s(roll), c(roll), 0], [0, 0, 1]])
        return lean @ nod @ turn

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns (..., 3): x and y in edge-based image pixels, and the depth towards the viewer in millimetres."""
        seen = points @ self.rotation.T
        depth = seen[..., 2]
        near = self.scale * self.distance / (self.distance - depth)
        return np.stack([seen[..., 0] * near + self.centre[0], seen[..., 1] * near + self.centre[1], depth], -1)


def project_points(shape: FaceShape, pose: Pose) -> np.ndarray:
    """Returns the 106 points (106, 3): edge-based image pixels and depth in millimetres.

    A contour point hidden behind the cheek slides along its height to the outline that is seen, as annotators place it.
    """
    points = _unit_points(shape, replace(pose, scale=1.0, centre=(0.0, 0.0))).copy()
    points[:, :2] = points[:, :2] * pose.scale + pose.centre
    return points


@lru_cache(maxsize=8)
def _unit_points(shape: FaceShape, pose: Pose) -> np.ndarray:
    points = pose.project(on_mesh(shape, flat_points(shape)))
    heights = contour_heights(shape)[:16]  # without the chin, which lies on the line of symmetry
    across = mesh_half_width(shape, heights)[:, None] * np.sin(_FRONT[5:])
    roll = np.deg2rad(pose.roll_deg)
    for sign, indices in ((-1, np.arange(16)), (1, np.arange(32, 16, -1))):
        flat = np.stack([sign * across, np.broadcast_to(heights[:, None], across.shape)], -1)
        rows = pose.project(on_mesh(shape, flat.reshape(-1, 2))).reshape(*across.shape, 3)
        outward = sign * (rows[..., 0] * np.cos(roll) + rows[..., 1] * np.sin(roll))
        points[indices] = rows[np.arange(16), outward.argmax(1)]
    return points
