"""Where a face lies: the similarity between picture and crop, found from five naive points.

All coordinates are edge-based: pixel i covers [i, i + 1], so a change of resolution is a pure scaling and the only
half-pixel shift of the system stands in `Alignment.crop`, beside the one call to `warpAffine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from zoo.errors import ZooError

# Left eye, right eye, nose tip, mouth centre, as shares of the crop's side. The first is the mean shape of labelled faces,
# made symmetric, placed so that brows, jaw and a turned head's cheek stay inside. The second is where MediaPipe's detector puts its
# points on faces that lie on the first: eyes 2 % further apart, nose and mouth lower by 5 % of the eye distance. Medians
# over 500 pictures of the project's open training set.
LABEL_TEMPLATE = np.array([[0.340, 0.275], [0.660, 0.275], [0.500, 0.448], [0.500, 0.605]])
DETECTOR_TEMPLATE = np.array([[0.3364, 0.2803], [0.6636, 0.2803], [0.500, 0.4641], [0.500, 0.6228]])

LABEL_EYE_DISTANCE = float(LABEL_TEMPLATE[1, 0] - LABEL_TEMPLATE[0, 0])  # share of the crop's side

# Eyes nearer to each other than this, or all five points in so small a spot, do not say how a face lies.
MIN_EYE_DISTANCE_PX = 2.0
# Below this correlation no turned and scaled template resembles the points: exchanged eyes reach 0.2, a full profile 0.77.
_MIN_LIKENESS = 0.25
_AS_COMPLEX = np.array([1, 1j])
# OpenCV takes no source with a side of SHRT_MAX or more.
_OPENCV_SIDE_PX = 32_767
# A face whose points lie further outside the picture than this share of its size cannot be cropped to anything useful.
MAX_OUTSIDE_SHARE = 0.5


@dataclass(frozen=True)
class Alignment:
    """A similarity from image to crop coordinates (possibly with a mirror) and the crop's side in pixels."""

    matrix: np.ndarray
    size: int

    @staticmethod
    def from_five(five: np.ndarray, size: int, template: np.ndarray = LABEL_TEMPLATE) -> Alignment:
        """Returns the least-squares similarity that lays five naive points on the template.

        Args:
          five: (5, 2) image points: left eye, right eye, nose tip, left and right mouth corner; or (4, 2) with the mouth's
            centre, which is all that enters, so a detector without mouth corners serves as well.
          size: side of the crop in pixels.
          template: (4, 2) shares of the side: `LABEL_TEMPLATE`, or `DETECTOR_TEMPLATE` for MediaPipe's detector.

        Raises:
          ZooError: the points are not (5, 2) or (4, 2), not finite, lie all on one spot, or not at all like a face.
        """
        four = four_points(five)
        return Alignment.from_pairs(four, template * size, size)

    @staticmethod
    def from_pairs(image_points: np.ndarray, crop_points: np.ndarray, size: int) -> Alignment:
        """Returns the least-squares similarity that lays image points (N, 2) on crop points (N, 2): Umeyama 1991, in the plane.

        Raises:
          ZooError: the points do not lie alike, turned and scaled as one may.
        """
        # Points as complex numbers: the factor is <source, target> / <source, source>.
        z, w = image_points @ _AS_COMPLEX, crop_points @ _AS_COMPLEX
        z_mean, w_mean = z.sum() / len(z), w.sum() / len(w)
        z, w = z - z_mean, w - w_mean
        likeness, spread = np.vdot(z, w), np.vdot(z, z).real
        if not abs(likeness) >= _MIN_LIKENESS * math.sqrt(spread * np.vdot(w, w).real) > 0:
            raise ZooError("the five points do not lie like a face: the left eye, as seen in the picture, comes first, then the right eye")
        factor = likeness / spread
        offset = w_mean - factor * z_mean
        return Alignment(np.array([[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag]]), int(size))

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def to_crop(self, image_points: np.ndarray) -> np.ndarray:
        """Returns image points (..., 2) in the crop's coordinates."""
        return np.asarray(image_points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_image(self, crop_points: np.ndarray) -> np.ndarray:
        """Returns crop points (..., 2) in the image's coordinates: the inverse of `to_crop`."""
        (a, b), (c, d) = self.matrix[:, :2]
        # Written out: a library call for a 2 x 2 inverse costs more than the rest of a crop.
        inverse_transposed = np.array([[d, -c], [-b, a]]) / (a * d - b * c)
        return (np.asarray(crop_points, np.float64) - self.matrix[:, 2]) @ inverse_transposed

    def perturbed(
        self, rotation_deg: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0), mirror: bool = False
    ) -> Alignment:
        """Returns this alignment turned, scaled and displaced about the crop's centre, then perhaps mirrored.

        Args:
          rotation_deg: clockwise as seen, in degrees.
          scale: above 1 the face grows.
          shift: across and along, as shares of the template's eye distance.
          mirror: whether left and right change places; the caller exchanges the points' indices.
        """
        angle = np.deg2rad(rotation_deg)
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.full(2, self.size / 2)
        offset = centre - linear @ centre + np.asarray(shift, np.float64) * LABEL_EYE_DISTANCE * self.size
        if mirror:
            linear, offset = linear * [[-1], [1]], offset * [-1, 1] + [self.size, 0]
        return Alignment(np.column_stack([linear @ self.matrix[:, :2], linear @ self.matrix[:, 2] + offset]), self.size)

    def crop(self, image: np.ndarray, border: int | None = None, border_value: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
        """Returns the face as (size, size, channels), resampled once.

        A face more than twice as large as the crop is first halved, once or more, by averages of 2 x 2 pixels, so that nothing aliases.

        Args:
          image: (H, W, channels) or (H, W) uint8.
          border: OpenCV border mode for what lies outside the picture; constant `border_value` if None.
        """
        border = cv2.BORDER_CONSTANT if border is None else border
        matrix = self.matrix
        block = 1
        while self.scale * block < 0.5:
            block *= 2
        if block > 1 or max(image.shape[:2]) >= _OPENCV_SIDE_PX:
            image, matrix = self._averaged(image, matrix, block)
        # warpAffine puts pixel centres on integers; ours lie at i + 0.5.
        centred = matrix.copy()
        centred[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
        return cv2.warpAffine(image, centred, (self.size, self.size), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=border_value)

    def _averaged(self, image: np.ndarray, matrix: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the part of the image under the crop averaged over blocks (a power of two), and the matrix for it."""
        corners = self.to_image(np.array([[0, 0], [self.size, 0], [0, self.size], [self.size, self.size]], np.float64))
        spans = zip(corners.min(0).tolist(), corners.max(0).tolist(), image.shape[1::-1], strict=True)
        (x0, blocks_x), (y0, blocks_y) = (_blocks(low, high, side, block) for low, high, side in spans)
        small = image[y0 : y0 + blocks_y * block, x0 : x0 + blocks_x * block]
        # Whole blocks only, so that the reduction is a pure scaling; a remainder at the picture's far edge is copied on.
        missing_y, missing_x = blocks_y * block - small.shape[0], blocks_x * block - small.shape[1]
        if missing_x or missing_y:
            small = cv2.copyMakeBorder(small, 0, missing_y, 0, missing_x, cv2.BORDER_REPLICATE)
        for halved in range(1, block.bit_length()):  # halving is the one reduction by areas that OpenCV does with vector instructions
            small = cv2.resize(small, (blocks_x * block >> halved, blocks_y * block >> halved), interpolation=cv2.INTER_AREA)
        return small, np.column_stack([matrix[:, :2] * block, matrix[:, 2] + matrix[:, :2] @ [x0, y0]])


def _blocks(low: float, high: float, side: int, block: int) -> tuple[int, int]:
    """Returns where the blocks that cover `low` to `high` of a side start, within it, and how many they are: with a margin of two."""
    first = min(max(math.floor(low) - 2 * block, 0), side - 1)
    last = min(math.ceil(high) + 2 * block, side)
    return first, max(1, -(-(last - first) // block))


def four_points(five: np.ndarray) -> np.ndarray:
    """Returns (4, 2): left eye, right eye, nose tip, mouth centre, from (5, 2) or (4, 2) points; a ZooError if they cannot be used."""
    try:
        five = np.asarray(five, np.float64)
    except (TypeError, ValueError):
        raise ZooError("the five points must be numbers of shape (5, 2): eyes, nose tip, mouth corners") from None
    if five.shape not in {(5, 2), (4, 2)}:
        raise ZooError(f"the five points must have shape (5, 2) (eyes, nose tip, mouth corners) or (4, 2), received {five.shape}")
    if not np.isfinite(five).all():
        raise ZooError(f"the five points must be finite, received {five[~np.isfinite(five).all(1)][0].tolist()}")
    four = five if len(five) == 4 else np.vstack([five[:3], (five[3:4] + five[4:]) / 2])
    off = four - four.sum(0) / 4
    spread = math.sqrt((off * off).sum(1).max())
    if spread < MIN_EYE_DISTANCE_PX:
        raise ZooError(f"the five points lie within {spread:.2g} px of one another: too near to say how the face lies")
    return four


def check_inside(four: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises a ZooError if four points, as `four_points` returns them, lie far outside a picture of this shape (H, W, ...)."""
    (height, width), (x, y) = shape[:2], four.T.tolist()  # Python's own numbers: for so few, NumPy's calls cost more than their work
    reach = MAX_OUTSIDE_SHARE * max(max(x) - min(x), max(y) - min(y))
    centre_x, centre_y = sum(x) / 4, sum(y) / 4
    seen = max(x) >= reach and max(y) >= reach and min(x) + reach <= width and min(y) + reach <= height
    if not (seen and 0 <= centre_x <= width and 0 <= centre_y <= height):
        raise ZooError(
            f"the five points lie outside the picture: their centre is ({centre_x:.0f}, {centre_y:.0f}), "
            f"the picture is {width} x {height} px"
        )
