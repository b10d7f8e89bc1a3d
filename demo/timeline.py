"""A face followed through a visitor's video by several files: how sure each is at every moment, and how much its points tremble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from demo.compare import ModelFile, eye_distance
from zoo.landmarker import Landmarker
from zoo.one_euro import Smoothing
from zoo.tracker import Tracker
from zoo.video_reader import VideoFrame

# The standard deviation of x[t-1] - 2 x[t] + x[t+1] is the square root of six times that of independent noise on x.
_SECOND_DIFFERENCE = np.sqrt(6.0)
FORMATS = {"trembling %": "%.3f", "mean score": "%.3f", "found %": "%.0f"}


@dataclass(frozen=True, eq=False)
class Timeline:
    """One file's way through a video.

    Attributes:
      times_s: (frames,) of the video.
      scores: (frames,) mean score of the face, NaN where none was found.
      trembling_percent: see `trembling`, or None where three frames in a row were never found.
      by_detector: in how many frames the face was sought by the detector.
    """

    times_s: np.ndarray
    scores: np.ndarray
    trembling_percent: float | None
    by_detector: int

    @property
    def found_share(self) -> float:
        """The share of frames in which the face was found."""
        return float(np.isfinite(self.scores).mean())


def follow(finders: Mapping[ModelFile, Landmarker], clip: Sequence[VideoFrame], smoothing: bool = True) -> dict[ModelFile, Timeline]:
    """Returns every file's timeline of the face that it follows first.

    Args:
      finders: the files' landmarkers.
      clip: frames one after another.
      smoothing: whether the points are filtered, as `zoo.tracker.Tracker` does by default.
    """
    return {file: _follow(find, clip, Smoothing() if smoothing else None) for file, find in finders.items()}


def _follow(find: Landmarker, clip: Sequence[VideoFrame], smoothing: Smoothing | None) -> Timeline:
    track = Tracker(find, max_faces=1, smoothing=smoothing)
    points, scores, by_detector = np.full((len(clip), 106, 2), np.nan), np.full(len(clip), np.nan), 0
    for index, frame in enumerate(clip):
        for face in track(frame.image, frame.time_s):
            points[index], scores[index] = face.prediction.points, face.prediction.score
            by_detector += face.found_by == "detector"
    return Timeline(np.array([frame.time_s for frame in clip]), scores, trembling(points), by_detector)


def trembling(points: np.ndarray) -> float | None:
    """Returns how much points (frames, 106, 2) tremble, in % of the eye distance: the noise that their second differences tell of.

    Smooth motion has small second differences, so that a moving head counts little; abrupt ones, as of a blink, do count. The median over
    frames and points keeps such moments out.
    """
    second = points[:-2] - 2 * points[1:-1] + points[2:]
    seen = np.isfinite(second[:, 0, 0])
    if not seen.any():
        return None
    eyes = np.median([eye_distance(some) for some in points[1:-1][seen]])
    # Of a Gaussian the median of the absolute value is 0.6745 of the standard deviation.
    return float(100 * np.median(np.abs(second[seen])) / 0.6745 / _SECOND_DIFFERENCE / max(eyes, 1e-9))


def rows(timelines: Mapping[ModelFile, Timeline]) -> list[dict[str, float | str | int | None]]:
    """Returns a row for each file, the steadiest first."""
    table = [
        {
            "file": file.label,
            "trembling %": line.trembling_percent,
            "mean score": float(np.nanmean(line.scores)) if line.found_share else None,
            "found %": 100 * line.found_share,
            "by the detector": line.by_detector,
        }
        for file, line in timelines.items()
    ]
    return sorted(table, key=lambda row: (row["trembling %"] is None, row["trembling %"] or 0.0))


def chart_rows(timelines: Mapping[ModelFile, Timeline]) -> list[dict[str, float | str | None]]:
    """Returns a row for each file and frame: time and score, None where no face was found, so that the curve has a gap."""
    return [
        {"file": file.label, "time s": round(float(time_s), 3), "score": None if np.isnan(score) else round(float(score), 4)}
        for file, line in timelines.items()
        for time_s, score in zip(line.times_s, line.scores, strict=True)
    ]
