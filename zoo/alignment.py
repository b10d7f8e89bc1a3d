"""Where a face lies: the similarity between picture and crop, found from five naive points.

All coordinates are edge-based: pixel i covers [i, i + 1], so a change of resolution is a pure scaling and the only
half-pixel shift of the system stands in `Alignment.crop`, beside the one call to `warpAffine`.
"""

from __future__ import annotations

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
        source_mean, target_mean = image_points.mean(0), crop_points.mean(0)
        source, target = image_points - source_mean, crop_points - target_mean
        # Points as complex numbers: the factor is <source, target> / <source, source>.
        z, w = source @ [1, 1j], target @ [1, 1j]
        if not abs(np.vdot(z, w)) >= _MIN_LIKENESS * np.linalg.norm(z) * np.linalg.norm(w) > 0:
            raise ZooError("the five points do not lie like a face: the left eye, as seen in the picture, comes first, then the right eye")
        factor = np.vdot(z, w) / np.vdot(z, z).real
        linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
        return Alignment(np.column_stack([linear, target_mean - linear @ source_mean]), int(size))

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

        A face more than twice as large as the crop is first averaged over whole blocks of pixels, so that nothing aliases.

        Args:
          image: (H, W, channels) or (H, W) uint8.
          border: OpenCV border mode for what lies outside the picture; constant `border_value` if None.
        """
        border = cv2.BORDER_CONSTANT if border is None else border
        matrix = self.matrix
        block = int(0.5 / self.scale + 1e-9) + 1 if self.scale < 0.5 else 1
        if block > 1 or max(image.shape[:2]) >= _OPENCV_SIDE_PX:
            image, matrix = self._averaged(image, matrix, block)
        # warpAffine puts pixel centres on integers; ours lie at i + 0.5.
        centred = matrix.copy()
        centred[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
        return cv2.warpAffine(image, centred, (self.size, self.size), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=border_value)

    def _averaged(self, image: np.ndarray, matrix: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the part of the image under the crop averaged over blocks, and the matrix for it."""
        corners = self.to_image(np.array([[0, 0], [self.size, 0], [0, self.size], [self.size, self.size]], np.float64))
        height, width = image.shape[:2]
        margin = 2 * block
        x0, y0 = np.clip(np.floor(corners.min(0)).astype(int) - margin, 0, [width, height])
        x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int) + margin, 0, [width, height])
        # Whole blocks only, so that the reduction is a pure scaling; a remainder at the picture's far edge is copied on.
        blocks_x, blocks_y = max(1, -(-(x1 - x0) // block)), max(1, -(-(y1 - y0) // block))
        x0, y0 = min(x0, max(width - 1, 0)), min(y0, max(height - 1, 0))
        part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        missing_y, missing_x = blocks_y * block - part.shape[0], blocks_x * block - part.shape[1]
        if missing_x or missing_y:
            part = cv2.copyMakeBorder(part, 0, missing_y, 0, missing_x, cv2.BORDER_REPLICATE)
        small = cv2.resize(part, (blocks_x, blocks_y), interpolation=cv2.INTER_AREA)
        to_small = np.column_stack([matrix[:, :2] * block, matrix[:, 2] + matrix[:, :2] @ [x0, y0]])
        return small, to_small


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
    four = five if len(five) == 4 else np.vstack([five[:3], five[3:].mean(0)])
    spread = np.linalg.norm(four - four.mean(0), axis=1).max()
    if spread < MIN_EYE_DISTANCE_PX:
        raise ZooError(f"the five points lie within {spread:.2g} px of one another: too near to say how the face lies")
    return four


def check_inside(five: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises a ZooError if the five points lie far outside a picture of this shape (H, W, ...)."""
    four = four_points(five)
    extent = np.ptp(four, axis=0).max()
    low, high = four.min(0) + MAX_OUTSIDE_SHARE * extent, four.max(0) - MAX_OUTSIDE_SHARE * extent
    height, width = shape[:2]
    if (high < 0).any() or low[0] > width or low[1] > height or (four.mean(0) < 0).any() or (four.mean(0) > [width, height]).any():
        raise ZooError(
            f"the five points lie outside the picture: their centre is ({four.mean(0)[0]:.0f}, {four.mean(0)[1]:.0f}), "
            f"the picture is {width} x {height} px"
        )
