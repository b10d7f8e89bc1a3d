"""Small videos for the tests, written with FFmpeg's libraries: a drawn face that moves, with what phones do to videos."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from training.synthetic.faces import draw_face
from zoo.alignment import Alignment

SIZE = 192
# Containers that know a rate alone, and kinds without time stamps.
RAW = ("avi", "ogg", "ogv", "yuv4mpegpipe", "h264", "hevc", "m4v", "obu", "mpeg2video", "mjpeg")


@cache
def still() -> np.ndarray:
    return draw_face(11, SIZE, yaw=0, pitch=0, roll=0).image


def shift_px(time_s: float) -> tuple[float, float]:
    return 8 * np.sin(3 * time_s), 4 * np.sin(2 * time_s)


def moved(time_s: float) -> np.ndarray:
    return Alignment(np.column_stack([np.eye(2), shift_px(time_s)]), SIZE).crop(still())


def write_clip(path: Path, times_s: list[float], sound: bool = False, image=moved) -> Path:
    """Writes a frame for each time, and a tone as long as the video."""
    return write_film(path, times_s, image=image, sound="aac" if sound else "")


def write_film(
    path: Path | io.BytesIO,
    times_s: list[float],
    *,
    image=moved,
    codec: str = "mpeg4",
    kind: str | None = None,
    rate: int = 30,
    turn: tuple[int, bool, bool] | None = None,
    ratio: Fraction | None = None,
    sound: str = "",
    sound_from_s: float = 0.0,
    beside=(),
    pixels: str = "yuv420p",
    written: dict[str, str] | None = None,
    **options: str,
) -> Path | io.BytesIO:
    """Writes a film of any kind.

    Args:
      path: where to.
      times_s: time stamps of the frames.
      image: gives the frame, as it is stored, of a time.
      codec, pixels, options: of the film.
      kind: of the container; else the suffix says it.
      rate: frames a second, as the header has it.
      turn: degrees counter-clockwise, and whether it is mirrored left to right and upside down after that, as the header has it.
      ratio: width of a pixel over its height, as the header has it.
      sound, sound_from_s: the codec of a tone as long as the film, and where it begins.
      written: options of the container.
      beside: pictures, each a stream of one frame before the film.
    """
    with av.open(str(path) if isinstance(path, Path) else path, "w", format=kind, container_options=written or {}) as out:
        pictures = [(out.add_stream("mjpeg", rate=1, width=one.shape[1], height=one.shape[0], pix_fmt="yuvj420p"), one) for one in beside]
        stream = out.add_stream(codec, rate=rate, options=options)
        height, width = image(times_s[0]).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        by_rate = codec in ("mpeg1video", "mpeg2video", "dvvideo") or out.format.name in RAW
        ticks = rate if by_rate else 1000
        stream.codec_context.time_base = Fraction(1, ticks)
        stream.bit_rate = 4_000_000
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        audio = out.add_stream(sound, rate=16_000 if sound != "libopus" else 48_000, layout="mono") if sound else None
        if audio is not None and not sound.startswith("pcm"):
            audio.bit_rate = 64_000
        for still_stream, picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = 0, Fraction(1)
            out.mux([*still_stream.encode(frame), *still_stream.encode(None)])
        for time_s in times_s:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image(time_s)), "rgb24")
            frame.pts, frame.time_base = round(ticks * time_s), Fraction(1, ticks)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio is not None:
            samples_per_s = audio.rate
            tone = (8000 * np.sin(np.arange(int(samples_per_s * (times_s[-1] - times_s[0]))) / 6)).astype(np.int16)
            shift = round(sound_from_s * samples_per_s)
            for start in range(0, len(tone) - 1024, 1024):
                block = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "s16", "mono")
                block.sample_rate, block.pts, block.time_base = samples_per_s, start + shift, Fraction(1, samples_per_s)
                out.mux(audio.encode(block))
            out.mux(audio.encode(None))
    return path


def corners(width: int = 192, height: int = 128) -> np.ndarray:
    """A picture (height, width, 3) whose four corners differ, so that every turn and mirror shows."""
    image = np.full((height, width, 3), 128, np.uint8)
    image[: height // 2, : width // 2] = 230, 40, 40
    image[: height // 2, width // 2 :] = 40, 200, 40
    image[height // 2 :, : width // 2] = 40, 40, 230
    return image


def even_times(count: int, frames_per_s: float = 30.0) -> list[float]:
    return [index / frames_per_s for index in range(count)]


def times_of(path: Path) -> list[float]:
    """The times of the frames in a video, as a player sees them; it fails where the file is not whole."""
    with av.open(str(path)) as video:
        return [frame.time for frame in video.decode(video=0)]


def has_sound(path: Path) -> bool:
    with av.open(str(path)) as video:
        return bool(video.streams.audio) and sum(frame.samples for frame in video.decode(audio=0)) > 4_000
