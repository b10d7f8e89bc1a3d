"""Videos in and out: every frame upright with its own time, audio carried over, and what is broken counted instead of ending all.

FFmpeg's libraries do the work, through PyAV.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.errors import ZooError, one_line

_CODECS = ("libx264", "libopenh264", "mpeg4")  # the first that FFmpeg was built with
_TICKS_PER_S = 90_000
# A video that ends this much before the time in its header is said to end early: its audio may be a little longer than its frames.
_TOLERATED_S, _TOLERATED_SHARE = 0.25, 0.02
_STILL_PICTURES = {"image2", "png_pipe", "jpeg_pipe", "gif", "bmp_pipe", "webp_pipe", "tiff_pipe"}


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame: pixels (H, W, 3) uint8 RGB, upright, and its time from the video's start."""

    image: np.ndarray
    time_s: float


@dataclass
class Condition:
    """What was found out while a video was read.

    Attributes:
      frames, broken: decoded, and packets that could not be.
      ended_early: why the file ended before its end, or "".
    """

    frames: int = 0
    broken: int = 0
    ended_early: str = ""


@dataclass(eq=False)
class Video:
    """An opened video file. `frames` yields its frames once; `audio` are the packets met on the way, to be carried over.

    Attributes:
      path: of the file.
      expected_frames: what the header says, or follows from its duration; 0 where it says neither.
      duration_s: what the header says, or 0.
      frames_per_s: on average, as the header says.
      condition: filled while frames are read.
    """

    path: Path
    container: Any = field(repr=False)
    expected_frames: int
    duration_s: float
    frames_per_s: Fraction
    condition: Condition = field(default_factory=Condition)
    audio: list[Any] = field(default_factory=list, repr=False)

    @property
    def audio_stream(self) -> Any:
        """The first audio stream, or None."""
        return next(iter(self.container.streams.audio), None)

    def frames(self) -> Iterator[VideoFrame]:
        """Yields the frames in order of their times; what cannot be decoded is counted in `condition` and passed over."""
        import av

        stream = self.container.streams.video[0]
        stream.thread_type = "AUTO"
        sound = self.audio_stream
        packets, last_s = self.container.demux([stream, *([sound] if sound else [])]), -1.0
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.FFmpegError, OSError) as error:
                self.condition.ended_early = one_line(error)
                break
            if sound is not None and packet.stream is sound:
                if packet.dts is not None:
                    self.audio.append(packet)
                continue
            try:
                decoded = packet.decode()
            except (av.FFmpegError, ValueError):
                self.condition.broken += 1
                continue
            for frame in decoded:
                # A frame without a time follows the last one as the rate says.
                time_s = frame.time if frame.time is not None else last_s + 1 / float(self.frames_per_s)
                if time_s <= last_s:
                    continue
                last_s = time_s
                self.condition.frames += 1
                yield VideoFrame(_upright(frame), float(time_s))
        missing_s = self.duration_s - (last_s + 1 / float(self.frames_per_s))
        if not self.condition.ended_early and missing_s > max(_TOLERATED_S, _TOLERATED_SHARE * self.duration_s):
            self.condition.ended_early = f"at {max(0.0, last_s):.2f} s of {self.duration_s:.2f} s"

    def close(self) -> None:
        """Closes the file."""
        self.container.close()


def open_video(path: str | os.PathLike) -> Video:
    """Opens a video file.

    Raises:
      ZooError: it is missing, no video, a single picture, or so damaged that nothing can be read.
    """
    import av

    av.logging.set_level(av.logging.PANIC)
    path = Path(path)
    if not path.is_file():
        raise ZooError(f"there is no video file {str(path)!r}" + (": it is a folder" if path.is_dir() else ""))
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ZooError(f"{path} is not a video that can be read: {one_line(error)}") from None
    if not container.streams.video or set(container.format.name.split(",")) & _STILL_PICTURES:
        container.close()
        raise ZooError(f"{path} holds no video stream ({container.format.long_name}); a video file is expected, for pictures use `predict`")
    stream = container.streams.video[0]
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    length_s = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / av.time_base
    return Video(path, container, stream.frames or round(length_s * rate), length_s, Fraction(rate))


def camera_frames(number: int) -> Iterator[VideoFrame]:
    """Yields a camera's frames until it ends or the reader stops.

    Raises:
      ZooError: there is no such camera, or it gives no picture.
    """
    # Asked for directly, so that a missing camera is one line of ours and not ten of OpenCV's.
    if os.path.isdir("/sys/class") and not os.path.exists(f"/dev/video{number}"):
        raise ZooError(f"there is no camera {number}; give another number, or a video file")
    capture = cv2.VideoCapture(number)
    try:
        began = time.monotonic()
        read, bgr = capture.read()
        if not read:
            raise ZooError(f"camera {number} gives no picture; give another number, or a video file")
        while read:
            yield VideoFrame(np.ascontiguousarray(bgr[..., ::-1]), time.monotonic() - began)
            read, bgr = capture.read()
    finally:
        capture.release()


class VideoWriter:
    """Writes frames at their own times into a file that appears when it is finished; what was written so far can be kept at any moment."""

    def __init__(self, path: str | os.PathLike, frames_per_s: Fraction, audio_stream: Any = None):
        """Begins a video.

        Args:
          path: of the file to make or replace; .mp4, .mkv or .mov.
          frames_per_s: roughly; each frame has its own time.
          audio_stream: of an opened video, whose packets `add_audio` will be given.

        Raises:
          ZooError: the suffix is of no container that can be written, or the disk refuses.
        """
        self.path, self.audio_kept, self.frames = Path(path), False, 0
        if self.path.suffix.lower() not in (".mp4", ".mkv", ".mov"):
            raise ZooError(f"the video must end in .mp4, .mkv or .mov, received {str(self.path)!r}")
        import av

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.stem}.", suffix=self.path.suffix)
            os.close(handle)
        except OSError as error:
            raise ZooError(f"cannot write {self.path}: {error.strerror or error}") from None
        self._temporary = Path(name)
        self._container = av.open(name, "w")
        codec = next(name for name in _CODECS if name in av.codecs_available)
        self._stream = self._container.add_stream(codec, rate=frames_per_s)
        self._stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        self._stream.pix_fmt = "yuv420p"
        self._sound = self._copy_of(audio_stream) if audio_stream is not None else None

    def _copy_of(self, audio_stream: Any) -> Any:
        """Returns a stream that takes the source's packets as they are, or None where this container has no place for them."""
        try:
            return self._container.add_stream_from_template(audio_stream)
        except Exception:  # of a type of its own for every container
            return None

    def add(self, image: np.ndarray, time_s: float) -> None:
        """Writes a frame (H, W, 3) uint8 RGB at its time; all have the size of the first."""
        import av

        height, width = image.shape[:2]
        # H.264's colours are halved in both directions: an odd side is continued by a pixel.
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        if not self.frames:
            self._stream.width, self._stream.height = image.shape[1], image.shape[0]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        if (frame.width, frame.height) != (self._stream.width, self._stream.height):
            frame = frame.reformat(self._stream.width, self._stream.height)
        frame.pts, frame.time_base = round(time_s * _TICKS_PER_S), Fraction(1, _TICKS_PER_S)
        self._mux(self._stream.encode(frame))
        self.frames += 1

    def add_audio(self, packets: list[Any]) -> None:
        """Copies a source's audio packets, and empties the list."""
        for packet in packets if self._sound is not None and self.frames else ():
            packet.stream = self._sound
            self._mux([packet])
            self.audio_kept = True
        packets.clear()

    def _mux(self, packets: list[Any]) -> None:
        try:
            self._container.mux(packets)
        except OSError as error:
            self.abandon()
            raise ZooError(f"cannot write {self.path}: {one_line(error)}") from None

    def finish(self) -> Path | None:
        """Ends the file and puts it in its place; returns the path, or None where there was no frame."""
        if not self.frames:
            self.abandon()
            return None
        self._mux(self._stream.encode(None))
        self._container.close()
        os.chmod(self._temporary, 0o644)
        os.replace(self._temporary, self.path)
        return self.path

    def abandon(self) -> None:
        """Leaves nothing behind."""
        with contextlib.suppress(Exception):  # an empty container cannot end well
            self._container.close()
        self._temporary.unlink(missing_ok=True)


def _upright(frame: Any) -> np.ndarray:
    """Returns a frame's pixels as a player shows them; phones write the sensor's picture and say by how much to turn it."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
