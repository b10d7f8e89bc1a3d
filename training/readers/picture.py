"""Pictures of samples: files, or pictures within a MATLAB file; and a quick look at whether a file holds a whole one."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np

from zoo.errors import ZooError, one_line
from zoo.images import MAX_MEGAPIXELS, as_rgb, read_image

_WITHIN = ".mat#"
_PLAIN_MODES = ("RGB", "L")
_TURNED_BY_EXIF = (5, 6, 7, 8)
_ORIENTATION = 0x0112


def within(file: Path, key: str, index: int) -> Path:
    """Returns the path of picture `index` (from 0) of the cell array `key` in a MATLAB file."""
    return Path(f"{file}#{key}.{index}")


def read_picture(path: Path) -> np.ndarray:
    """Returns a sample's picture as (H, W, 3) RGB uint8; `path` as in `Sample`.

    Raises:
      ZooError: it is missing, broken, or no picture.
    """
    return _from_mat(path) if _WITHIN in str(path) else read_image(path)


def _from_mat(path: Path) -> np.ndarray:
    import h5py

    file, _, place = str(path).rpartition("#")
    key, _, index = place.partition(".")
    try:
        with h5py.File(file, "r") as mat:
            cells = mat[key]
            pixels = np.asarray(mat[cells[np.unravel_index(int(index), cells.shape)]])
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise ZooError(f"cannot read picture {place} of {file}: {one_line(error)}") from None
    return as_rgb(pixels.T)  # MATLAB keeps columns first


def probe(path: Path) -> tuple[int, int, int]:
    """Returns (width, height, a 64-bit digest of the content) of a picture that is whole; `path` as in `Sample`.

    A JPEG is decoded at an eighth of its size, which still reads all of it; what that does not settle, `read_picture` does.

    Raises:
      ZooError: as `read_picture`.
    """
    if _WITHIN in str(path):
        return _shape_and_digest(read_picture(path))
    try:
        content = path.read_bytes()
        size = _quick_size(content)
    except OSError:
        size = None
    if size is None:
        return _shape_and_digest(read_picture(path))
    return *size, digest(content)


def orientation(path: Path) -> int:
    """Returns how a picture file is to be turned by its EXIF tag: 1 (not at all) to 8; 1 where nothing says so."""
    from PIL import Image

    if _WITHIN in str(path):
        return 1
    try:
        with Image.open(path) as file:
            tag = file.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever it is, the reader says it in words
        return 1
    return tag if tag in range(1, 9) else 1


def _shape_and_digest(image: np.ndarray) -> tuple[int, int, int]:
    return image.shape[1], image.shape[0], digest(image.tobytes())


def _quick_size(content: bytes) -> tuple[int, int] | None:
    """Returns the upright size of an ordinary JPEG or PNG that can be decoded whole, or None."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=("JPEG", "PNG")) as file:
            width, height = file.size
            if file.mode not in _PLAIN_MODES or file.has_transparency_data or width * height > MAX_MEGAPIXELS * 1_000_000:
                return None
            turned = file.getexif().get(_ORIENTATION) in _TURNED_BY_EXIF
            file.draft(file.mode, (max(1, width // 8), max(1, height // 8)))
            file.load()
    except Exception:  # whatever it is, the full reader says it in words
        return None
    return (height, width) if turned else (width, height)


def digest(content: bytes) -> int:
    """Returns a 64-bit digest."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
