"""How far each network's points move when the alignment or the picture gets worse: the sensitivity study, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from demo.compare import FacePosition, Finding, ModelFile, drift_percent, find_points
from zoo.alignment import Alignment
from zoo.landmarker import Landmarker

# All networks see one picture of the face at one resolution, so that a blur of 2 px is the same blur for all of them. The face is
# as large as in an aligned crop of 256 px, with room around it for crops that are turned, displaced or widened.
REFERENCE_PX = 448
SHOWN_BOX = (40, 40, 408, 408)  # as much of the reference as is worth a look
_REFERENCE_SCALE = 256 / REFERENCE_PX
SWEEP_STEPS = 11


@dataclass(frozen=True)
class Disturbance:
    """What is done to the alignment and to the picture; the defaults do nothing."""

    rotation_deg: float = 0.0
    across_percent: float = 0.0
    down_percent: float = 0.0
    scale_percent: float = 100.0
    blur_px: float = 0.0
    noise_levels: float = 0.0
    darkness_percent: float = 0.0
    jpeg_quality: float = 100.0


@dataclass(frozen=True)
class Knob:
    """One slider: the field of `Disturbance` it sets, its words, its range and step; `neutral` does nothing."""

    field: str
    label: str
    low: float
    high: float
    step: float
    help: str

    @property
    def neutral(self) -> float:
        """The value that does nothing."""
        return getattr(Disturbance(), self.field)

    @property
    def format(self) -> str:
        """How its values are written."""
        return "%.1f" if self.step < 1 else "%.0f"


KNOBS = (
    Knob("rotation_deg", "Rotation, °", -45, 45, 1, "turns the crop about its centre, clockwise as seen"),
    Knob("across_percent", "Displacement across, %", -50, 50, 2, "of the eye distance; moves the face to the right in the crop"),
    Knob("down_percent", "Displacement down, %", -50, 50, 2, "of the eye distance; moves the face down in the crop"),
    Knob("scale_percent", "Scale, %", 60, 150, 2, "above 100 the face grows in the crop"),
    Knob("blur_px", "Blur, sigma in px", 0, 12, 0.5, "a Gaussian on the face at 256 px"),
    Knob("noise_levels", "Noise, sigma in grey levels", 0, 80, 4, "grain of a sensor, the same on every run"),
    Knob("darkness_percent", "Darkness, %", 0, 96, 4, "takes this much of the light away"),
    Knob("jpeg_quality", "JPEG quality", 2, 100, 2, "of the face at 256 px; 100 leaves the picture alone"),
)


@dataclass(frozen=True, eq=False)
class Reference:
    """A face cut out once for all networks: the picture (448, 448, 3), where the face lies in it, and the way back."""

    picture: np.ndarray
    position: FacePosition
    alignment: Alignment


def cut_out(image: np.ndarray, position: FacePosition) -> Reference:
    """Returns the reference of one face in (H, W, 3) uint8 RGB; what lies outside the picture is black."""
    alignment = position.aligned(REFERENCE_PX).perturbed(scale=_REFERENCE_SCALE)
    return Reference(alignment.crop(image), FacePosition(alignment.to_crop(position.five), position.box), alignment)


def degrade(picture: np.ndarray, disturbance: Disturbance) -> np.ndarray:
    """Returns a picture (H, W, 3) uint8 as a worse camera would give it: darker, then blurred, then grainy, then compressed."""
    if disturbance.darkness_percent:
        picture = cv2.convertScaleAbs(picture, alpha=1 - disturbance.darkness_percent / 100)
    if disturbance.blur_px:
        picture = cv2.GaussianBlur(picture, (0, 0), disturbance.blur_px)
    if disturbance.noise_levels:
        grain = np.random.default_rng(0).standard_normal(picture.shape[:2], np.float32) * np.float32(disturbance.noise_levels)
        picture = cv2.add(picture, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U)
    if disturbance.jpeg_quality < 100:
        _, packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(disturbance.jpeg_quality)])
        picture = np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])
    return picture


def misalign(alignment: Alignment, disturbance: Disturbance) -> Alignment:
    """Returns the alignment turned, scaled and displaced."""
    shift = (disturbance.across_percent / 100, disturbance.down_percent / 100)
    return alignment.perturbed(disturbance.rotation_deg, disturbance.scale_percent / 100, shift)


@dataclass(frozen=True, eq=False)
class Trial:
    """One network on the disturbed reference: what it finds, its undisturbed points (106, 2), and the drift (106,) between the two in %."""

    finding: Finding
    calm: np.ndarray
    drift_percent: np.ndarray


def trial(find: Landmarker, reference: Reference, picture: np.ndarray, disturbance: Disturbance) -> Trial:
    """Returns how one network fares in `picture`, the reference's degraded already."""
    calm = _disturbed(find, reference, reference.picture, Disturbance()).points
    finding = _disturbed(find, reference, picture, disturbance)
    return Trial(finding, calm, drift_percent(finding.points, calm))


def _disturbed(find: Landmarker, reference: Reference, picture: np.ndarray, disturbance: Disturbance) -> Finding:
    return find_points(find, picture, reference.position, lambda alignment: misalign(alignment, disturbance))


def sweep(
    finders: Mapping[ModelFile, Landmarker], reference: Reference, knob: Knob, steps: int = SWEEP_STEPS
) -> list[dict[str, float | str]]:
    """Returns rows of `file`, `value` and `drift %`: how far each network's points move as one knob goes through its range alone.

    The drift is the mean over the points, in % of the eye distance, against the same network's points of the undisturbed face.
    """
    values = sorted({*np.linspace(knob.low, knob.high, steps).tolist(), knob.neutral})
    rows = []
    for value in values:
        disturbance = replace(Disturbance(), **{knob.field: value})
        picture = degrade(reference.picture, disturbance)
        for file, find in finders.items():
            drift = trial(find, reference, picture, disturbance).drift_percent
            rows.append({"file": file.label, "value": value, "drift %": float(drift.mean())})
    return rows
