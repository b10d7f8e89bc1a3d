"""Small videos for the tests, written with FFmpeg's libraries: a drawn face that moves, with what phones do to videos."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from training.synthetic.faces import draw_face
from zoo.alignment import Alignment

SIZE = 192


@cache
def still() -> np.ndarray:
    return draw_face(11, SIZE, yaw=0, pitch=0, roll=0).image


def shift_px(time_s: float) -> tuple[float, float]:
    return 8 * np.sin(3 * time_s), 4 * np.sin(2 * time_s)


def moved(time_s: float) -> np.ndarray:
    return Alignment(np.column_stack([np.eye(2), shift_px(time_s)]), SIZE).crop(still())


def write_clip(path: Path, times_s: list[float], sound: bool = False, image=moved) -> Path:
    """Writes a frame for each time, and a tone as long as the video."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.bit_rate = 4_000_000
        audio = out.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for time_s in times_s:
            frame = av.VideoFrame.from_ndarray(image(time_s), "rgb24")
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio is not None:
            tone = (8000 * np.sin(np.arange(int(16_000 * times_s[-1])) / 6)).astype(np.int16)
            for start in range(0, len(tone) - 1024, 1024):
                block = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "s16", "mono")
                block.sample_rate, block.pts, block.time_base = 16_000, start, Fraction(1, 16_000)
                out.mux(audio.encode(block))
            out.mux(audio.encode(None))
    return path


def even_times(count: int, frames_per_s: float = 30.0) -> list[float]:
    return [index / frames_per_s for index in range(count)]


def times_of(path: Path) -> list[float]:
    """The times of the frames in a video, as a player sees them; it fails where the file is not whole."""
    with av.open(str(path)) as video:
        return [frame.time for frame in video.decode(video=0)]


def has_sound(path: Path) -> bool:
    with av.open(str(path)) as video:
        return bool(video.streams.audio) and sum(frame.samples for frame in video.decode(audio=0)) > 4_000
