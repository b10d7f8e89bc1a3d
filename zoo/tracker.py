"""Faces followed through a video: found once, then aligned by their own points of the frame before.

The network's own points are better anchors than the detector's: they move by hundredths of the eye distance between two frames where
the detector's move by several, and they cost nothing. The detector is asked again when a face is lost, and now and then for new ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np

from zoo.alignment import Alignment
from zoo.detector import DEFAULT_RANGE, Face, detect_faces
from zoo.errors import ZooError
from zoo.images import as_rgb
from zoo.landmarker import Landmarker, Prediction
from zoo.one_euro import OneEuroFilter, Smoothing
from zoo.schemes import SCHEMES

# A face's score, on one scale for all variants and precisions: cards say how far above it faces lie and how far below it all else.
MIN_SCORE = 0.5
SEARCH_EVERY = 15  # frames; a new face is seen after half a second at most
LOST_S = 1.0  # within this time a face that comes back in its place keeps its identity
# Between two frames the eye distance changes by less than this factor, or it is another face.
_MOST_GROWTH = 1.6
# In eye distances: nearer, two identities are on one face; a face found this near to a lost one's place is that one.
_ONE_FACE, _SAME_PLACE = 0.6, 2.0
# A face cut out at this side in grey stands for its looks. The correlation of two such cut-outs of one person, displaced and blurred as
# between two frames, is above 0.84 in 199 of 200 cases; of two people in photographs in the wild it is below 0.69 in 99 of 100.
_LOOKS_PX = 24
_SAME_PERSON = 0.75


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """One face of a frame.

    Attributes:
      identity: stays with a face as long as it is tracked, and is never given to another.
      prediction: its points as given out, smoothed where smoothing is on; scores; the points that aligned it; the detector's box, or None.
      raw_points: (106, 2) float64 image points before smoothing.
      found_by: "detector" or "tracking": where this frame's alignment came from.
    """

    identity: int
    prediction: Prediction
    raw_points: np.ndarray
    found_by: str


@dataclass(frozen=True, eq=False)
class _Look:
    """A prediction with its five naive points (5, 2), their face's centre (2,) and its outer eye corners' distance."""

    prediction: Prediction
    five: np.ndarray
    centre: np.ndarray
    eyes_px: float
    grey: np.ndarray  # (24 * 24,) float32 of mean 0 and length 1

    @staticmethod
    def of(prediction: Prediction, frame: np.ndarray) -> _Look:
        points, (a, b) = prediction.points, SCHEMES["106"].outer_eyes
        summary = _SUMMARY @ points
        return _Look(prediction, summary[:5], summary[5], _distance(points[a], points[b]), _grey(frame, summary[:5]))

    def is_person(self, other: _Look) -> bool:
        """Whether two faces look like one person's, a short time apart."""
        return float(self.grey @ other.grey) >= _SAME_PERSON


@dataclass(eq=False)
class _Track:
    identity: int
    look: _Look
    seen_s: float
    velocity: np.ndarray  # of the five points, in pixels a second
    filter: OneEuroFilter | None = field(repr=False)


class Tracker:
    """Follows the faces of one video; not to be shared between videos or threads."""

    def __init__(
        self,
        find: Landmarker,
        *,
        max_faces: int = 4,
        smoothing: Smoothing | None = Smoothing(),  # noqa: B008 - it is frozen
        tracking: bool = True,
        min_score: float = MIN_SCORE,
        search_every: int = SEARCH_EVERY,
        detector_range: str = DEFAULT_RANGE,
    ):
        """Makes a tracker.

        Args:
          find: the landmarker, which may be shared.
          max_faces: how many are followed; the largest first.
          smoothing: of the points given out; None leaves them as they are. Faces are tracked by unsmoothed points, so that what the filter
            holds back never moves a crop away from its face.
          tracking: False aligns every frame by the detector, to compare with.
          min_score: score of a face below which it is no longer followed by its own points, but sought by the detector.
          search_every: frames between looks for new faces while there are fewer than `max_faces`; without any every frame is searched.
          detector_range: see `zoo.detector.detect_faces`.

        Raises:
          ZooError: a number is not possible.
        """
        for name, value, least in (("max_faces", max_faces, 1), ("search_every", search_every, 1)):
            if value < least:
                raise ZooError(f"{name} must be at least {least}, received {value}")
        if not 0 <= min_score <= 1:
            raise ZooError(f"min_score must lie in 0..1, received {min_score:g}")
        self.find, self.max_faces, self.smoothing, self.tracking = find, max_faces, smoothing, tracking
        self.min_score, self.search_every, self.detector_range = min_score, search_every, detector_range
        self._next_identity = 0
        self.reset()

    def reset(self) -> None:
        """Forgets all faces, as at a cut; identities are not given again."""
        self._tracks: list[_Track] = []
        self._lost: list[_Track] = []
        self._time_s = -np.inf
        self._frames_until_search = 0

    def __call__(self, frame: np.ndarray, time_s: float) -> list[TrackedFace]:
        """Returns the faces of the next frame, by identity.

        Args:
          frame: (H, W, 3) uint8 RGB.
          time_s: of the frame, later than that of the last one.

        Raises:
          ZooError: the frame is no picture, or the time is no finite number or does not rise.
        """
        if isinstance(time_s, bool) or not isinstance(time_s, Real) or not math.isfinite(time_s):
            raise ZooError(f"the time of a frame must be a finite number of seconds, received {time_s!r}")
        if not time_s > self._time_s:
            raise ZooError(f"the time of a frame must be later than the last one's, received {time_s:g} s after {self._time_s:g} s")
        frame = as_rgb(frame)
        self._time_s = time_s
        known, found, lost = self._tracks, [], []
        if self.tracking:
            for track in known:
                look = self._follow(frame, track)
                (lost if look is None else found).append((track, look, "tracking"))
            found, doubled = _one_each(found)
            lost += doubled
        else:
            lost = [(track, None, "") for track in known]
        self._lost = [track for track in self._lost if time_s - track.seen_s <= LOST_S] + [track for track, *_ in lost]
        if self._must_search(len(found), bool(lost)):
            found += self._search(frame, found)
            self._frames_until_search = self.search_every
        self._frames_until_search -= 1
        self._tracks = [track for track, *_ in found]
        return sorted((self._seen(*one) for one in found), key=lambda face: face.identity)

    def _must_search(self, found: int, lost: bool) -> bool:
        if found >= self.max_faces:
            return False
        return not self.tracking or lost or not found or self._frames_until_search <= 0

    def _follow(self, frame: np.ndarray, track: _Track) -> _Look | None:
        """Returns a track's face in the next frame, or None where it is not there any more."""
        try:
            # Where the points will be, not where they were: else a moving face lies off the middle of its crop, and its points drag behind.
            prediction = self.find(frame, track.look.five + track.velocity * (self._time_s - track.seen_s))
        except ZooError:  # its points left the picture
            return None
        if prediction.score < self.min_score:
            return None
        try:
            look, last = _Look.of(prediction, frame), track.look
        except ZooError:  # points that lie like no face
            return None
        growth = look.eyes_px / max(last.eyes_px, 1e-9)
        plausible = 1 / _MOST_GROWTH < growth < _MOST_GROWTH and _distance(look.centre, last.centre) < _SAME_PLACE * last.eyes_px
        return look if plausible and look.is_person(last) else None

    def _search(self, frame: np.ndarray, found: list) -> list:
        """Returns what the detector finds beside the faces that are followed already, each with its old identity or a new one."""
        taken, added = [look for _, look, _ in found], []
        for face in detect_faces(frame, self.detector_range):
            if len(found) + len(added) == self.max_faces:
                break
            look = self._first_look(frame, face)
            if look is None or any(_apart(look, other) < _ONE_FACE for other in taken):
                continue
            taken.append(look)
            added.append((self._identified(look), look, "detector"))
        return added

    def _first_look(self, frame: np.ndarray, face: Face) -> _Look | None:
        try:
            prediction = self.find.at(frame, face)
            return _Look.of(prediction, frame) if prediction.score >= self.min_score else None
        except ZooError:
            return None

    def _identified(self, look: _Look) -> _Track:
        """Returns the lost track in whose place a face is, or a new one."""
        near = [track for track in self._lost if _distance(track.look.centre, look.centre) < _SAME_PLACE * track.look.eyes_px]
        near = [track for track in near if look.is_person(track.look)]
        if near:
            track = min(near, key=lambda track: _distance(track.look.centre, look.centre))
            self._lost.remove(track)
            return track
        self._next_identity += 1
        smooth = OneEuroFilter(self.smoothing) if self.smoothing else None
        return _Track(self._next_identity - 1, look, self._time_s, np.zeros((5, 2)), smooth)

    def _seen(self, track: _Track, look: _Look, found_by: str) -> TrackedFace:
        since_s = self._time_s - track.seen_s
        followed = found_by == "tracking" and since_s > 0
        track.velocity = (look.five - track.look.five) / since_s if followed else np.zeros((5, 2))
        track.look, track.seen_s = look, self._time_s
        found, raw = look.prediction, look.prediction.points
        given = raw if track.filter is None else track.filter(raw, self._time_s, look.eyes_px)
        return TrackedFace(track.identity, replace(found, points=given), raw, found_by)


def _one_each(found: list) -> tuple[list, list]:
    """Returns the tracks that are on a face of their own, and those that slid onto another's: of two the older one stays."""
    kept, doubled = [], []
    for one in sorted(found, key=lambda one: one[0].identity):
        on_another = any(_apart(one[1], other[1]) < _ONE_FACE for other in kept)
        (doubled if on_another else kept).append(one)
    return kept, doubled


def _apart(look: _Look, other: _Look) -> float:
    """Returns the distance of two faces' centres in the larger eye distance."""
    return _distance(look.centre, other.centre) / max(look.eyes_px, other.eyes_px, 1e-9)


def _distance(point: np.ndarray, other: np.ndarray) -> float:
    return math.hypot(point[0] - other[0], point[1] - other[1])


def _grey(frame: np.ndarray, five: np.ndarray) -> np.ndarray:
    """Returns the looks of a face, (24 * 24,) float32: aligned, small, grey, without brightness and contrast."""
    crop = Alignment.from_five(five, _LOOKS_PX).crop(frame)
    grey = crop.reshape(-1, 3).astype(np.float32) @ _GREY
    grey -= grey.mean()
    return grey / max(float(np.sqrt(grey @ grey)), 1e-6)


def _summary() -> np.ndarray:
    """Returns what takes 106 points to their five naive points and their mean: (6, 106). One product is quicker than ten small means."""
    scheme = SCHEMES["106"]
    return np.vstack([scheme.five_points(np.eye(106)[:, :, None])[..., 0].T, np.full(106, 1 / 106)])


_SUMMARY = _summary()
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
