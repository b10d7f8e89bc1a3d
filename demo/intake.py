"""What a visitor gives, turned into pixels in memory: judged by its content, limited in bytes and pixels, never written to disk."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np

from zoo.errors import ZooError
from zoo.images import as_rgb

MAX_PICTURE_BYTES = 16 * 2**20
MAX_MEGAPIXELS = 24
MAX_VIDEO_BYTES = 64 * 2**20
MAX_FRAME_MEGAPIXELS = 9  # a frame of 4K video
KEPT_FRAMES = 24
MAX_FRAME_SIDE_PX = 960
# Of a video that faces are followed through: so many frames from its start, so large.
CLIP_FRAMES = 240
CLIP_SIDE_PX = 480
# A hostile or endless video is left alone after this many frames or seconds.
MAX_DECODED_FRAMES = 3000
MAX_DECODING_S = 15.0

# Only formats that Pillow decodes itself.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
_POSSIBLE = "JPEG, PNG, WebP, BMP, TIFF, GIF and AVIF pictures are possible"
_VIDEOS = "MP4, MOV, WebM, MKV and AVI are possible"


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video: its time in seconds and (H, W, 3) uint8 RGB."""

    time_s: float
    image: np.ndarray


def read_picture(content: bytes, name: str = "the picture") -> np.ndarray:
    """Returns a picture as (H, W, 3) uint8 RGB, upright by its EXIF tag, transparency laid over white; the first frame of an animation.

    Args:
      content: the file's bytes; they alone decide what it is.
      name: what to call it in messages.

    Raises:
      ZooError: it is empty, too large in bytes or pixels (which its header tells, before anything is decoded), damaged or no picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    _check_bytes(content, name, MAX_PICTURE_BYTES, _POSSIBLE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            Image.open(BytesIO(content), formats=_FORMATS).verify()  # reads checksums, decodes nothing, and uses the object up
            file = Image.open(BytesIO(content), formats=_FORMATS)
        width, height = file.size
        if width * height > MAX_MEGAPIXELS * 1e6:
            raise ZooError(
                f"{name} has {width} x {height} = {width * height / 1e6:.0f} megapixels; at most {MAX_MEGAPIXELS} are possible here"
            )
        upright = ImageOps.exif_transpose(file)
        if upright.mode == "I;16":
            return as_rgb(np.asarray(upright))
        return as_rgb(np.asarray(upright.convert("RGBA" if upright.has_transparency_data else "RGB")))
    except UnidentifiedImageError:
        raise ZooError(f"{name} is not a picture, whatever its name says; {_POSSIBLE}") from None
    except Image.DecompressionBombError:
        raise ZooError(f"{name} has far more than {MAX_MEGAPIXELS} megapixels, which is the most that is possible here") from None
    except ZooError:
        raise
    except Exception as error:  # Pillow's decoders raise anything from SyntaxError to struct.error on damaged files
        raise ZooError(f"{name} is damaged ({' '.join(str(error).split()) or type(error).__name__}); save or copy it again") from None


def read_frames(content: bytes, name: str = "the video") -> list[Frame]:
    """Returns at most `KEPT_FRAMES` frames spread over a video, in order, scaled down to `MAX_FRAME_SIDE_PX`.

    The bytes are decoded from memory. A stream whose length its header does not tell is thinned out while it is read.

    Raises:
      ZooError: it is empty, too large, of no container that is let in, or not one frame can be decoded.
    """
    kept = _decoded(content, name, _spread)
    return [kept[index] for index in np.unique(np.linspace(0, len(kept) - 1, KEPT_FRAMES).round().astype(int))]


def read_clip(content: bytes, name: str = "the video") -> list[Frame]:
    """Returns the first `CLIP_FRAMES` frames of a video one after another, scaled down to `CLIP_SIDE_PX`; else as `read_frames`."""
    return _decoded(content, name, _in_a_row)


def _decoded(content: bytes, name: str, take: Callable[[cv2.VideoCapture, float], list[Frame]]) -> list[Frame]:
    _check_bytes(content, name, MAX_VIDEO_BYTES, _VIDEOS)
    if not _is_video(content):
        raise ZooError(f"{name} is not a video, whatever its name says; {_VIDEOS}")
    stream = BytesIO(content)  # OpenCV takes no reference of its own: this one must live as long as the capture
    capture = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, [])
    try:
        size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if size[0] * size[1] > MAX_FRAME_MEGAPIXELS * 1e6:
            raise ZooError(f"{name} has frames of {size[0]:.0f} x {size[1]:.0f} px; at most {MAX_FRAME_MEGAPIXELS} megapixels are possible")
        kept = take(capture, capture.get(cv2.CAP_PROP_FPS) or 25.0)
    finally:
        capture.release()
    if not kept:
        raise ZooError(f"no frame of {name} can be decoded: it is damaged or of a codec that is not built in; H.264, VP8 and VP9 are")
    return kept


def _in_a_row(capture: cv2.VideoCapture, frames_per_s: float) -> list[Frame]:
    """Returns the first frames with their own times; where a time does not rise it follows from the rate."""
    kept: list[Frame] = []
    end = time.monotonic() + MAX_DECODING_S
    while len(kept) < CLIP_FRAMES and time.monotonic() < end:
        read, bgr = capture.read()
        if not read:
            break
        time_s, last_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3, kept[-1].time_s if kept else -1.0
        kept.append(Frame(time_s if time_s > last_s else last_s + 1 / frames_per_s, _small(bgr, CLIP_SIDE_PX)))
    return kept


def _spread(capture: cv2.VideoCapture, frames_per_s: float) -> list[Frame]:
    """Returns fewer than twice `KEPT_FRAMES` frames, evenly spaced: whenever there are more, every second one goes."""
    kept: list[Frame] = []
    step, end = 1, time.monotonic() + MAX_DECODING_S
    for index in range(MAX_DECODED_FRAMES):
        if time.monotonic() > end or not capture.grab():
            break
        if index % step:
            continue
        read, bgr = capture.retrieve()
        if not read:
            break
        kept.append(Frame(index / frames_per_s, _small(bgr)))
        if len(kept) == 2 * KEPT_FRAMES:
            kept, step = kept[::2], 2 * step
    return kept


def _small(bgr: np.ndarray, side_px: int = MAX_FRAME_SIDE_PX) -> np.ndarray:
    scale = min(1.0, side_px / max(bgr.shape[:2]))
    if scale < 1:
        bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _is_video(content: bytes) -> bool:
    """Returns whether the first bytes are of a container that holds its own data: a playlist could name other files."""
    matroska, mp4 = content[:4] == b"\x1a\x45\xdf\xa3", content[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free")
    return matroska or mp4 or (content[:4] == b"RIFF" and content[8:12] == b"AVI ")


def _check_bytes(content: bytes, name: str, limit: int, possible: str) -> None:
    if not content:
        raise ZooError(f"{name} is empty (0 bytes); {possible}")
    if len(content) > limit:
        raise ZooError(f"{name} has {len(content) / 2**20:.1f} MB; at most {limit / 2**20:.0f} MB are possible here")
