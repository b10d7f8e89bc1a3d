"""`python -m zoo video`: faces followed through a video or before a camera, drawn into a new video or printed frame by frame."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.errors import ZooError
from zoo.landmarker import load
from zoo.one_euro import Smoothing
from zoo.overlay import draw_points
from zoo.predict import face_points, points_json
from zoo.tracker import SEARCH_EVERY, TrackedFace, Tracker
from zoo.video_files import Condition, VideoFrame, VideoWriter, camera_frames, open_video

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
    camera = int(arguments.source) if arguments.source.isdecimal() else None
    video = open_video(arguments.source) if camera is None else None
    try:
        find = load(arguments.variant, arguments.precision, threads=arguments.threads)
        track = Tracker(find, max_faces=arguments.max_faces, smoothing=smoothing, search_every=arguments.search_every,
                        detector_range=arguments.range)  # fmt: skip
        return _run(arguments, track, video, camera)
    finally:
        if video is not None:
            video.close()


def _run(arguments: argparse.Namespace, track: Tracker, video: Any, camera: int | None) -> int:
    # Tqdm is imported here so that other verbs need not wait for it.
    from tqdm import tqdm

    frames: Iterator[VideoFrame] = video.frames() if video is not None else camera_frames(camera)
    name = Path(arguments.source).stem if video is not None else f"camera-{camera}"
    out = arguments.out or (None if arguments.json else Path("out") / f"{name}.mp4")
    if out is not None and video is not None and out.exists() and out.samefile(video.path):
        raise ZooError(f"--out {out} is the video that is read; give another file")
    condition, rate = (video.condition, video.frames_per_s) if video is not None else (Condition(), _CAMERA_RATE)
    writer = VideoWriter(out, rate, video and video.audio_stream) if out is not None else None
    total = min(filter(None, (arguments.frames, (video.expected_frames if video is not None else 0) or None)), default=None)
    seen, faces, spent_s, stopped = 0, set(), 0.0, False
    bar = tqdm(total=total, desc=name, unit="frame", file=sys.stderr, disable=None, leave=False)
    try:
        for frame in frames:
            began = time.perf_counter()
            found = track(frame.image, frame.time_s)
            spent_s += time.perf_counter() - began
            if arguments.json:
                print(json.dumps(as_json(seen, frame.time_s, found, arguments.scheme), ensure_ascii=False), flush=True)
            if writer is not None:
                writer.add(drawn(frame.image, found, arguments.scheme), frame.time_s)
                if video is not None:
                    writer.add_audio(video.audio)
            faces.update(face.identity for face in found)
            seen += 1
            bar.update()
            if seen == arguments.frames:
                break
    except KeyboardInterrupt:
        stopped = True
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise
    finally:
        bar.close()
    if writer is not None and video is not None and not stopped:
        writer.add_audio(video.audio)
    written = writer.finish() if writer is not None else None
    if not seen:
        raise ZooError(f"no frame of {arguments.source} can be decoded: it is damaged, empty, or of a codec that is not built in")
    for line in summary(seen, len(faces), spent_s, condition, stopped):
        print(line, file=sys.stderr)
    if video is not None and video.audio_stream is not None and written is not None and not writer.audio_kept:
        print("the audio could not be carried over into this kind of file; .mkv takes any", file=sys.stderr)
    if written is not None:
        print(f"wrote {written}", file=sys.stderr)
    return 130 if stopped else 0


def as_json(number: int, time_s: float, found: list[TrackedFace], scheme: str) -> dict[str, Any]:
    """Returns what is printed of a frame; points are image pixels, edge-based."""
    faces = [{"identity": face.identity, "found_by": face.found_by, **points_json(face.prediction, scheme)} for face in found]
    return {"frame": number, "time_s": round(time_s, 6), "scheme": scheme, "faces": faces}


def drawn(image: np.ndarray, found: list[TrackedFace], scheme: str) -> np.ndarray:
    """Returns a copy of a frame with the faces' points and identities."""
    if not found:
        return image
    points, scores = zip(*(face_points(face.prediction, scheme) for face in found), strict=True)
    picture = draw_points(image, np.stack(points), np.stack(scores), scheme)
    for face, some in zip(found, points, strict=True):
        low, high = some.min(0), some.max(0)
        scale = max(0.4, float(high[0] - low[0]) / 260)
        place = int(low[0]), int(max(14, low[1] - 6 * scale))
        for width, colour in ((4, (16, 20, 28)), (1, (255, 255, 255))):
            cv2.putText(
                picture, str(face.identity), place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, round(width * scale)), cv2.LINE_AA
            )
    return picture


def summary(frames: int, faces: int, spent_s: float, condition: Condition, stopped: bool) -> list[str]:
    """Returns what there is to say at the end, a line each."""
    rate = f"{frames / spent_s:.0f} frames/s without reading and writing" if spent_s > 0 else "no time"
    lines = [f"{frames} frame{'s' * (frames != 1)}, {faces} face{'s' * (faces != 1)} told apart, {rate}"]
    if condition.broken:
        lines.append(f"broken: {condition.broken} packet{'s' * (condition.broken != 1)} could not be decoded and were passed over")
    if condition.ended_early:
        lines.append(f"the file ends early: {condition.ended_early}; it was processed as far as it goes")
    if stopped:
        lines.append("interrupted; what was done until then is kept")
    return lines
