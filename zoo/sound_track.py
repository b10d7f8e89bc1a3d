"""The sound of a video that is written: the source's packets as they are, or converted to AAC where the container has no place for them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from zoo import media

_AAC_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 96_000, 88_200, 64_000)
_BACK_S = 1.0  # a packet further back than that begins another recording; one nearer is left out
# Matroska has no times below 0: what an encoder puts before its first sample would move everything else.
_FROM_0_S = 0.001
_GAP_S = 0.1  # silence longer than that is kept when sound is converted


class CopiedSound:
    """Takes the source's packets as they are, their time stamps made to rise."""

    how = "copied"

    def __init__(self, container: Any, source: Any):
        """Adds a stream like the source's to a container whose header is not yet written."""
        self._stream = container.add_stream_from_template(source)
        self._from_0 = container.format.name == "matroska"
        self._shift = 0
        self._end: int | None = None
        self._last: int | None = None

    def packets(self, packet: Any) -> Iterator[Any]:
        """Yields what is to be written for one packet of the source."""
        base, stamp = packet.time_base, packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            if self._end is None:
                return
            stamp = self._end - self._shift
        stamp += self._shift
        if self._from_0 and stamp < 0 and stamp + (packet.duration or 0) <= _FROM_0_S / base:
            return
        if self._last is not None and stamp <= self._last:
            if stamp > self._last - _BACK_S / base:
                return
            self._shift += self._end - stamp
            stamp = self._end
        self._last, self._end = stamp, stamp + max(1, packet.duration or 0)
        packet.pts = packet.dts = stamp
        packet.stream = self._stream
        yield packet

    def rest(self) -> Iterator[Any]:
        """Yields what is to be written at the end."""
        return iter(())


class ConvertedSound:
    """Decodes the source's packets and encodes them as AAC."""

    how = "converted"

    def __init__(self, container: Any, source: Any):
        """Adds a stream of AAC to a container whose header is not yet written."""
        self._source = source
        decoder = source.codec_context
        rate = decoder.sample_rate if decoder.sample_rate in _AAC_RATES else _AAC_RATES[0]
        self._stream = container.add_stream("aac", rate=rate, layout="mono" if decoder.layout.nb_channels == 1 else "stereo")
        self._resampler = media.library().AudioResampler("fltp", self._stream.layout.name, rate)
        self._rate, self._next = rate, None

    def packets(self, packet: Any) -> Iterator[Any]:
        """Yields what is to be written for one packet of the source; one that cannot be decoded is left out."""
        av = media.library()
        try:
            frames = self._source.codec_context.decode(packet)
        except (av.FFmpegError, ValueError):
            return
        for frame in frames:
            if frame.pts is None and self._next is None:
                continue
            if frame.pts is not None:
                due = round(frame.pts * (frame.time_base or packet.time_base) * self._rate)
                if self._next is None or due > self._next + _GAP_S * self._rate:
                    self._next = due
            yield from self._encoded(frame)

    def _encoded(self, frame: Any | None) -> Iterator[Any]:
        for part in self._resampler.resample(frame):
            if part is None:
                continue
            part.pts, part.time_base = self._next, Fraction(1, self._rate)
            self._next += part.samples
            yield from self._stream.encode(part)

    def rest(self) -> Iterator[Any]:
        """Yields what is to be written at the end."""
        if self._next is not None:
            yield from self._encoded(None)
            yield from self._stream.encode(None)


def sound_track(container: Any, kind: str, source: Any) -> CopiedSound | ConvertedSound | None:
    """Returns the sound to write into a container of a kind ("mp4", ...), or None where it can be neither copied nor converted."""
    for way in (CopiedSound, ConvertedSound):
        if _is_taken(kind, source, way):
            return way(container, source)
    return None


def _is_taken(kind: str, source: Any, way: type) -> bool:
    """Returns whether a container of a kind takes the sound: only writing a header shows it."""
    try:
        with media.library().open(io.BytesIO(), "w", format=kind) as trial:
            way(trial, source)
            trial.start_encoding()
    except Exception:  # of a type of its own for every container and codec
        return False
    return True
