"""How much the points of a face tremble at rest, and how far they lie off in motion, from clips whose motion is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.studies.motion import FRAMES_PER_S, Frame
from zoo.schemes import SCHEMES

WARM_UP_FRAMES = 15  # until a filter has settled
_CORE = list(SCHEMES["106"].core12)

# Takes the next frame of a clip to 106 points (106, 2) in its pixels, or None where no face is found.
Follow = Callable[[Frame], np.ndarray | None]


@dataclass(frozen=True)
class Steadiness:
    """Figures of one way to follow one face, over the twelve spots of core12, in % of the true outer eye corners' distance.

    Attributes:
      resting, still: root mean square deviation of a point from its own mean place, before a camera at rest, and before one that trembles.
      resting_all: `resting` over all 106 points.
      moving: mean distance, in motion, from where the point lay at rest: what this way gets wrong anyhow does not count.
      lag_ms: the delay that explains most of that distance, see `_lag_ms`; below 0 the points lead.
      missed: share of frames without a face.
    """

    resting: float
    resting_all: float
    still: float
    moving: float
    lag_ms: float
    missed: float


def measure(
    start: Callable[[], Follow], resting: Sequence[Frame], still: Sequence[Frame], moving: Sequence[Frame], eyes_px: float
) -> Steadiness:
    """Returns how steady a way to follow faces is on three clips of one face; `start` begins anew for each.

    Args:
      start: gives the function that follows.
      resting, still, moving: the clips.
      eyes_px: the true outer eye corners' distance in the reference frame, one unit for every way.
    """
    rest, tremble, motion = (_back_mapped(start(), clip) for clip in (resting, still, moving))
    place = np.nanmedian(rest, 0)
    for points in (rest, tremble, motion):  # what is followed an eye distance away is somebody else, and this face is missed
        points[np.linalg.norm(points - place, axis=2).mean(1) > eyes_px] = np.nan
    place = np.nanmean(rest, 0)
    off = (motion - place)[:, _CORE]
    missed = float(np.mean([np.isnan(points[:, 0, 0]).mean() for points in (rest, tremble, motion)]))
    return Steadiness(
        100 * _deviation(rest[:, _CORE]) / eyes_px, 100 * _deviation(rest) / eyes_px, 100 * _deviation(tremble[:, _CORE]) / eyes_px,
        100 * float(np.nanmean(np.linalg.norm(off, axis=2))) / eyes_px,
        _lag_ms(place[_CORE], off, moving[WARM_UP_FRAMES:]), missed,
    )  # fmt: skip


def _back_mapped(follow: Follow, clip: Sequence[Frame]) -> np.ndarray:
    """Returns the points (frames, 106, 2) as if the face had not moved, after the warm-up; NaN where no face was found."""
    found = []
    for frame in clip:
        points = follow(frame)
        found.append(np.full((106, 2), np.nan) if points is None else frame.to_reference(points))
    return np.array(found[WARM_UP_FRAMES:])


def _deviation(points: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(np.nanvar(points, 0))))


def _lag_ms(place: np.ndarray, off: np.ndarray, clip: Sequence[Frame]) -> float:
    """Returns the delay: the place (N, 2) and how far off it (frames, N, 2) were seen are of the reference frame.

    A network that errs by where and how large a face stands in the frame, and how it is turned, errs in step with the motion; over a clip
    of some periods that passes for a millisecond of delay. So what is linear in the motion's four numbers is taken out of both first.
    """
    where = np.array([frame.motion.to_crop(place) for frame in clip])
    apart = np.array([frame.motion.to_crop(place + some) for frame, some in zip(clip, off, strict=True)]) - where
    velocity = np.gradient(where, 1 / FRAMES_PER_S, axis=0)
    seen = np.isfinite(apart).all((1, 2))
    motion = np.array([[*frame.motion.matrix[:, 0], *frame.motion.matrix[:, 2], 1.0] for frame in clip])[seen]
    apart, velocity = (_unexplained(values.reshape(len(clip), -1)[seen], motion) for values in (apart, velocity))
    return float(-1e3 * (apart * velocity).sum() / max((velocity**2).sum(), 1e-9))


def _unexplained(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Returns what least squares on the columns of `by` (frames, M) leaves of each column of the values (frames, N)."""
    return values - by @ np.linalg.lstsq(by, values, rcond=None)[0]
