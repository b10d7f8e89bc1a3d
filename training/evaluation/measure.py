"""From a model and labelled faces to the errors of every face, each by the normaliser in its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from training.evaluation import metrics
from training.evaluation.faces import Face, find_points, known_points, measurable, picture, title
from training.evaluation.mesh import Mesh
from training.evaluation.yaw import estimate_yaw_deg
from training.readers.sample import Sample
from zoo.landmarker import Landmarker
from zoo.schemes import SCHEMES, to_scheme

# Fewer faces than these say nothing of how far others scatter.
_FEWEST_FACES = 5
# The errors of a face, and what each is a share of.
NORMALISERS = {
    "core12": "distance between the true outer eye corners (twelve spots that every scheme has)",
    "nme": "distance between the true outer eye corners",
    "pupil nme": "distance between the true eyes' centres",
    "box nme": "root of the area of the box round the true points, the 106-point challenge's",
}


@dataclass(frozen=True)
class FaceErrors:
    """Errors of one face as shares, and by part of the face over the outer eye corners' distance; parts the label does not know are NaN."""

    core12: float
    nme: float
    pupils: float
    box: float
    parts: dict[str, float]


def face_errors(points: np.ndarray, sample: Sample) -> FaceErrors:
    """Returns the errors of 106 predicted points (106, 2) in image pixels, over the points of the label's own scheme that it knows."""
    scheme, known = SCHEMES[sample.scheme], known_points(sample)
    mapped, truth = to_scheme(points, sample.scheme), sample.native_points
    errors = metrics.point_errors(mapped, truth, sample.scheme)

    def mean(indices: Sequence[int]) -> float:
        chosen = [i for i in indices if known[i]]
        return float(errors[chosen].mean()) if chosen else float("nan")

    return FaceErrors(
        mean(scheme.core12), float(errors[known].mean()), metrics.pupil_nme(mapped, truth, sample.scheme, known),
        metrics.box_nme(mapped[known], truth[known]), {name: mean(part.indices) for name, part in scheme.parts.items()},
    )  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """Errors of one model on one source; a face the detector missed has infinite errors.

    Attributes:
      model, source: their names.
      scheme: of the set's own points, over which all errors but core12 are.
      pictures, groups: (N,) names; a group is a photograph or a person.
      core12, nme, pupils, box: (N,) errors as shares, not percent; see `NORMALISERS`.
      part_errors: (N,) by part of the face; NaN where the label does not know the part or the face was missed.
      yaw_deg: (N,) estimated from the true points.
      points: (N, count, 2) predicted, image pixels; NaN for a missed face.
    """

    model: str
    source: str
    scheme: str
    pictures: tuple[str, ...]
    groups: tuple[str, ...]
    core12: np.ndarray
    nme: np.ndarray
    pupils: np.ndarray
    box: np.ndarray
    part_errors: dict[str, np.ndarray] = field(repr=False)
    yaw_deg: np.ndarray = field(repr=False)
    points: np.ndarray = field(repr=False)

    @property
    def found(self) -> np.ndarray:
        """Which faces (N,) bool were found."""
        return np.isfinite(self.nme)

    @property
    def parts(self) -> dict[str, float]:
        """The mean error of each part that any label knows, over faces found."""
        seen = {name: errors[np.isfinite(errors)] for name, errors in self.part_errors.items()}
        return {name: float(errors.mean()) for name, errors in seen.items() if len(errors)}

    def percent(self, errors: np.ndarray, among: np.ndarray | None = None) -> float | None:
        """Returns the mean of errors (N,) over faces found, in percent, or over those `among` (N,) bool; None where there is none."""
        chosen = self.found if among is None else self.found & among
        return round(100 * float(errors[chosen].mean()), 3) if chosen.any() else None

    def interval(self, errors: np.ndarray, among: np.ndarray | None = None) -> str | None:
        """Returns the 95 % bootstrap interval of that mean as text, in percent; None for fewer than five faces."""
        chosen = self.found if among is None else self.found & among
        if chosen.sum() < _FEWEST_FACES:
            return None
        low, high = metrics.mean_interval(100 * errors[chosen], groups=np.array(self.groups)[chosen])
        return f"{low:.2f}..{high:.2f}"

    def row(self) -> dict[str, Any]:
        """Returns the figures of a card, in percent: core12, nme, AUC and FR are over the outer eye corners' distance."""
        return {
            "model": self.model, "source": title(self.source), "faces": len(self.nme), "missed": int((~self.found).sum()),
            "core12 %": self.percent(self.core12), "core12 95 %": self.interval(self.core12),
            "points": int(self.scheme), "nme %": self.percent(self.nme), "box nme %": self.percent(self.box),
            "AUC@0.08": round(metrics.auc(self.nme), 4), "FR@0.08 %": round(100 * metrics.failure_rate(self.nme), 2),
        }  # fmt: skip


def evaluate(find: Landmarker | Mesh, faces: Sequence[Face], source: str, model: str, align: str = "noisy", seed: int = 0) -> Evaluation:
    """Returns a model's errors on labelled faces.

    Args:
      faces: from `samples`; those that are not `measurable` are left out.
      align: one of `ALIGNMENTS`; the noise is the same for every model with the same seed. MediaPipe's mesh has its own detector always.
    """
    faces, align = measurable(faces), "detector" if isinstance(find, Mesh) else align
    scheme = SCHEMES[faces[0][0].scheme]
    missed = FaceErrors(np.inf, np.inf, np.inf, np.inf, dict.fromkeys(scheme.parts, np.nan))
    errors, yaw_deg, predicted = [], [], np.full((len(faces), scheme.count, 2), np.nan)
    for index, face in enumerate(tqdm(faces, desc=f"{model} on {title(source)}", unit="face")):
        sample = face[0]
        points = find_points(find, picture(face), sample, align, np.random.default_rng([seed, index]))
        errors.append(missed if points is None else face_errors(points, sample))
        yaw_deg.append(estimate_yaw_deg(sample.native_points, sample.scheme, known_points(sample)))
        if points is not None:
            predicted[index] = to_scheme(points, sample.scheme)
    core12, nme, pupils, box = (np.array([getattr(e, name) for e in errors]) for name in ("core12", "nme", "pupils", "box"))
    parts = {name: np.array([e.parts[name] for e in errors]) for name in scheme.parts}
    names, groups = tuple(s.path.name for s, _ in faces), tuple(s.group for s, _ in faces)
    return Evaluation(model, source, scheme.name, names, groups, core12, nme, pupils, box, parts, np.array(yaw_deg), predicted)
