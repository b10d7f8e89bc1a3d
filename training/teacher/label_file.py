"""Labels files written from parts, or written anew with their points bent, without ever being in memory as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.data.npz_columns import Column, write_columns
from training.readers.landmarks_npz import FILE as LANDMARKS
from training.readers.landmarks_npz import read_landmarks_npz
from training.readers.npz_rows import headers, rows, scalar
from training.readers.sample import MESH_COUNT, Sample
from training.teacher.adapter import Adapter
from training.teacher.occlusion import self_occluded
from zoo.errors import ZooError
from zoo.stations import DEFINITION

# What a labels file says of itself: the pictures' folder, which teacher marked them, and what its points were changed by since.
MARKS = ("root", "definition", "teacher", "teacher_sha256", "adapted_to", "blended_with")
LEFT_OUT = ("no face", "several faces", "extreme pose", "disagree", "unreadable")
EXAMPLES = 3  # names that are given for each of these


def merge(root: Path, parts: list[Path], out: Path, max_disagreement: float, max_yaw_deg: float, marks: Mapping[str, str]) -> dict:
    """Writes one labels file of the parts that `training.teacher.labelling` left, of which one at a time is in memory.

    Args:
      root: the pictures' folder; people's points in its `landmarks.npz`, if there are such, go over the teacher's.
      parts: in the order of the pictures.
      out: the file to write.
      max_disagreement: of a face that is kept, a share of the outer eye corners' distance.
      max_yaw_deg: of a face that is kept.
      marks: scalars of the file by name: which teacher marked it, as `training.teacher.finder.identity` says.

    Returns:
      How many faces are kept, how many (or, where none was found, how many pictures) are not and why, and what share of points is masked;
      as "left out", by why, the names of the first `EXAMPLES`, with the number of faces where those are several.
    """
    human, states, people, outside, width = _human_points(root), Counter(), 0, 0.0, 1
    examples: dict[str, list[str]] = {}

    masks: list[np.ndarray] = []  # of each part, the faces that are kept: found once, since the meshes are most of what there is to read

    def trusted(chunk: np.lib.npyio.NpzFile) -> np.ndarray:
        agreed = (chunk["state"] == "face") & (chunk["disagreement"] <= max_disagreement)
        return agreed & (_turned_aside_deg(chunk["mesh"]) <= max_yaw_deg)

    def chunks() -> Iterator[tuple[np.lib.npyio.NpzFile, np.ndarray]]:
        return ((np.load(part, allow_pickle=False), kept) for part, kept in zip(parts, masks, strict=True))

    def stored(key: str) -> Callable[[], Iterator[np.ndarray]]:
        return lambda: (chunk[key][kept] for chunk, kept in chunks())

    def marked(chunk: np.lib.npyio.NpzFile, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Points and weights of the faces that are kept, people's points over the teacher's, and on how many faces."""
        # A point outside the picture was guessed, not seen.
        points, size = chunk["points"][kept], chunk["size"][kept]
        weights = ((points > 0) & (points < size[:, None, ::-1])).all(-1).astype(np.float32)
        return points, weights, _put_human_points(human, chunk["names"][kept], points, weights)

    for part in parts:
        chunk = np.load(part, allow_pickle=False)
        kept = trusted(chunk)
        masks.append(kept)
        agreed = chunk["disagreement"] <= max_disagreement
        found = np.where((chunk["state"] == "face") & ~kept, np.where(agreed, "extreme pose", "disagree"), chunk["state"]).tolist()
        states.update(found)
        _remember(examples, found, chunk["names"].tolist(), chunk["faces"].tolist())
        _, weights, count = marked(chunk, kept)
        people, outside, width = people + count, outside + float((1 - weights).sum()), max(width, chunk["names"].dtype.itemsize // 4)

    columns = {
        "names": Column(np.dtype(f"<U{width}"), (), stored("names")),
        "points": Column(np.float32, (106, 2), lambda: (marked(*one)[0] for one in chunks())),
        "weights": Column(np.float32, (106,), lambda: (marked(*one)[1] for one in chunks())),
        "mesh": Column(np.float32, (MESH_COUNT, 3), stored("mesh")),
        "hidden": Column(np.bool_, (106,), lambda: (_hidden(chunk["mesh"][kept]) for chunk, kept in chunks())),
        "size": Column(np.int64, (2,), stored("size")),
        "disagreement": Column(np.float32, (), stored("disagreement")),
    }
    kept = states["face"]
    scalars = {"root": str(root.resolve()), "definition": DEFINITION, **marks}
    write_columns(out, {key: np.array(value) for key, value in scalars.items()}, kept, columns)
    outside_percent = round(100 * outside / (106 * kept), 2) if kept else None
    counts = {"kept": kept, **{state: states[state] for state in LEFT_OUT}}
    return counts | {"with human points": people, "points outside %": outside_percent, "left out": examples}


def _remember(examples: dict[str, list[str]], states: Sequence[str], names: Sequence[str], faces: Sequence[int]) -> None:
    """Puts the first names of each state but "face" into `examples`."""
    for state, name, count in zip(states, names, faces, strict=True):
        if state != "face" and len(examples.setdefault(state, [])) < EXAMPLES:
            examples[state].append(f"{name} ({count})" if count > 1 else name)


def _hidden(meshes: np.ndarray) -> np.ndarray:
    """Returns which points (N, 106) bool the faces of meshes (N, 478, 3) themselves hide."""
    return np.array([self_occluded(mesh) for mesh in meshes]).reshape(-1, 106)


def _turned_aside_deg(meshes: np.ndarray) -> np.ndarray:
    """Returns how far meshes (N, 478, 3) are turned from the camera to either side (N,), however the heads are rolled."""
    across = meshes[:, 263] - meshes[:, 33]
    return np.degrees(np.arctan2(np.abs(across[:, 2]), np.hypot(across[:, 0], across[:, 1])))


def bend(labels: Path, adapter: Adapter, fitted_on: str, out: Path) -> int:
    """Writes a labels file anew with its points bent, row by row; returns how many faces it holds."""
    found = headers(labels)
    missing = [key for key in ("root", "names", "points", "mesh") if key not in found]
    if missing:
        raise ZooError(f"{labels} has no array {missing[0]!r}; an adapter bends labels files that `python -m training label` wrote")

    human = _human_points(Path(scalar(labels, "root")))

    def bent() -> Iterator[np.ndarray]:
        faces = rows(labels, ("names", "mesh"))
        for name, mesh in tqdm(faces, total=count, desc=f"adapt {labels.stem}", unit="face", leave=False):
            points = adapter.adapt(mesh)[None]
            _put_human_points(human, np.array([name]), points, np.ones(points.shape[:2]))
            yield points

    count = found["points"][0][0]
    columns = copied_columns(labels) | {"points": Column(np.float32, (106, 2), bent)}
    write_columns(out, copied_marks(labels) | {"adapted_to": np.array(fitted_on)}, count, columns)
    return count


def copied_columns(labels: Path) -> dict[str, Column]:
    """Returns the columns of a labels file, to be written into another one."""

    def copied(key: str) -> Callable[[], Iterator[np.ndarray]]:
        return lambda: (np.asarray(value)[None] for (value,) in rows(labels, (key,)))

    found = headers(labels)
    count = found["points"][0][0]
    return {key: Column(dtype, shape[1:], copied(key)) for key, (shape, dtype) in found.items() if shape[:1] == (count,)}


def copied_marks(labels: Path) -> dict[str, np.ndarray]:
    """Returns what a labels file says of itself: the scalars it has of `MARKS`."""
    found = headers(labels)
    return {key: np.array(scalar(labels, key)) for key in MARKS if key in found}


def people_on_top(root: Path, names: Sequence[str], points: np.ndarray) -> int:
    """Puts the points that people marked, if `root` has such, over points (N, 106, 2) in place; returns on how many faces."""
    return _put_human_points(_human_points(root), np.array(names), points, np.ones(points.shape[:2], np.float32))


def _human_points(root: Path) -> dict[str, Sample]:
    """Returns the faces that people marked by picture's name, where `landmarks.npz` beside the pictures has such."""
    if not (root / LANDMARKS).is_file():
        return {}
    return {face.path.name: face for face in read_landmarks_npz(root) if isinstance(face, Sample)}


def _put_human_points(human: Mapping[str, Sample], names: np.ndarray, points: np.ndarray, weights: np.ndarray) -> int:
    """Puts people's points (N, 106, 2) over the teacher's, with weights of 1, in place; returns on how many faces."""
    count = 0
    for row, name in enumerate(names):
        face = human.get(Path(str(name)).name)
        if face is not None:
            known = face.weights > 0
            points[row, known], weights[row, known] = face.image_points[known], 1
            count += 1
    return count
