"""Opens films: the only place where FFmpeg is given a file, so that what may be read, and how, is settled once.

A film is a file (or bytes in memory) in one of the containers below. Whatever names other files or addresses (playlists, descriptions of
sessions and devices, patterns for numbered pictures) is no film: only the wanted demuxers are let in, and the only protocol is `file`.
"""

from __future__ import annotations

import errno
import io
import os
from functools import cache
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, one_line

# FFmpeg's demuxers that are let in, each with what it is called in messages and documents. None of them opens another file.
DEMUXERS = {
    "mov": "MP4, MOV, M4V and 3GP", "matroska": "MKV and WebM", "avi": "AVI", "mpegts": "MPEG-TS", "mpeg": "MPEG-PS", "flv": "FLV",
    "ogg": "Ogg", "asf": "WMV", "mxf": "MXF", "nut": "NUT", "ivf": "IVF", "dv": "DV", "yuv4mpegpipe": "Y4M",
    "h264": "H.264", "hevc": "HEVC", "av1": "AV1 (Annex B)", "obu": "AV1", "m4v": "MPEG-4", "mpegvideo": "MPEG-1 and -2",
    "mjpeg": "Motion JPEG",
}  # fmt: skip
POSSIBLE = "MP4, MOV, MKV, WebM, AVI, MPEG, FLV, Ogg, WMV, MXF and raw streams are possible"
MAX_FRAME_MEGAPIXELS = 36  # of 8K video
_MAX_THREADS = 4  # each holds frames of its own
_PICTURE_CODECS = {"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000", "jpegxl", "apng"}


@cache
def library() -> Any:
    """Returns the module `av`, its logging switched off.

    FFmpeg's own callback is put in the place of PyAV's, which needs Python: a decoder's thread that logs would wait for the interpreter's
    lock while the thread that closes the decoder holds it and waits for that thread.
    """
    import av

    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.PANIC)
    return av


def open_film(source: str | os.PathLike | bytes, name: str = "", max_megapixels: float = MAX_FRAME_MEGAPIXELS) -> tuple[Any, Any]:
    """Returns the container of a film and the video stream that is the film (see `film_of`), ready to be decoded.

    Args:
      source: the path of a file, whatever its name (colons, `%d`, bytes that are no text), or a file's content.
      name: what to call it in messages; the path if left out.
      max_megapixels: frames larger than that are not decoded.

    Raises:
      ZooError: it is missing, of no kind that is let in, without a film, too large, or so damaged that nothing can be read.
    """
    av = library()
    name = name or str(source)
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.is_file():
            raise ZooError(f"there is no video file {str(path)!r}" + (": it is a folder" if path.is_dir() else ""))
    limits = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": "file", "max_pixels": str(round(max_megapixels * 1e6))}
    file = io.BytesIO(source) if isinstance(source, bytes) else f"file:{os.fspath(source)}"
    try:
        container = av.open(file, container_options=limits, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.EINVAL:  # not on the list
            why = f"it is damaged or of another kind; {POSSIBLE}, for pictures use `predict`"
        else:
            why = f"{one_line(error)}; {POSSIBLE}"
        raise ZooError(f"{name} is not a video that can be read: {why}") from None
    try:
        stream = film_of(container, name)
        decoder = stream.codec_context
        width, height = decoder.width, decoder.height
        if width * height > max_megapixels * 1e6:
            raise ZooError(f"{name} has frames of {width} x {height} px; at most {max_megapixels:g} megapixels are possible")
        decoder.options = {"max_pixels": limits["max_pixels"]}
        decoder.thread_type, decoder.thread_count = "AUTO", min(_MAX_THREADS, os.cpu_count() or 1)
    except BaseException:
        container.close()
        raise
    return container, stream


def film_of(container: Any, name: str) -> Any:
    """Returns the video stream that a player shows: no cover, no thumbnail, no still picture; of several films the main one.

    Raises:
      ZooError: there is none, or none that can be decoded.
    """
    videos = list(container.streams.video)
    films = [stream for stream in videos if not _is_attached(stream)]
    if not films:
        what = "only a cover picture" if videos else "no video stream"
        raise ZooError(f"{name} holds {what} ({container.format.long_name}); a video file is expected, for pictures use `predict`")
    known = [stream for stream in films if stream.codec_context is not None]
    if not known:
        raise ZooError(f"{name} holds video of a codec that is not built in")
    return min(known, key=_rank)


def _is_attached(stream: Any) -> bool:
    kinds = type(stream.disposition)
    return bool(stream.disposition & (kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image))


def _rank(stream: Any) -> tuple:
    """Returns what sorts the main film first: more than one frame, no picture codec, marked as default, the largest frames."""
    decoder = stream.codec_context
    single = stream.frames == 1
    default = bool(stream.disposition & type(stream.disposition).default)
    return single, decoder.name in _PICTURE_CODECS, not default, -decoder.width * decoder.height, stream.index
