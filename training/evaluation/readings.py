"""What a network's maps say of crops of which more is known: true points, drawn occluders, faces turned in depth, no face at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.evaluation.faces import Face, picture, title, with_noise
from training.learning.augmentation import occlude
from training.learning.negatives import negative_crop
from training.readers.npz_rows import headers, rows
from training.readers.sample import Sample
from training.teacher.mesh import remap
from training.teacher.posing import TurnedFace, mesh_yaw_deg
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.landmarker import Landmarker
from zoo.runtime.crop_points import CropPoints
from zoo.schemes import SCHEMES

PLAIN, OCCLUDED, TURNED, NO_FACE = "as photographed", "with drawn occluders", "turned in depth", "no face"
UNKNOWN, SEEN, HIDDEN = -1, 0, 1
# A face is turned by so much, and no further from the camera than that: what was never photographed has no texture to turn into sight.
_TURN_DEG, _MOST_YAW_DEG = (25.0, 50.0), 65.0
# A mesh this near to a face's points, on average and in its own eye distances, is of that face.
_SAME_FACE = 0.3
_EYES = SCHEMES["106"].outer_eyes


@dataclass(frozen=True)
class Readings:
    """What the maps of N crops say, and what is true of them.

    Attributes:
      source: title of the set.
      kind: `PLAIN`, `OCCLUDED`, `TURNED` or `NO_FACE`.
      spreads_px: (N, 106) in crop pixels.
      scores: (N, 106).
      errors_px: (N, 106) distance from the true point in crop pixels; not a number where that is not known.
      hidden: (N, 106) `UNKNOWN`, `SEEN` or `HIDDEN`.
      eyes_px: (N,) distance between the true outer eye corners in crop pixels (the predicted ones where they are unknown).
      predicted_eyes_px: (N,) that of the predicted ones.
      groups: (N,) which photograph or person.
    """

    source: str
    kind: str
    spreads_px: np.ndarray
    scores: np.ndarray
    errors_px: np.ndarray
    hidden: np.ndarray
    eyes_px: np.ndarray
    predicted_eyes_px: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.eyes_px)

    def chosen(self, rows: np.ndarray) -> Readings:
        """Returns the readings of some rows (N,) bool."""
        arrays = (self.spreads_px, self.scores, self.errors_px, self.hidden, self.eyes_px, self.predicted_eyes_px, self.groups)
        return Readings(self.source, self.kind, *(array[rows] for array in arrays))


# One crop on its way: what the maps say in crop pixels, the true points (106, 2) there (not numbers where unknown), what is hidden, group.
_Row = tuple[CropPoints, np.ndarray, np.ndarray, str]


def read(
    find: Landmarker, source: str, faces: Sequence[Face], meshes: Mapping[str, list[np.ndarray]] | None = None, seed: int = 0
) -> list[Readings]:
    """Returns the readings of a set's faces: as photographed, with drawn occluders, beside the face, and turned where there are meshes.

    Args:
      find: whose `forward` is read.
      source: name of the set.
      faces: of the set, from `training.evaluation.faces.samples`.
      meshes: in image pixels by picture's name, as `meshes_of` reads them; beside those that samples come with.
      seed: of all that is drawn; the same for every model.
    """
    found: dict[str, list[_Row]] = {PLAIN: [], OCCLUDED: [], NO_FACE: [], TURNED: []}
    for index, face in enumerate(tqdm(faces, desc=f"{find.name} on {title(source)}", unit="face", leave=False)):
        sample, image, rng = face[0], picture(face), np.random.default_rng([seed, index])
        # Drawn first and with the seed of `evaluate`, so that errors are of the very crops that are measured there.
        alignment = Alignment.from_five(with_noise(sample.five, rng), find.size, find.label_template)
        for kind, row in _of_face(find, sample, image, alignment, rng):
            found[kind].append(row)
        mesh = _own_mesh(sample, meshes or {})
        if mesh is not None and (row := _turned(find, sample, image, mesh, rng)) is not None:
            found[TURNED].append(row)
    return [_joined(title(source), kind, rows_of_kind) for kind, rows_of_kind in found.items() if rows_of_kind]


def plain_crops(find: Landmarker) -> Readings:
    """Returns the readings of crops of one colour and of noise."""
    size, rng = find.size, np.random.default_rng(0)
    crops = [np.full((size, size, 3), colour, np.uint8) for colour in (0, 64, 128, 200, 255)]
    crops += [rng.integers(0, 256, (size, size, 3), np.uint8) for _ in crops]
    unknown = np.full((106, 2), np.nan), np.full(106, UNKNOWN)
    return _joined("flat colours and noise", NO_FACE, [(find.forward(crop), *unknown, "drawn") for crop in crops])


def meshes_of(labels: Sequence[Path]) -> dict[str, list[np.ndarray]]:
    """Returns the teacher's meshes (478, 3) of labels files (`python -m training label`) by picture's name, of all its faces.

    Raises:
      ZooError: a file holds no meshes.
    """
    found: dict[str, list[np.ndarray]] = {}
    for path in labels:
        if "mesh" not in headers(path) or "names" not in headers(path):
            raise ZooError(f"{path} holds no meshes; a labels file that `python -m training label` wrote is expected")
        for name, mesh in rows(path, ("names", "mesh")):
            found.setdefault(Path(str(name)).name, []).append(np.asarray(mesh, np.float64))
    return found


def _own_mesh(sample: Sample, meshes: Mapping[str, list[np.ndarray]]) -> np.ndarray | None:
    """Returns the mesh of a face: its own, or that among its picture's which lies on its points; None where there is none."""
    if sample.mesh is not None:
        return sample.mesh.astype(np.float64)
    known, near = sample.weights > 0, []
    for mesh in meshes.get(sample.path.name, []):
        apart = np.linalg.norm(remap(mesh)[known, :2] - sample.image_points[known], axis=1).mean()
        near.append((apart / np.linalg.norm(mesh[263, :2] - mesh[33, :2]), mesh))
    apart, mesh = min(near, key=lambda one: one[0], default=(np.inf, None))
    return mesh if apart < _SAME_FACE else None


def _of_face(
    find: Landmarker, sample: Sample, image: np.ndarray, alignment: Alignment, rng: np.random.Generator
) -> Iterator[tuple[str, _Row]]:
    """Yields the readings of a face as photographed, with occluders, and of a crop beside it."""
    crop, truth, size = alignment.crop(image), _truth(alignment, sample), find.size
    hidden = np.full(106, UNKNOWN) if sample.hidden is None else np.where(sample.hidden, HIDDEN, UNKNOWN)
    yield PLAIN, (find.forward(crop), truth, hidden, sample.group)
    occluded, covered = occlude(crop, rng, 1.0)
    inside = ((truth > 0) & (truth < size)).all(1)
    columns, lines = np.where(inside[:, None], truth, 0).astype(int).T
    hidden = np.where(inside, np.where(covered[lines, columns], HIDDEN, SEEN), UNKNOWN)
    yield OCCLUDED, (find.forward(occluded), truth, hidden, sample.group)
    beside = negative_crop(image, alignment, rng)
    yield NO_FACE, (find.forward(beside), np.full((106, 2), np.nan), np.full(106, UNKNOWN), sample.group)


def _turned(find: Landmarker, sample: Sample, image: np.ndarray, mesh: np.ndarray, rng: np.random.Generator) -> _Row | None:
    """Returns the readings of a face turned further to the side it looks to; None where it looks there too far already."""
    yaw_deg = mesh_yaw_deg(mesh)
    side = np.sign(yaw_deg) if abs(yaw_deg) > _TURN_DEG[0] / 2 else rng.choice([-1, 1])
    least, most = _TURN_DEG[0], min(_TURN_DEG[1], _MOST_YAW_DEG - side * yaw_deg)
    if most < least:
        return None
    known = sample.weights > 0
    points = np.where(known[:, None], sample.image_points, remap(mesh)[:, :2])
    turned = TurnedFace(image, mesh, points, float(side * rng.uniform(least, most)), 0.0)
    five = with_noise(SCHEMES["106"].five_points(turned.points), rng)
    alignment = Alignment.from_five(five, find.size, find.label_template)
    crop, hidden = turned.crop(alignment, 0, (0, 0, 0))
    truth = np.where(known[:, None], alignment.to_crop(turned.points), np.nan)
    return find.forward(crop), truth, np.where(hidden, HIDDEN, SEEN), sample.group


def _truth(alignment: Alignment, sample: Sample) -> np.ndarray:
    return np.where((sample.weights > 0)[:, None], alignment.to_crop(sample.image_points), np.nan)


def _joined(source: str, kind: str, rows: list[_Row]) -> Readings:
    found, truth, hidden, groups = zip(*rows, strict=True)
    predicted, truth = np.array([one.points for one in found]), np.array(truth)
    eyes, predicted_eyes = _apart(np.where(np.isnan(truth), predicted, truth)), _apart(predicted)
    return Readings(
        source, kind, np.array([one.spreads for one in found]), np.array([one.scores for one in found]),
        np.linalg.norm(predicted - truth, axis=2), np.array(hidden), eyes, predicted_eyes, np.array(groups),
    )  # fmt: skip


def _apart(points: np.ndarray) -> np.ndarray:
    """Returns the distance between the outer eye corners (N,) of points (N, 106, 2)."""
    return np.linalg.norm(points[:, _EYES[0]] - points[:, _EYES[1]], axis=1)
