"""Videos in: every frame upright, with square pixels and its own rising time; what is broken is counted instead of ending all.

The one reader for command line, page and studies. FFmpeg's libraries do the work, through PyAV.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo import media
from zoo.display_matrix import placement, square_size
from zoo.errors import ZooError, one_line
from zoo.frame_times import RisingTimes

# A video that ends this much before the time in its header is said to end early: its sound may be a little longer than its frames.
_TOLERATED_S, _TOLERATED_SHARE = 0.25, 0.02
_USUAL_RATE, _RATES = Fraction(25), (Fraction(1, 1000), 1000)
# Sound that begins this much before the film is kept, and the film follows later; less is what encoders add.
_LEAD_S, _LONGEST_LEAD_S = 0.1, 60.0
_WITHOUT_SHOWING_TIMES = {"avi"}  # the times it has are those of decoding, which frames take in the order in which they are shown
_WAITING_SOUND_BYTES = 64 << 20  # of sound before the first frame


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame: pixels (H, W, 3) uint8 RGB, upright and square, and its time from the first frame."""

    image: np.ndarray
    time_s: float


@dataclass
class Condition:
    """What was found out while a video was read.

    Attributes:
      frames: how many were given.
      damaged: how many of these the decoder patched.
      broken: packets that could not be decoded; `fault` says why the first could not.
      retimed, joined: see `RisingTimes`.
      ended_early: why the file ended before its end, or "".
    """

    frames: int = 0
    damaged: int = 0
    broken: int = 0
    fault: str = ""
    retimed: int = 0
    joined: int = 0
    ended_early: str = ""


@dataclass(eq=False)
class Video:
    """An opened video. `frames` yields its frames once; `sound` are the packets met on the way, to be carried over.

    Attributes:
      name: in messages.
      path: of the file; None where it was given as bytes.
      counted_frames: how many the header counts, 0 where it does not.
      expected_frames: that, or what follows from its duration; 0 where it says neither.
      duration_s: what the header says, or 0.
      frames_per_s: on average, as the header says.
      sound_stream: the first one with sound, or None.
      lead_s: by how much the sound begins before the first frame; known with the first frame.
      condition: filled while frames are read.
    """

    name: str
    path: Path | None
    container: Any = field(repr=False)
    stream: Any = field(repr=False)
    counted_frames: int
    expected_frames: int
    duration_s: float
    frames_per_s: Fraction
    max_side_px: int | None = None
    lead_s: float = 0.0
    condition: Condition = field(default_factory=Condition)
    sound: list[Any] = field(default_factory=list, repr=False)

    @property
    def sound_stream(self) -> Any:
        """The first stream of sound, or None."""
        return next(iter(self.container.streams.audio), None)

    def frames(self, wanted: Callable[[int], bool] | None = None, with_sound: bool = False) -> Iterator[VideoFrame]:
        """Yields the frames in order of their times; what cannot be decoded is counted in `condition` and passed over.

        Args:
          wanted: told a frame's number from 0; those it denies are decoded and counted, but not made into pictures nor given.
          with_sound: whether `sound` is filled with packets, their time stamps counted from the first frame's; the caller empties it.
        """
        times, condition = RisingTimes(float(self.frames_per_s)), self.condition
        by_decoding = self.container.format.name in _WITHOUT_SHOWING_TIMES
        waiting: list[Any] | None = [] if with_sound else None
        for frame in self._decoded(self.sound_stream if with_sound else None, waiting):
            time_s = times.next(_stamp_s(frame, by_decoding))
            number, condition.frames = condition.frames, condition.frames + 1
            condition.damaged += frame.is_corrupt
            condition.retimed, condition.joined = times.made, times.joined
            if number == 0:
                self.lead_s = self._lead(times.origin_s)
            if waiting:
                self.sound += _counted_from(waiting, times.origin_s - self.lead_s)
                waiting.clear()
            if wanted is None or wanted(number):
                yield VideoFrame(self._picture(frame), time_s)
            last_s = time_s
        if waiting and condition.frames:
            self.sound += _counted_from(waiting, times.origin_s - self.lead_s)
        if condition.frames and not condition.ended_early and not condition.joined:
            # Some containers state a duration, others when they end.
            missing_s = self.duration_s - (max(0.0, times.origin_s) + last_s + 1 / float(self.frames_per_s))
            if missing_s > max(_TOLERATED_S, _TOLERATED_SHARE * self.duration_s):
                condition.ended_early = f"at {last_s:.2f} s of {self.duration_s:.2f} s"

    def _decoded(self, sound: Any, waiting: list[Any] | None) -> Iterator[Any]:
        """Yields decoded frames as they are stored, and puts packets of sound into `waiting`."""
        av, condition, waiting_bytes = media.library(), self.condition, 0
        packets = self.container.demux([self.stream, *([sound] if sound else [])])
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError, ValueError) as error:
                condition.ended_early = one_line(error)
                return
            if sound is not None and packet.stream is sound:
                if packet.size:
                    waiting_bytes = waiting_bytes + packet.size if waiting else packet.size
                    if waiting_bytes <= _WAITING_SOUND_BYTES:
                        waiting.append(packet)
                continue
            try:
                decoded = packet.decode()
            except av.EOFError:
                continue
            except (av.FFmpegError, ValueError, MemoryError) as error:
                condition.broken += 1
                condition.fault = condition.fault or one_line(error)
                continue
            yield from decoded

    def _lead(self, origin_s: float) -> float:
        sound = self.sound_stream
        if sound is None or sound.start_time is None:
            return 0.0
        lead_s = origin_s - float(sound.start_time * sound.time_base)
        return lead_s if _LEAD_S < lead_s < _LONGEST_LEAD_S else 0.0

    def _picture(self, frame: Any) -> np.ndarray:
        """Returns a frame's pixels as a player shows them, no side longer than `max_side_px`."""
        width, height = square_size(frame.width, frame.height, self.stream.sample_aspect_ratio)
        scale = min(1.0, (self.max_side_px or np.inf) / max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = frame.to_ndarray(format="rgb24")
        if (width, height) != (frame.width, frame.height):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        matrix = next((bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
        return placement(matrix).apply(pixels)

    def close(self) -> None:
        """Closes the file."""
        self.container.close()


def open_video(
    source: str | os.PathLike | bytes, name: str = "", *, max_side_px: int | None = None, max_megapixels: float = media.MAX_FRAME_MEGAPIXELS
) -> Video:
    """Opens a video; `source`, `name` and `max_megapixels` as in `zoo.media.open_film`.

    Args:
      max_side_px: larger frames are scaled down to it.

    Raises:
      ZooError: see there.
    """
    container, stream = media.open_film(source, name, max_megapixels)
    av = media.library()
    has_times = stream.start_time is not None or stream.duration is not None
    # Without time stamps the average is the demuxer's invention; what the codec says counts.
    rates = (stream.average_rate, stream.guessed_rate) if has_times else (stream.guessed_rate, stream.average_rate)
    rate = next((rate for rate in rates if rate and _RATES[0] <= rate <= _RATES[1]), _USUAL_RATE)
    length_s = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / av.time_base
    path = None if isinstance(source, bytes) else Path(source)
    expected = stream.frames or round(max(length_s, 0) * rate)
    return Video(name or str(source), path, container, stream, stream.frames, expected, length_s, Fraction(rate), max_side_px)


def _stamp_s(frame: Any, by_decoding: bool) -> float | None:
    """Returns a frame's time stamp in seconds: when it is shown, or else (or where it is asked for) when it was to be decoded; or None."""
    stamp = frame.dts if by_decoding or frame.pts is None else frame.pts
    return None if stamp is None or frame.time_base is None else float(stamp * frame.time_base)


def _counted_from(packets: list[Any], origin_s: float) -> list[Any]:
    """Returns packets with time stamps that count from `origin_s`; those without one keep it."""
    for packet in packets:
        shift = round(Fraction(origin_s) / packet.time_base)
        packet.pts, packet.dts = (None if stamp is None else stamp - shift for stamp in (packet.pts, packet.dts))
    return packets


def camera_frames(number: int) -> Iterator[VideoFrame]:
    """Yields a camera's frames until it ends or the reader stops; the first has time 0.

    Raises:
      ZooError: there is no such camera, or it gives no picture.
    """
    # Asked for directly, so that a missing camera is one line of ours and not ten of OpenCV's.
    if os.path.isdir("/sys/class") and not os.path.exists(f"/dev/video{number}"):
        raise ZooError(f"there is no camera {number}; give another number, or a video file")
    capture = cv2.VideoCapture(number)
    try:
        read, bgr = capture.read()
        if not read:
            raise ZooError(f"camera {number} gives no picture; give another number, or a video file")
        began = time.monotonic()
        while read:
            yield VideoFrame(np.ascontiguousarray(bgr[..., ::-1]), time.monotonic() - began)
            read, bgr = capture.read()
    finally:
        capture.release()
