"""`python -m tflite golden`: golden vectors as one plain file that a port in any language can read and test itself against.

A file is a row of arrays. Each is a line `name type sides...`, then the values, little-endian, the last side fastest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from zoo import cards, terminal
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.files import read_npz, write_whole
from zoo.heatmaps import LOGIT_SCALE, WINDOW_RADIUS
from zoo.landmarker import Landmarker
from zoo.lookup import published_name
from zoo.runtime.interpreter import Model, open_model
from zoo.runtime.metadata import without_metadata
from zoo.uncertainty import NUMBERS

TYPES = ("uint8", "int8", "float32", "float64")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("name", metavar="NAME", help="published weights, `variant` or `variant.tag`")
    parser.add_argument("--out", type=Path, help="the file to write (default: NAME.golden)")
    parser.add_argument("--json", action="store_true", help="print the rows for programs")


def main(args: argparse.Namespace) -> int:
    """Writes the file and prints what is in it."""
    name = published_name(args.name)
    folder = cards.weights_folder(name)
    golden = read_npz(folder / "golden.npz")
    arrays = vectors(open_model(folder / "int8.tflite"), golden["image"], golden["five"])
    path = write(args.out or Path(f"{name}.golden"), arrays)
    terminal.show(
        [{"file": str(path), "array": key, "type": value.dtype.name, "shape": str(value.shape)} for key, value in arrays.items()], args.json
    )
    return 0


def vectors(model: Model, image: np.ndarray, five: np.ndarray) -> dict[str, np.ndarray]:
    """Returns every step from a picture to its points, by name.

    Args:
      model: an int8 file that gives maps.
      image: (H, W, 3) uint8 RGB.
      five: (5, 2) image points.

    Returns:
      `image`, `five`, `template` (4, 2), `matrix` (2, 3) from picture to crop, `crop` (size, size, 3) uint8, `int8_maps` (grid, grid, K),
      `map_quantisation` (scale, zero point), `decoder` (logit scale, window radius), `typical_spread_px` and `typical_sigma_px` (K,),
      `uncertainty` (the numbers in `zoo.uncertainty.NUMBERS`), `image_points` (K, 2), `scores`, `sigmas` and `visible` (K,).

    Raises:
      ZooError: the model is not int8, gives points, or carries no metadata.
    """
    if model.description is None:
        raise without_metadata(model.path)
    if model.output.dtype != "int8":
        raise ZooError(f"{model.path} gives {model.output}; golden vectors are of int8 maps")
    template = model.description.templates[0]
    five = np.asarray(five, np.float64)
    alignment = Alignment.from_five(five, model.input_size, template)
    crop = alignment.crop(image)
    found = Landmarker.of_maps(model.maps, model.input_size, templates=(template, template), uncertainty=model.uncertainty)(image, five)
    how = model.uncertainty
    return {
        "image": image, "five": five, "template": np.asarray(template, np.float64), "matrix": alignment.matrix, "crop": crop,
        "int8_maps": model.forward_stored(crop), "map_quantisation": np.array([model.output.scale, model.output.zero_point], np.float64),
        "decoder": np.array([LOGIT_SCALE, WINDOW_RADIUS], np.float64), "typical_spread_px": how.typical_spread_px,
        "typical_sigma_px": how.typical_sigma_px, "uncertainty": np.array([getattr(how, name) for name in NUMBERS], np.float64),
        "image_points": found.points, "scores": found.scores, "sigmas": found.sigmas, "visible": found.visible,
    }  # fmt: skip


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Writes arrays of the types in `TYPES` as a golden file, whole or not at all; returns the path."""
    parts = []
    for name, value in arrays.items():
        if value.dtype.name not in TYPES:
            raise ZooError(f"{name} is {value.dtype.name}; golden files hold {', '.join(TYPES)}")
        parts += [
            f"{name} {value.dtype.name} {' '.join(map(str, value.shape))}\n".encode(),
            np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes(),
        ]
    return write_whole(path, b"".join(parts))


def read(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a golden file; a ZooError where it is cut short or another kind of file."""
    content, arrays, at = path.read_bytes(), {}, 0
    while at < len(content):
        end = content.find(b"\n", at)
        name, kind, *sides = content[at : max(end, at)].decode(errors="replace").split() or ["", ""]
        if end < 0 or kind not in TYPES or not all(side.isdigit() for side in sides):
            raise ZooError(f"{path} is not a golden file: {content[at : at + 20]!r} where a line 'name type sides...' is expected")
        dtype, shape, at = np.dtype(kind).newbyteorder("<"), tuple(map(int, sides)), end + 1
        size = dtype.itemsize * int(np.prod(shape))
        if at + size > len(content):
            raise ZooError(f"{path} is cut short in {name}: {size} bytes are expected, {len(content) - at} are there")
        arrays[name], at = np.frombuffer(content, dtype, int(np.prod(shape)), at).reshape(shape), at + size
    return arrays
