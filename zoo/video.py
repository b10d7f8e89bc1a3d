"""`python -m zoo video`: faces followed through a video or before a camera, drawn into a new video or printed frame by frame."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo import terminal
from zoo.errors import ZooError
from zoo.landmarker import load
from zoo.one_euro import Smoothing
from zoo.predict import draw_faces, points_json
from zoo.tracker import SEARCH_EVERY, TrackedFace, Tracker
from zoo.video_reader import Condition, Video, VideoFrame, camera_frames, open_video
from zoo.video_writer import VideoWriter

_CAMERA_RATE = Fraction(30)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments that `predict` does not have as well."""
    default = Smoothing()
    parser.add_argument("source", nargs="?", metavar="FILE|CAMERA", help="a video file, or a camera's number (0 is the first)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the video to write: .mp4, .mkv or .mov (default: out/NAME.mp4; none with --json)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON for each frame: time, and for each face identity, points, scores"
    )
    parser.add_argument("--max-faces", type=int, default=4, metavar="N", help="follow so many at most (default: %(default)s)")
    parser.add_argument(
        "--search-every", type=int, default=SEARCH_EVERY, metavar="FRAMES", help="look for new faces so often (default: %(default)s)"
    )
    parser.add_argument("--no-smoothing", action="store_true", help="give the points as the network finds them")
    parser.add_argument("--min-cutoff", type=float, default=default.min_cutoff_hz, metavar="HZ",
                        help="of the One-Euro filter: lower is steadier at rest (default: %(default)s)")  # fmt: skip
    parser.add_argument("--beta", type=float, default=default.beta, help="of the filter: higher lags less in motion (default: %(default)s)")
    parser.add_argument("--frames", type=int, metavar="N", help="stop after so many frames")


def main(arguments: argparse.Namespace) -> int:
    """Follows the faces; returns 0, or 130 after Ctrl-C, with all that was done until then written."""
    if arguments.source is None:
        print("error: no video given; name a file or a camera's number, as in: python -m zoo video clip.mp4", file=sys.stderr)
        return 2
    if arguments.frames is not None and arguments.frames < 1:
        raise ZooError(f"--frames must be at least 1, received {arguments.frames}")
    smoothing = None if arguments.no_smoothing else Smoothing(arguments.min_cutoff, arguments.beta)
    # A file that is there is meant, also where its name is a number.
    camera = int(arguments.source) if arguments.source.isdecimal() and not Path(arguments.source).exists() else None
    video = open_video(arguments.source) if camera is None else None
    try:
        find = load(arguments.variant, arguments.precision, threads=arguments.threads)
        track = Tracker(find, max_faces=arguments.max_faces, smoothing=smoothing, search_every=arguments.search_every,
                        detector_range=arguments.range)  # fmt: skip
        return _run(arguments, track, video, camera)
    finally:
        if video is not None:
            video.close()


@dataclass
class Tally:
    """What became of a video's frames.

    Attributes:
      read, with_faces, written: frames given by the source, those in which a face was found, those in the new video.
      faces: how many different faces were told apart.
      spent_s: in finding them.
      stopped: whether it was interrupted.
      limited: whether the frames asked for were reached before the end.
    """

    read: int = 0
    with_faces: int = 0
    written: int = 0
    faces: int = 0
    spent_s: float = 0.0
    stopped: bool = False
    limited: bool = False


def _run(arguments: argparse.Namespace, track: Tracker, video: Video | None, camera: int | None) -> int:
    name = Path(arguments.source).stem if video is not None else f"camera-{camera}"
    out = arguments.out or (None if arguments.json else Path("out") / f"{name}.mp4")
    if out is not None and video is not None and out.exists() and out.samefile(video.path):
        raise ZooError(f"--out {out} is the video that is read; give another file")
    condition, rate = (video.condition, video.frames_per_s) if video is not None else (Condition(), _CAMERA_RATE)
    writer = VideoWriter(out, rate, video and video.sound_stream) if out is not None else None
    try:
        tally = _follow(arguments, track, video, camera, writer, name)
        written = writer.finish() if writer is not None else None
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise
    tally.written = writer.frames if writer is not None else 0
    if not tally.read:
        why = f" ({condition.fault})" if condition.fault else ""
        raise ZooError(f"no frame of {arguments.source} can be decoded{why}: it is damaged, empty, or of a codec that is not built in")
    for line in summary(tally, condition, video, written):
        print(line, file=sys.stderr)
    if written is not None:
        said = {"lost": "; its sound is of a kind that cannot be written", "converted": "; its sound was converted to AAC"}
        print(f"wrote {written}{said.get(writer.sound, '')}", file=sys.stderr)
    return 130 if tally.stopped else 0


def _follow(
    arguments: argparse.Namespace, track: Tracker, video: Video | None, camera: int | None, writer: VideoWriter | None, name: str
) -> Tally:
    """Follows the faces through all frames, prints and writes what is asked for, and returns what became of the frames."""
    # Tqdm is imported here so that other verbs need not wait for it.
    from tqdm import tqdm

    frames: Iterator[VideoFrame] = video.frames(with_sound=writer is not None) if video is not None else camera_frames(camera)
    total = min(filter(None, (arguments.frames, (video.expected_frames if video is not None else 0) or None)), default=None)
    tally, identities = Tally(), set()
    bar = tqdm(total=total, desc=terminal.printable(name), unit="frame", file=sys.stderr, disable=None, leave=False)
    with bar, terminal.stop_asked() as stop:
        for frame in frames:
            began = time.perf_counter()
            found = track(frame.image, frame.time_s)
            tally.spent_s += time.perf_counter() - began
            if arguments.json:
                size = frame.image.shape[1], frame.image.shape[0]
                print(json.dumps(as_json(tally.read, frame.time_s, size, found, arguments.scheme), ensure_ascii=False), flush=True)
            if writer is not None:
                writer.add(drawn(frame.image, found, arguments.scheme), frame.time_s + (video.lead_s if video is not None else 0))
                if video is not None:
                    writer.add_sound(video.sound)
            identities.update(face.identity for face in found)
            tally.read, tally.with_faces = tally.read + 1, tally.with_faces + bool(found)
            bar.update()
            tally.stopped, tally.limited = stop(), tally.read == arguments.frames
            if tally.stopped or tally.limited:
                break
        else:
            if writer is not None and video is not None:
                writer.add_sound(video.sound)
    tally.faces = len(identities)
    return tally


def as_json(number: int, time_s: float, size: tuple[int, int], found: list[TrackedFace], scheme: str) -> dict[str, Any]:
    """Returns what is printed of a frame of a size (width, height); points are pixels of the upright image, edge-based."""
    faces = [{"identity": face.identity, "found_by": face.found_by, **points_json(face.prediction, scheme)} for face in found]
    width, height = size
    return {"frame": number, "time_s": round(time_s, 6), "width": width, "height": height, "scheme": scheme, "faces": faces}


def drawn(image: np.ndarray, found: list[TrackedFace], scheme: str) -> np.ndarray:
    """Returns a copy of a frame with the faces' points and identities."""
    if not found:
        return image
    picture = draw_faces(image, [face.prediction for face in found], scheme)
    for face in found:
        low, high = face.prediction.points.min(0), face.prediction.points.max(0)
        scale = max(0.4, float(high[0] - low[0]) / 260)
        place = int(low[0]), int(max(14, low[1] - 6 * scale))
        for width, colour in ((4, (16, 20, 28)), (1, (255, 255, 255))):
            cv2.putText(
                picture, str(face.identity), place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, round(width * scale)), cv2.LINE_AA
            )
    return picture


def summary(tally: Tally, condition: Condition, video: Video | None, written: Path | None) -> list[str]:
    """Returns what there is to say at the end, a line each: what became of the frames, and why of those that were not read."""
    rate = f"{tally.read / tally.spent_s:.0f} frames/s without reading and writing" if tally.spent_s > 0 else "no time"
    put = f", {tally.written} written" if written is not None else ""
    lines = [
        f"{_counted(tally.read, 'frame')} read, {tally.with_faces} with a face{put}, {condition.broken} skipped; "
        f"{_counted(tally.faces, 'face')} told apart; {rate}"
    ]
    if condition.broken:
        lines.append(f"skipped: {_counted(condition.broken, 'packet')} could not be decoded ({condition.fault})")
    if condition.damaged:
        lines.append(f"damaged: {_counted(condition.damaged, 'frame')} could be decoded in part alone")
    if condition.retimed:
        lines.append(f"time stamps: {_counted(condition.retimed, 'frame')} without a usable one; their times follow from the frame rate")
    if condition.joined:
        lines.append(f"time stamps jump back {_counted(condition.joined, 'time')}: joined recordings; the times go on")
    if condition.ended_early:
        lines.append(f"the file ends early: {condition.ended_early}; it was processed as far as it goes")
    elif video is not None and not tally.stopped and not tally.limited:
        missing = video.counted_frames - tally.read - condition.broken
        if missing > 0:
            lines.append(f"not shown: {_counted(missing, 'frame')} of the {video.counted_frames} in the file lie outside what it plays")
    if tally.stopped:
        lines.append("interrupted; what was done until then is kept")
    return lines


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
