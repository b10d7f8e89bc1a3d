"""Videos out: frames at their own times with the source's sound, in a file that appears under its name when it is whole and plays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo import media
from zoo.errors import ZooError, one_line
from zoo.files import replacing
from zoo.sound_track import sound_track

SUFFIXES = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
_CODECS = ("libx264", "libopenh264", "mpeg4")  # the first that FFmpeg was built with
_TICKS_PER_S = 90_000
_BARS = 0  # of frames that have another shape than the first


class _Abandoned(Exception):
    """Undoes what was begun."""


class VideoWriter:
    """Writes frames at their own times into a file that appears when it is finished; what was written so far can be kept at any moment.

    Attributes:
      frames: how many were written.
      sound: "copied", "converted" (to AAC, where the container has no place for the source's kind), "lost", or "" where there is none.
    """

    def __init__(self, path: str | os.PathLike, frames_per_s: Fraction, sound_stream: Any = None):
        """Begins a video.

        Args:
          path: of the file to make or replace; .mp4, .mkv or .mov.
          frames_per_s: roughly; each frame has its own time.
          sound_stream: of an opened video, whose packets `add_sound` will be given.

        Raises:
          ZooError: the suffix is of no container that can be written, or the disk refuses.
        """
        self.path, self.frames = Path(path), 0
        kind = SUFFIXES.get(self.path.suffix.lower())
        if kind is None:
            raise ZooError(f"the video must end in .mp4, .mkv or .mov, received {str(self.path)!r}")
        if self.path.is_dir():
            raise ZooError(f"cannot write {self.path}: it is a folder")
        av = media.library()
        self._place = contextlib.ExitStack()  # what is in it goes into its place, or goes away, when the video ends
        self._temporary, self._last_tick, self._size = self._place.enter_context(replacing(self.path, self.path.suffix)), -1, None
        self._container = av.open(f"file:{self._temporary}", "w", format=kind)
        codec = next(name for name in _CODECS if name in av.codecs_available)
        self._stream = self._container.add_stream(codec, rate=frames_per_s)
        self._stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        self._stream.pix_fmt = "yuv420p"
        self._sound = sound_track(self._container, kind, sound_stream) if sound_stream is not None else None
        self.sound = "" if sound_stream is None else self._sound.how if self._sound is not None else "lost"

    def add(self, image: np.ndarray, time_s: float) -> None:
        """Writes a frame (H, W, 3) uint8 RGB at its time; one that differs in size from the first is fitted into that, between bars."""
        # H.264's colours are halved in both directions: an odd side is continued by a pixel.
        image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), "edge")
        if self._size is None:
            self._size = image.shape[1], image.shape[0]
            self._stream.width, self._stream.height = self._size
        frame = media.library().VideoFrame.from_ndarray(np.ascontiguousarray(fitted(image, *self._size)), "rgb24")
        self._last_tick = max(round(time_s * _TICKS_PER_S), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, _TICKS_PER_S)
        self._write(lambda: self._stream.encode(frame))
        self.frames += 1

    def add_sound(self, packets: list[Any]) -> None:
        """Writes a source's packets of sound, and empties the list."""
        if self._sound is not None and self.frames:
            for packet in packets:
                self._write(lambda packet=packet: self._sound.packets(packet))
        packets.clear()

    def _write(self, packets: Any) -> None:
        """Writes what a function gives; whatever fails leaves nothing behind."""
        try:
            self._mux(packets())
        except (media.library().FFmpegError, OSError, ValueError) as error:
            self.abandon()
            raise ZooError(f"cannot write {self.path}: {one_line(error)}") from None

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            self._container.mux_one(packet)

    def finish(self) -> Path | None:
        """Ends the file, sees whether it plays to its end, and puts it in its place; returns the path, or None where there was no frame.

        Raises:
          ZooError: the disk refuses, or what was written does not play; nothing is left behind.
        """
        if not self.frames:
            self.abandon()
            return None
        self._write(lambda: self._stream.encode(None))
        if self._sound is not None:
            self._write(self._sound.rest)
        try:
            self._container.close()
            found = frames_in(self._temporary)
            if found != self.frames:
                raise OSError(f"{found} of {self.frames} frames can be read back")
            self._place.close()
        except ZooError:
            raise
        except (media.library().FFmpegError, OSError, ValueError) as error:
            self.abandon()
            raise ZooError(f"cannot write {self.path}: {one_line(error)}") from None
        return self.path

    def abandon(self) -> None:
        """Leaves nothing behind."""
        with contextlib.suppress(Exception):  # an empty container cannot end well
            self._container.close()
        with contextlib.suppress(_Abandoned), self._place:
            raise _Abandoned


def frames_in(path: Path) -> int:
    """Returns how many frames of a film can be read, the last ones decoded: from the last key frame on."""
    container, stream = media.open_film(path)
    count, group = 0, []
    try:
        for packet in container.demux(stream):
            if packet.size:
                count += 1
                group = [packet] if packet.is_keyframe else [*group, packet]
        decoded = sum(len(stream.codec_context.decode(packet)) for packet in (*group, None))
        return count - len(group) + decoded
    finally:
        container.close()


def fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a picture (H, W, 3) uint8 in the middle of one so large, as large as fits whole, between black bars."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    size = min(width, max(1, round(image.shape[1] * scale))), min(height, max(1, round(image.shape[0] * scale)))
    canvas = np.full((height, width, 3), _BARS, np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    inner = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas[top : top + size[1], left : left + size[0]] = inner
    return canvas
