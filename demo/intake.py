"""What a visitor gives, turned into pixels in memory: judged by its content, limited in bytes and pixels, never written to disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from zoo.errors import ZooError
from zoo.images import read_image
from zoo.media import POSSIBLE
from zoo.video_reader import Video, VideoFrame, open_video

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

_decoding = threading.Lock()  # one at a time, for all visitors: decoding takes several times what is kept of a picture
_PICTURES = "JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF and HEIC pictures are possible"


def read_picture(content: bytes, name: str = "the picture") -> np.ndarray:
    """Returns a picture as (H, W, 3) uint8 RGB, upright by its EXIF tag, transparency laid over white; the first frame of an animation.

    Args:
      content: the file's bytes; they alone decide what it is.
      name: what to call it in messages.

    Raises:
      ZooError: it is empty, too large in bytes or pixels (which its header tells, before anything is decoded), damaged or no picture.
    """
    _check_bytes(content, name, MAX_PICTURE_BYTES, _PICTURES)
    with _decoding:
        return read_image(content, name=name, max_megapixels=MAX_MEGAPIXELS)


def read_frames(content: bytes, name: str = "the video") -> list[VideoFrame]:
    """Returns at most `KEPT_FRAMES` frames spread over a video, in order, scaled down to `MAX_FRAME_SIDE_PX`.

    The bytes are decoded from memory by the project's one reader (`zoo.video_reader`). A stream whose length its header does not tell is
    thinned out while it is read.

    Raises:
      ZooError: it is empty, too large, of no container that is let in, or not one frame can be decoded.
    """
    kept = _decoded(content, name, _spread, MAX_FRAME_SIDE_PX)
    return [kept[index] for index in np.unique(np.linspace(0, len(kept) - 1, KEPT_FRAMES).round().astype(int))]


def read_clip(content: bytes, name: str = "the video") -> list[VideoFrame]:
    """Returns the first `CLIP_FRAMES` frames of a video one after another, scaled down to `CLIP_SIDE_PX`; else as `read_frames`."""
    return _decoded(content, name, _in_a_row, CLIP_SIDE_PX)


def _decoded(content: bytes, name: str, take: Callable[[Video, float], list[VideoFrame]], side_px: int) -> list[VideoFrame]:
    _check_bytes(content, name, MAX_VIDEO_BYTES, POSSIBLE)
    video = open_video(content, name, max_side_px=side_px, max_megapixels=MAX_FRAME_MEGAPIXELS)
    try:
        kept = take(video, time.monotonic() + MAX_DECODING_S)
    finally:
        video.close()
    if not kept:
        raise ZooError(f"no frame of {name} can be decoded: it is damaged or of a codec that is not built in")
    return kept


def _in_a_row(video: Video, end: float) -> list[VideoFrame]:
    """Returns the first frames, those until `end` (of the monotonic clock)."""
    kept: list[VideoFrame] = []
    for frame in video.frames():
        kept.append(frame)
        if len(kept) == CLIP_FRAMES or time.monotonic() > end:
            break
    return kept


def _spread(video: Video, end: float) -> list[VideoFrame]:
    """Returns fewer than twice `KEPT_FRAMES` frames, evenly spaced: whenever there are more, every second one goes."""
    kept: list[VideoFrame] = []
    step = 1

    def over(number: int) -> bool:
        return number >= MAX_DECODED_FRAMES or time.monotonic() > end

    def wanted(number: int) -> bool:
        return number % step == 0 or over(number)

    for frame in video.frames(wanted):
        if over(video.condition.frames - 1):
            break
        kept.append(frame)
        if len(kept) == 2 * KEPT_FRAMES:
            kept, step = kept[::2], 2 * step
    return kept


def _check_bytes(content: bytes, name: str, limit: int, possible: str) -> None:
    if not content:
        raise ZooError(f"{name} is empty (0 bytes); {possible}")
    if len(content) > limit:
        raise ZooError(f"{name} has {len(content) / 2**20:.1f} MB; at most {limit / 2**20:.0f} MB are possible here")
