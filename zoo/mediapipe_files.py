"""Where installed packages keep networks, MediaPipe's above all: they are read as files, and no package is imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zoo.errors import ZooError


def mediapipe_file(name: str) -> Path | None:
    """Returns the path of a network among mediapipe's modules, as in `face_landmark/face_landmark.tflite`; None if there is none."""
    return package_file("mediapipe", f"modules/{name}")


def package_file(package: str, name: str) -> Path | None:
    """Returns the path of a file that an installed package carries, `name` seen from its folder; None if there is none."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations or [] if spec else []
    return next((path for path in (Path(folder, name) for folder in folders) if path.is_file()), None)


def needed_mediapipe_file(name: str) -> Path:
    """Returns the path of a network among mediapipe's modules; a ZooError where none is installed that carries it."""
    if path := mediapipe_file(name):
        return path
    raise ZooError(f"no installed mediapipe carries {name}; the releases up to 0.10.21 do")
