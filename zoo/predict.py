"""Landmarks for files and folders of pictures: overlays on disk, figures as rows, and a reason for every picture that failed."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.detector import DEFAULT_RANGE, USUAL_SCORE
from zoo.errors import ZooError, one_line
from zoo.images import list_images, read_image, write_image
from zoo.landmarker import Landmarker, Prediction
from zoo.overlay import draw_points
from zoo.schemes import get_scheme, scores_as_scheme, to_scheme

CONVENTION = "(x, y) in pixels of the upright picture, edge-based: the centre of the top left pixel is (0.5, 0.5)"
# Decimal places of printed pixels and scores; a hundredth of a pixel is far below the networks' error.
PIXEL_PLACES, SCORE_PLACES = 2, 3
SURENESS = (
    "sigmas: within this many pixels the true point lies in 68 of 100 cases, within twice as many in 95; visible: 0 to 1, how likely the "
    "point is seen; score: 0 to 1, how likely there is a face; all by the spread of the network's maps, {}"
)
_KEPT_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Result:
    """What became of one picture.

    Attributes:
      path: as it was given, or found in a folder that was given.
      faces: the largest first; empty if there is none or the picture failed.
      size: (width, height) of the upright picture, or None if it could not be read.
      overlay: the drawing, if one was written.
      duration_ms: detection and landmarks together, without reading and writing.
      reason: why it failed, or None.
    """

    path: Path
    faces: tuple[Prediction, ...] = ()
    size: tuple[int, int] | None = None
    overlay: Path | None = None
    duration_ms: float = 0.0
    reason: str | None = None


def collect(paths: Iterable[str | os.PathLike], out: Path | None) -> tuple[list[Path], list[Result]]:
    """Returns the pictures among files and folders, and a failed result for each path that gives none.

    Overlays that an earlier run left in `out` are not taken for pictures when `out` lies within a folder that is searched.
    """
    images: dict[Path, None] = {}
    failed = []
    for path in map(Path, paths):
        try:
            found = list_images([path])
        except ZooError as error:
            failed.append(Result(path, reason=str(error)))
            continue
        if out is not None and path.is_dir() and path.resolve() in out.resolve().parents:
            found = [image for image in found if out.resolve() not in image.resolve().parents]
        images.update(dict.fromkeys(found))
    return list(images), failed


def overlay_paths(images: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Returns where each picture's overlay goes: under `out` as the pictures lie under their common folder, each name once.

    Raises:
      ZooError: an overlay would replace one of the pictures.
    """
    if not images:
        return {}
    sources = {image: Path(os.path.abspath(image)) for image in images}
    common = os.path.commonpath([source.parent for source in sources.values()])
    targets: dict[Path, Path] = {}
    taken: set[str] = set()
    for image, source in sources.items():
        name = source.name if source.suffix.lower() in _KEPT_SUFFIXES else f"{source.name}.png"
        wanted = out / source.relative_to(common).parent / name
        target, number = wanted, 2
        # Compared without case, since some disks hold A.jpg and a.jpg to be one file.
        while str(target).casefold() in taken:
            target, number = wanted.with_stem(f"{wanted.stem}-{number}"), number + 1
        taken.add(str(target).casefold())
        targets[image] = target
    pictures = {source.resolve() for source in sources.values()}
    for target in targets.values():
        if target.resolve() in pictures:
            raise ZooError(f"the overlay {target} would replace a picture of that name; give another folder to --out")
    return targets


def predict(
    images: Sequence[Path],
    find: Landmarker,
    out: Path | None,
    *,
    scheme: str = "106",
    range: str = DEFAULT_RANGE,
    min_score: float = USUAL_SCORE,
    search: str = "thorough",
    five: np.ndarray | None = None,
) -> Iterator[Result]:
    """Yields the result of every picture in turn; one that cannot be used does not stop the rest.

    Args:
      images: files, as `collect` returns them.
      find: the landmarker; the pictures' faces come from its `detect`, or lie at `five`.
      out: the folder for overlays, or None to write none.
      scheme: the points that overlays show.
      range: the detector's, see `detect_faces`.
      min_score: the detector's, see `detect_faces`.
      search: the detector's, see `detect_faces`; files can wait for the small faces.
      five: (5, 2) points that align one face in every picture, instead of the detector.

    Raises:
      ZooError: the scheme is unknown, or an overlay would replace a picture; before the first result.
    """
    get_scheme(scheme)
    targets = overlay_paths(images, out) if out is not None else {}

    def faces_of(image: np.ndarray) -> list[Prediction]:
        return find.detect(image, range=range, min_score=min_score, search=search) if five is None else [find(image, five)]

    return (_predict_one(path, faces_of, targets.get(path), scheme) for path in images)


def _predict_one(path: Path, faces_of: Callable[[np.ndarray], list[Prediction]], target: Path | None, scheme: str) -> Result:
    size = None
    try:
        image = read_image(path)
        size = (image.shape[1], image.shape[0])
        start = time.perf_counter()
        faces = tuple(faces_of(image))
        duration_ms = 1000 * (time.perf_counter() - start)
        if target is not None:
            if faces:
                image = draw_faces(image, faces, scheme)
            write_image(target, image)
        return Result(path, faces, size, target, duration_ms)
    except (ZooError, cv2.error, MemoryError) as error:
        reason = one_line(error)
        return Result(path, size=size, reason=reason)


def draw_faces(image: np.ndarray, faces: Sequence[Prediction], scheme: str) -> np.ndarray:
    """Returns a copy of a picture with the points of one or more faces, coloured by their scores; occluded ones are hollow."""
    points, scores = (np.stack([to_scheme(face.points, scheme) for face in faces]), [scores_as_scheme(f.scores, scheme) for f in faces])
    visible = [np.ones(points.shape[1]) if face.visible is None else scores_as_scheme(face.visible, scheme) for face in faces]
    return draw_points(image, points, np.stack(scores), scheme, visible=np.stack(visible))


def table_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Returns a row per picture for the terminal."""
    rows = []
    for result in results:
        scores = [face.score for face in result.faces]
        faces = "failed" if result.reason else len(scores) or "no face found"
        row = {"picture": str(result.path), "faces": faces, "mean score": round(float(np.mean(scores)), SCORE_PLACES) if scores else None}
        row |= {
            "ms": round(result.duration_ms, 1) if not result.reason else None,
            "overlay": str(result.overlay) if result.overlay else None,
        }
        rows.append(row)
    return rows


def as_json(results: Iterable[Result], scheme: str, fitted_on: Sequence[str] | None = None, **about: Any) -> dict[str, Any]:
    """Returns all results as one value for JSON; `about` (such as the variant's name) goes before them.

    Args:
      results: of pictures.
      scheme: of the points.
      fitted_on: the sets that the uncertainty was fitted on, as `Uncertainty` has them; None leaves them to the file's metadata.
      about: facts by name.
    """
    layout = get_scheme(scheme)
    pictures, failed = [], []
    for result in results:
        if result.reason:
            failed.append({"picture": str(result.path), "reason": result.reason})
            continue
        width, height = result.size
        overlay = str(result.overlay) if result.overlay else None
        faces = [_face_json(face, scheme) for face in result.faces]
        pictures.append({"picture": str(result.path), "width": width, "height": height, "overlay": overlay, "faces": faces})
    fitted = f"read as fitted on {', '.join(fitted_on)}" if fitted_on else "not fitted to this file"
    read = "read as the file's metadata says" if fitted_on is None else fitted
    meaning = {"coordinates": CONVENTION, "sureness": SURENESS.format(read), "scheme": layout.name, "names": list(layout.names)}
    return {**about, **meaning, "pictures": pictures, "failed": failed}


def _face_json(face: Prediction, scheme: str) -> dict[str, Any]:
    return {"box": None if face.box is None else _pixels(face.box), **points_json(face, scheme)}


def points_json(face: Prediction, scheme: str) -> dict[str, Any]:
    """Returns a face's score, and its points with their scores, sigmas and visibilities in a scheme, rounded as they are printed."""

    def rounded(values: np.ndarray | None, places: int) -> list[float] | None:
        return None if values is None else np.asarray(scores_as_scheme(values, scheme), np.float64).round(places).tolist()

    return {
        "score": round(face.score, SCORE_PLACES), "points": _pixels(to_scheme(face.points, scheme)),
        "scores": rounded(face.scores, SCORE_PLACES), "sigmas": rounded(face.sigmas, PIXEL_PLACES),
        "visible": rounded(face.visible, SCORE_PLACES),
    }  # fmt: skip


def _pixels(values: Any) -> list:
    return np.asarray(values, np.float64).round(PIXEL_PLACES).tolist()


def as_csv(results: Iterable[Result], scheme: str) -> str:
    """Returns CSV with a row per point, faces counted from 1 as on the page; a picture without a face has one row, one that failed none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["picture", "face", "face_score", "box_x0", "box_y0", "box_x1", "box_y1"]
    columns += ["point", "name", "x", "y", "score", "sigma", "visible"]
    writer.writerow(columns)
    names = get_scheme(scheme).names
    for result in results:
        if not result.reason and not result.faces:
            writer.writerow([result.path, *[""] * (len(columns) - 1)])
        for number, face in enumerate(result.faces, 1):
            record = _face_json(face, scheme)
            head = [result.path, number, record["score"], *(record["box"] or [""] * 4)]
            unknown = [""] * len(names)
            more = (record[key] or unknown for key in ("scores", "sigmas", "visible"))
            for index, (name, (x, y), *values) in enumerate(zip(names, record["points"], *more, strict=True)):
                writer.writerow([*head, index, name, x, y, *values])
    return text.getvalue()


def summary(results: Sequence[Result]) -> str:
    """Returns one line that counts pictures, faces, pictures without a face, and failures."""
    failed = sum(result.reason is not None for result in results)
    empty = sum(result.reason is None and not result.faces for result in results)
    faces = sum(len(result.faces) for result in results)
    return f"{len(results)} picture{'s' * (len(results) != 1)}: {faces} face{'s' * (faces != 1)}, {empty} without a face, {failed} failed"
