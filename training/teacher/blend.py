"""Labels averaged with what a trained network finds: mesh and network err apart, so that their mean is better than either."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.data.npz_columns import Column, write_columns
from training.data.workers import worker_pool
from training.readers.npz_rows import headers, rows, scalar
from training.readers.picture import read_picture
from training.teacher.label_file import copied_columns, copied_marks, people_on_top
from training.teacher.mesh import mirrored
from zoo.errors import ZooError
from zoo.landmarker import Landmarker, load
from zoo.schemes import SCHEMES

_CHUNK = 32
_SCHEME = SCHEMES["106"]
# Left and right change places among the five points of a mirrored picture.
_MIRRORED_FIVE = [1, 0, 2, 4, 3]
# Network and label that lie further apart than this share of the outer eye corners' distance mean different faces.
MAX_APART = 0.15

_find: Landmarker | None = None


def mirror_averaged(find: Callable, image: np.ndarray, five: np.ndarray) -> np.ndarray:
    """Returns the points (106, 2) that a landmarker finds in a picture, averaged with those it finds in the mirror image.

    Args:
      find: takes picture and five points to a prediction, as `zoo.load` returns it.
      image: (H, W, 3) uint8.
      five: (5, 2) image points.

    Raises:
      ZooError: the points lie outside the picture, or do not lie like a face.
    """
    width = image.shape[1]
    across = find(np.ascontiguousarray(image[:, ::-1]), (five * [-1, 1] + [width, 0])[_MIRRORED_FIVE]).points
    return (find(image, five).points + mirrored(across, width)) / 2


def blend(labels: Path, name: str, out: Path, workers: int | None = None) -> dict:
    """Writes a labels file anew, its points averaged with those of published float weights; returns what was done.

    People's points stay as they are, and so do the labels of a face on which the network finds something else.

    Args:
      labels: as `python -m training label` writes it.
      name: published weights, `variant.tag`, or what else `zoo.load` takes.
      out: the file to write.
      workers: processes; one per core if None.
    """
    found = headers(labels)
    root, count = Path(scalar(labels, "root")), found["points"][0][0]
    if "blended_with" in found:
        raise ZooError(f"{labels} is blended with {scalar(labels, 'blended_with')} already: blend the labels file that it was made of")
    faces = [(str(picture), np.asarray(points, np.float64)) for picture, points in rows(labels, ("names", "points"))]
    tasks = [(str(root / picture), points) for picture, points in faces]
    chunks = [tasks[i : i + _CHUNK] for i in range(0, len(tasks), _CHUNK)]
    blended, kept = [], 0
    with (
        worker_pool(workers, start=_start, args=(name,)) as pool,
        tqdm(total=count, desc=f"blend {labels.stem}", unit="face", leave=False) as bar,
    ):
        for points, used in pool.map(_blended, chunks):
            blended.append(points)
            kept += used
            bar.update(len(points))
    points = np.concatenate(blended).astype(np.float32) if blended else np.zeros((0, 106, 2), np.float32)
    people_on_top(root, [picture for picture, _ in faces], points)

    def whole() -> Iterator[np.ndarray]:
        yield points

    columns = copied_columns(labels) | {"points": Column(np.float32, (106, 2), whole)}
    write_columns(out, copied_marks(labels) | {"blended_with": np.array(name)}, count, columns)
    return {"labels": labels.name, "faces": count, "blended": kept, "with": name}


def _start(name: str) -> None:
    global _find  # a worker loads the network once
    _find = load(name, "float32")


def _blended(tasks: Sequence[tuple[str, np.ndarray]]) -> tuple[np.ndarray, int]:
    """Returns the points (N, 106, 2) of some faces, and on how many the network had a say."""
    done, used = [], 0
    for path, points in tasks:
        try:
            found = mirror_averaged(_find, read_picture(Path(path)), _SCHEME.five_points(points))
        except ZooError:
            found = np.full_like(points, np.inf)
        eyes = _SCHEME.eye_distance(points)
        agrees = np.linalg.norm(found - points, axis=1).mean() <= MAX_APART * eyes
        done.append((points + found) / 2 if agrees else points)
        used += agrees
    return np.array(done), int(used)
