"""What a visitor takes along: the model with its card, the points, the marked picture; all made in memory."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from demo.compare import ModelFile
from demo.scene import Scene
from zoo.landmarker import Prediction
from zoo.overlay import draw_points
from zoo.predict import Result, as_csv, as_json
from zoo.schemes import to_scheme

_LICENCES = ("LICENSE", "NOTICE")
_ROOT = Path(__file__).resolve().parents[1]
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same file gives the same archive on every day


def file_name(file: ModelFile) -> str:
    """Returns what the model file is called once it has left its folder."""
    return f"{file.name}-{file.path.name}"


def model_archive(file: ModelFile) -> bytes:
    """Returns a ZIP archive of the model, its card in JSON and in words, and the licence and notice that go with it."""
    entries = {file_name(file): file.path}
    entries |= {name: file.path.with_name(name) for name in ("card.json", "README.md")}
    entries |= {name: _ROOT / name for name in _LICENCES}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in entries.items():
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def points_json(results: Sequence[Result], scheme: str, **about: Any) -> str:
    """Returns all faces as the JSON of `python -m zoo predict --json`."""
    return json.dumps(as_json(results, scheme, **about), indent=2, ensure_ascii=False) + "\n"


def marked_picture(image: np.ndarray, faces: Sequence[Prediction], scheme: str = "106", indices: bool = False) -> bytes:
    """Returns (H, W, 3) uint8 RGB with the points of all faces, at its own size, as PNG."""
    if faces:
        image = draw_points(image, np.stack([to_scheme(face.points, scheme) for face in faces]), scheme=scheme, indices=indices)
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()


@dataclass(frozen=True)
class Offer:
    """One download: what its button says, the file's name and media type, and what makes it when it is asked for."""

    label: str
    name: str
    media_type: str
    make: Callable[[], bytes | str]


def offers(scene: Scene, file: ModelFile, scheme: str = "106", numbers: bool = False) -> list[Offer]:
    """Returns what can be taken along of a file and of what it finds in the scene's picture.

    Args:
      scene: the picture and the findings.
      file: one of the scene's.
      scheme: "106", "98" or "68", of the points.
      numbers: whether the marked picture bears the points' numbers.
    """
    picture, faces = scene.picture, scene.predictions(file)
    results = [Result(Path(picture.name), tuple(faces), (picture.image.shape[1], picture.image.shape[0]))]
    stem = Path(picture.name).stem or "picture"
    return [
        Offer("Model with its card", f"{file.name}-{file.precision}.zip", "application/zip", lambda: model_archive(file)),
        Offer("Model alone", file_name(file), "application/octet-stream", file.path.read_bytes),
        Offer("Points, JSON", f"{stem}-points.json", "application/json", lambda: points_json(results, scheme, weights=file.label)),
        Offer("Points, CSV", f"{stem}-points.csv", "text/csv", lambda: as_csv(results, scheme)),
        Offer("Marked picture", f"{stem}-marked.png", "image/png", lambda: marked_picture(picture.image, faces, scheme, numbers)),
    ]
