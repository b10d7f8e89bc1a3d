"""Where a crop may be laid: five points disturbed by a known amount, as a detector would, or replaced by a box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.faces import NOISE_ROTATION_DEG, NOISE_SCALE, NOISE_SHIFT, Face, known_points, moved, with_noise
from training.readers.sample import Sample
from zoo.alignment import LABEL_TEMPLATE, Alignment, four_points
from zoo.schemes import SCHEMES

# How far each kind goes, in its own unit, and the ways in which it is tried; errors are averaged over these.
AMOUNTS: dict[str, tuple[float, ...]] = {
    "rotation": (2.5, 5, 10, 15, 20, 30, 45),
    "displacement": (2.5, 5, 10, 15, 20, 30),
    "scale": (2.5, 5, 10, 15, 20, 30, 40),
}
UNITS = {"rotation": "degrees", "displacement": "% of the eye distance", "scale": "% larger or smaller"}
# One standard deviation of the detector's noise, in the same units; of a displacement the length in two dimensions.
DETECTOR = {"rotation": NOISE_ROTATION_DEG, "displacement": 100 * float(np.hypot(*NOISE_SHIFT)), "scale": 100 * NOISE_SCALE}
# Drawings of the noise for each face.
DRAWINGS = 4


def disturbed(five: np.ndarray, kind: str, amount: float) -> list[np.ndarray]:
    """Returns the four naive points (4, 2) disturbed by one kind and amount: turned both ways, displaced four ways, scaled both ways."""
    four = four_points(five)
    if kind == "rotation":
        return [moved(four, rotation_deg=sign * amount) for sign in (-1, 1)]
    if kind == "scale":
        return [moved(four, scale=(1 + amount / 100) ** sign) for sign in (-1, 1)]
    return [moved(four, shift=np.array(way) * amount / 100) for way in ((1, 0), (-1, 0), (0, 1), (0, -1))]


def carried(sample: Sample, kind: str, amount: float) -> float:
    """Returns how far a disturbance carries the twelve common spots within the crop, on average, as a share of the outer eyes' distance.

    It is the unit in which turns, displacements and changes of scale can be compared.
    """
    scheme, truth = SCHEMES[sample.scheme], sample.native_points
    spots = truth[[i for i in scheme.core12 if known_points(sample)[i]]]
    four, eyes = four_points(sample.five), scheme.eye_distance(truth)
    exact = Alignment.from_five(four, 1)
    backs = [exact.to_image(Alignment.from_five(other, 1).to_crop(spots)) for other in disturbed(four, kind, amount)]
    return float(np.mean([np.linalg.norm(back - spots, axis=1).mean() for back in backs]) / eyes)


@dataclass(frozen=True)
class BoxPlace:
    """Where the box round the true points lies in an exactly aligned crop, on average: its centre and the root of its area, in shares."""

    centre: np.ndarray
    side: float

    def points(self, sample: Sample, turned: bool = False) -> np.ndarray:
        """Returns four naive points (4, 2) that lay a crop by the box round the true points alone.

        Args:
          turned: whether box and crop are turned as the face is, instead of upright.
        """
        turn = np.eye(2)
        if turned:
            linear = Alignment.from_five(sample.five, 1).matrix[:, :2]
            turn = linear / np.sqrt(np.linalg.det(linear))
        centre, side = _box(sample.native_points[known_points(sample)] @ turn.T)
        return (centre + (LABEL_TEMPLATE - self.centre) * side / self.side) @ turn


def mean_box(faces: Sequence[Face]) -> BoxPlace:
    """Returns the box's mean place over faces aligned by their exact five points."""
    boxes = [_box(Alignment.from_five(s.five, 1).to_crop(s.native_points[known_points(s)])) for s, _ in faces]
    return BoxPlace(np.mean([centre for centre, _ in boxes], axis=0), float(np.mean([side for _, side in boxes])))


def _box(points: np.ndarray) -> tuple[np.ndarray, float]:
    low, high = points.min(0), points.max(0)
    return (low + high) / 2, float(np.sqrt(np.prod(high - low)))


EXACT, NOISY, DETECTED = "five true points", "a detector's noise", "the detector's own five points"
BOX, TURNED_BOX = "box of the true points, upright", "box of the true points, turned as the face"


def placements(faces: Sequence[Face]) -> dict[str, Callable[[Sample, np.random.Generator], list[np.ndarray]]]:
    """Returns, by name, the ways to lay a crop that need no detector; each gives the naive points of one or more trials."""
    box = mean_box(faces)

    def drawn(draw: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Callable[[Sample, np.random.Generator], list[np.ndarray]]:
        return lambda sample, rng: [draw(sample.five, rng) for _ in range(DRAWINGS)]

    return {
        EXACT: lambda sample, rng: [sample.five],
        "its rotation alone": drawn(lambda five, rng: moved(five, rotation_deg=rng.normal(0, NOISE_ROTATION_DEG))),
        "its displacement alone": drawn(lambda five, rng: moved(five, shift=rng.normal(0, NOISE_SHIFT))),
        "its scale alone": drawn(lambda five, rng: moved(five, scale=np.exp(rng.normal(0, NOISE_SCALE)))),
        NOISY: drawn(with_noise),
        BOX: lambda sample, rng: [box.points(sample)],
        TURNED_BOX: lambda sample, rng: [box.points(sample, turned=True)],
    }
