"""Pictures in and out: any usual file or array becomes upright RGB uint8, or one line says why it cannot."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ZooError, one_line
from zoo.files import write_whole

MAX_MEGAPIXELS = 100
MAX_DECODING_BYTES = 800_000_000  # of a picture on its way: what its decoder holds, by `_DECODING_BYTES`, and the result

# What a folder is searched for. A file named by the user is tried whatever its suffix.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".avif", ".heic", ".heif"}
)
# Only formats that Pillow decodes itself: others, such as EPS, would start a program on an untrusted file.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
_READABLE = "JPEG, PNG, WebP, BMP, TIFF, GIF, PPM, JPEG 2000, AVIF and HEIC can be read"
_WRITABLE = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}


def read_image(
    source: str | os.PathLike | bytes, *, name: str | None = None, max_megapixels: float = MAX_MEGAPIXELS
) -> np.ndarray:
    """Returns a picture as (H, W, 3) RGB uint8, turned upright by its EXIF tag, transparency laid over white.

    The first frame of an animation is taken. 16-bit samples are scaled to 8 bits, not clipped. Beside the result it takes no more than the
    decoded picture's 4 bytes a pixel, or what `_DECODING_BYTES` says of its format.

    Args:
      source: a path, or a file's bytes; what it is follows from the content alone.
      name: what to call it in messages; by default the path.
      max_megapixels: the most that is read.

    Raises:
      ZooError: the file is missing, empty, truncated, a folder, no picture, or larger than `max_megapixels` or `MAX_DECODING_BYTES`;
        a picture that large is refused by its header and never decoded.
    """
    # Pillow takes a tenth of a second to import, which `list` and `show` need not pay.
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, bytes):
        name, opened = name or "the picture", BytesIO(source)
        if not source:
            raise ZooError(f"{name} is empty (0 bytes); {_READABLE}")
        start = source[:32]
    else:
        opened = Path(source)
        name = name or str(opened)
        _check_file(opened, name)
        try:
            with opened.open("rb") as file:
                start = file.read(32)
        except OSError as error:
            raise ZooError(f"cannot read {name}: {error.strerror or error}; {_READABLE}") from None
    if _is_heic(start):
        _let_heic_in(name)
    limit = f"at most {max_megapixels} are possible: scale it down first"
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses from 179; the limit here lies between and is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            file = Image.open(opened, formats=_FORMATS if not _is_heic(start) else ("HEIF",))
    except Image.DecompressionBombError:
        raise ZooError(f"{name} is larger than {2 * Image.MAX_IMAGE_PIXELS // 10**6} megapixels; {limit}") from None
    except UnidentifiedImageError:
        raise ZooError(f"{name} is not a picture, or its first bytes are damaged; {_READABLE}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise ZooError(f"cannot read {name}: {error.strerror}; {_READABLE}") from None
        raise ZooError(f"{name} has a damaged header ({one_line(error)}); {_READABLE}") from None
    with file:
        width, height = file.size
        if width * height > max_megapixels * 1_000_000:
            raise ZooError(f"{name} has {width} x {height} = {width * height / 1e6:.0f} megapixels; {limit}")
        needed = width * height * _DECODING_BYTES.get(file.format, 4)
        if needed > MAX_DECODING_BYTES:
            most = MAX_DECODING_BYTES // _DECODING_BYTES[file.format] / 1e6
            raise ZooError(f"{name} has {width * height / 1e6:.0f} megapixels as {file.format}, which takes {needed >> 20} MB to decode; "
                           f"at most {most:.0f} megapixels are possible in this format: save it as JPEG or PNG")  # fmt: skip
        try:
            file.load()
        except Exception as error:
            raise ZooError(f"{name} is truncated or damaged after its header ({one_line(error)}); save or copy it again") from None
        try:
            return _to_rgb(file, name)
        except ZooError:
            raise
        except Exception as error:
            raise ZooError(f"{name} has pixels of mode {file.mode} ({one_line(error)}); save it as RGB or greyscale") from None


# Bytes that decoding takes for each pixel at most, the result's 3 among them; Pillow itself holds up to 4, some decoders several copies.
_DECODING_BYTES = {"WEBP": 20, "AVIF": 20, "HEIF": 20, "JPEG2000": 24, "TIFF": 8}
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and where it exchanges width and height
_STRIP_PIXELS = 1_000_000  # converted at a time, so that no second copy of a large picture is made


def _is_heic(start: bytes) -> bool:
    """Returns whether a file that begins so is HEIF's container, as phones write it, and not AVIF, which Pillow reads itself."""
    brands = start[8:12], *(start[at : at + 4] for at in (16, 20, 24, 28))
    return start[4:8] == b"ftyp" and brands[0] in _HEIC_BRANDS and not {b"avif", b"avis"} & set(brands)


_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@functools.cache
def _heif_opener() -> bool:
    """Lets Pillow read HEIC; returns whether it can."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False)
    return True


def _let_heic_in(name: str) -> None:
    if not _heif_opener():
        raise ZooError(f"{name} is HEIC, for which pillow-heif is not installed; pip install pillow-heif, or save it as JPEG")


def _check_file(path: Path, name: str) -> None:
    if path.is_dir():
        raise ZooError(f"{name} is a folder; a picture file is needed")
    if not path.exists():
        raise ZooError(f"there is no file {name}; give the path of a picture")
    if not path.is_file():
        raise ZooError(f"{name} is no regular file; give the path of a picture")
    if path.stat().st_size == 0:
        raise ZooError(f"{name} is empty (0 bytes); {_READABLE}")


def _to_rgb(image: Any, name: str) -> np.ndarray:
    """Returns a decoded Pillow image as (H, W, 3) uint8, upright, converted strip by strip into its place."""
    (width, height), turned = image.size, _turned(image)
    upright = np.empty((width, height, 3) if turned in _SIDEWAYS else (height, width, 3), np.uint8)
    stored = _as_stored(upright, turned)
    rows = max(1, _STRIP_PIXELS // width)
    strips = [(top, (0, top, width, min(height, top + rows))) for top in range(0, height, rows)]
    wide, mode = image.mode.startswith(("I", "F")), "RGBA" if image.has_transparency_data else "RGB"
    if wide:
        extremes = [(samples.min(), samples.max()) for _, box in strips for samples in [np.asarray(image.crop(box))]]
        limits = float(np.min(extremes)), float(np.max(extremes))
    for top, box in strips:
        strip = image.crop(box)
        pixels = _eight_bits(np.asarray(strip), limits, image.mode, name) if wide else np.asarray(strip.convert(mode))
        stored[top : top + rows] = as_rgb(pixels)
    return upright


def _turned(image: Any) -> int:
    """Returns the EXIF tag's value, 1 (upright) where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) else 1


def _as_stored(upright: np.ndarray, turned: int) -> np.ndarray:
    """Returns the view (H, W, 3) of an upright picture in which it lies as a file of this EXIF tag stores it."""
    if turned in _SIDEWAYS:
        quarter, step = {6: 1, 8: -1}.get(turned), 1 if turned == 5 else -1
        return np.rot90(upright, quarter) if quarter else upright.transpose(1, 0, 2)[::step, ::step]
    return upright[:: -1 if turned in (3, 4) else 1, :: -1 if turned in (2, 3) else 1]


def _eight_bits(samples: np.ndarray, limits: tuple[float, float], mode: str, name: str) -> np.ndarray:
    """Returns samples of 16 bits, of 32 bits that hold 8 or 16, or floats from 0 to 1 as uint8; `limits` are the whole picture's."""
    low, high = limits
    if mode == "I" and low >= 0 and high <= 255:
        return samples.astype(np.uint8)
    if samples.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return _from_uint16(samples)
    if samples.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(samples * 255).astype(np.uint8)
    raise ZooError(f"{name} has samples from {low:g} to {high:g}; 8 bits, 16 bits, or floats from 0 to 1 are possible")


def _from_uint16(samples: np.ndarray) -> np.ndarray:
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def as_rgb(array: np.ndarray) -> np.ndarray:
    """Returns a picture given as an array as (H, W, 3) RGB uint8; the same array if it is one already.

    Args:
      array: (H, W) or (H, W, 1) greyscale, (H, W, 2) with transparency, (H, W, 3) RGB or (H, W, 4) RGBA; uint8, or
        uint16, which is scaled. Transparency is laid over white.

    Raises:
      ZooError: anything else, with the shape and type received.
    """
    possible = "uint8 or uint16 of shape (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) greyscale is needed"
    if isinstance(array, str | os.PathLike):
        raise ZooError(f"received the path {os.fspath(array)!r} for a picture; read it first with zoo.images.read_image")
    if not isinstance(array, np.ndarray):
        raise ZooError(f"a picture must be a numpy array, received {type(array).__name__}; {possible}")
    shape, channels = array.shape, array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or 0 in shape or array.dtype not in (np.uint8, np.uint16):
        raise ZooError(f"a picture of shape {shape} and type {array.dtype} cannot be used; {possible}")
    if array.dtype == np.uint16:
        array = _from_uint16(array)
    array = array.reshape(*shape[:2], channels)
    colour, opacity = array, None
    if channels in (2, 4):
        colour, opacity = array[..., :-1], array[..., -1:]
    if opacity is not None and opacity.min() < 255:
        colour = _over_white(colour, opacity)
    if colour.shape[2] == 1:
        colour = np.repeat(colour, 3, axis=2)
    return np.ascontiguousarray(colour)


def _over_white(colour: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Returns (H, W, C) uint8 laid over white by an opacity (H, W, 1) uint8, a strip at a time."""
    result = np.empty(colour.shape, np.uint8)
    rows = max(1, _STRIP_PIXELS // colour.shape[1])
    for top in range(0, len(colour), rows):
        share = opacity[top : top + rows].astype(np.uint16)
        # At most 255 * 255 + 127: it fits in 16 bits, and so does nothing of it overflow.
        result[top : top + rows] = (colour[top : top + rows] * share + 255 * (255 - share) + 127) // 255
    return result


def list_images(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[Path]:
    """Returns the picture files among `paths`, each once: files as given, folders searched to their depth and sorted.

    Within folders only the usual suffixes count (in upper or lower case) and hidden files and folders are passed over.

    Raises:
      ZooError: a path does not exist, or a folder holds no picture.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if _is_listed(file, path))
            if not inside:
                raise ZooError(f"the folder {path} holds no picture; files that end in {', '.join(sorted(SUFFIXES))} are looked for")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise ZooError(f"there is no file or folder {path}")
    return list(found)


def _is_listed(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in SUFFIXES and not hidden and file.is_file()


def write_image(path: str | os.PathLike, image: np.ndarray) -> Path:
    """Writes (H, W, 3) RGB uint8 in the format of the path's suffix, whole or not at all; returns the path.

    Raises:
      ZooError: the suffix is of no format that can be written, or the disk refuses.
    """
    from PIL import Image

    path = Path(path)
    try:
        kind = _WRITABLE[path.suffix.lower()]
    except KeyError:
        raise ZooError(f"cannot write a picture named {path.name!r}; possible suffixes: {', '.join(_WRITABLE)}") from None
    buffer = BytesIO()
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"quality": 95} if kind == "WEBP" else {}
    try:
        Image.fromarray(as_rgb(image)).save(buffer, kind, **options)
    except (OSError, ValueError) as error:  # such as WebP's limit of 16383 px
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"a picture of {image.shape[1]} x {image.shape[0]} px cannot be written as {kind} ({one_line(error)})") from None
    return write_whole(path, buffer.getvalue())
