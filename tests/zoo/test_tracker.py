"""A face is followed by its own points, keeps its identity, is sought by the detector when it is lost, and is never two."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import zoo
from training.synthetic.faces import draw_face, draw_scene
from zoo import tracker as trackers
from zoo.alignment import Alignment
from zoo.cards import published
from zoo.errors import ZooError
from zoo.one_euro import Smoothing
from zoo.schemes import SCHEMES
from zoo.tracker import Tracker

SIZE = 320


@pytest.fixture(scope="module")
def find():
    return zoo.load("mixed-035-128")


@pytest.fixture(scope="module")
def face():
    return draw_face(11, SIZE, yaw=0, pitch=0, roll=0)


def carried(image: np.ndarray, shift: tuple[float, float], rotation_deg: float = 0.0, size: int = SIZE) -> tuple[np.ndarray, Alignment]:
    """The picture moved, and by what."""
    motion = Alignment(np.eye(2, 3), size).perturbed(rotation_deg)
    motion = Alignment(motion.matrix + np.column_stack([np.zeros((2, 2)), shift]), size)
    return motion.crop(image), motion


def eyes_px(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[66] - points[79]))


def test_a_moving_face_is_one_identity_and_its_points_move_along(find, face):
    track, reference = Tracker(find, smoothing=None), None
    for index in range(24):
        frame, motion = carried(face.image, (4 * np.sin(index / 3), 2 * np.sin(index / 4)), 3 * np.sin(index / 5))
        (seen,) = track(frame, index / 30)
        back = motion.to_image(seen.prediction.points)
        reference = back if reference is None else reference
        assert seen.identity == 0 and seen.found_by == ("detector" if index == 0 else "tracking")
        assert np.linalg.norm(back - reference, axis=1).mean() < 0.02 * eyes_px(reference)
        np.testing.assert_array_equal(seen.raw_points, seen.prediction.points)


def test_smoothing_changes_what_is_given_out_and_not_what_is_followed(find, face):
    plain, smooth = Tracker(find, smoothing=None), Tracker(find, smoothing=Smoothing(0.5, 0.0))
    for index in range(8):
        frame, _ = carried(face.image, (3.0 * index, 0))
        (raw,), (given,) = plain(frame, index / 30), smooth(frame, index / 30)
        np.testing.assert_array_equal(raw.raw_points, given.raw_points)
    assert np.linalg.norm(given.prediction.points - given.raw_points, axis=1).mean() > 1


def test_without_tracking_every_frame_is_the_detectors(find, face):
    track = Tracker(find, tracking=False)
    found = [track(carried(face.image, (index, 0))[0], index / 30) for index in range(4)]
    assert [(seen.identity, seen.found_by) for (seen,) in found] == [(0, "detector")] * 4


def test_a_face_that_jumps_is_found_again_by_the_detector(find, face):
    track = Tracker(find)
    small = np.full((SIZE, 3 * SIZE, 3), 90, np.uint8)
    left, right = small.copy(), small.copy()
    left[:, :SIZE], right[:, -SIZE:] = face.image, face.image
    assert [seen.found_by for seen in track(left, 0.0)] == ["detector"]
    assert [seen.found_by for seen in track(left, 0.1)] == ["tracking"]
    (seen,) = track(right, 0.2)
    assert (
        seen.found_by == "detector" and seen.prediction.points[:, 0].min() > 1.9 * SIZE and seen.identity == 1
    )  # another place: another face


def test_a_face_that_is_covered_for_a_moment_keeps_its_identity(find, face):
    track = Tracker(find)
    (first,) = track(face.image, 0.0)
    assert track(np.full_like(face.image, 90), 0.1) == []
    (again,) = track(face.image, 0.4)
    assert again.identity == first.identity and again.found_by == "detector"
    assert track(np.full_like(face.image, 90), 0.5) == []
    (late,) = track(face.image, 0.5 + 2 * trackers.LOST_S)
    assert late.identity == first.identity + 1


def test_several_faces_stay_apart_and_never_more_than_asked(find):
    image, truth = draw_scene(4, faces=3)
    track = Tracker(find, max_faces=3)
    where: dict[int, np.ndarray] = {}
    for index in range(6):
        found = track(np.roll(image, 2 * index, 1), index / 30)
        assert [seen.identity for seen in found] == [0, 1, 2]
        for seen in found:
            centre = seen.prediction.points.mean(0) - [2 * index, 0]
            assert np.linalg.norm(centre - where.setdefault(seen.identity, centre)) < 3
    assert sorted(int(np.argmin([np.linalg.norm(points.mean(0) - centre) for points in truth])) for centre in where.values()) == [0, 1, 2]
    assert len(Tracker(find, max_faces=2)(image, 0.0)) == 2


def test_two_identities_never_share_a_face(find, face):
    """Of two faces that become one, as where one walks behind the other, one identity remains."""
    wide = np.full((SIZE, 2 * SIZE, 3), 90, np.uint8)
    wide[:, :SIZE], wide[:, SIZE:] = face.image, face.image
    track = Tracker(find, max_faces=2)
    assert len(track(wide, 0.0)) == 2
    older, younger = track._tracks
    younger.look = older.look
    found = track(wide, 0.1)
    assert len({seen.identity for seen in found}) == len(found) == 2
    first, second = (seen.prediction.points.mean(0) for seen in found)
    assert np.linalg.norm(first - second) > 0.5 * SIZE


def test_a_new_face_is_noticed_and_a_cut_can_be_told(find, face):
    wide = np.full((SIZE, 2 * SIZE, 3), 90, np.uint8)
    wide[:, :SIZE] = face.image
    track = Tracker(find, search_every=3)
    counts = []
    for index in range(8):
        if index == 2:
            wide[:, SIZE:] = draw_face(12, SIZE, yaw=0, pitch=0, roll=0).image
        counts.append(len(track(wide, index / 30)))
    assert counts[:2] == [1, 1] and counts[-1] == 2 and counts == sorted(counts)
    track.reset()
    assert [seen.identity for seen in track(wide, 0.0)] == [2, 3]


def test_nothing_is_found_in_nothing(find):
    track = Tracker(find)
    assert track(np.full((90, 120, 3), 120, np.uint8), 0.0) == [] == track(np.zeros((90, 120, 3), np.uint8), 0.1)


@pytest.mark.parametrize("name", published())
def test_the_score_that_keeps_a_face_lies_between_faces_and_what_is_none(name):
    find = zoo.load(name)
    least = Tracker(find).min_score
    faces, noise = [draw_face(seed, SIZE) for seed in range(4)], np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    fives = [SCHEMES["106"].five_points(face.points) for face in faces]
    assert min(find(face.image, five).score for face, five in zip(faces, fives, strict=True)) > least
    for nothing in (np.full_like(noise, 120), noise, cv2.GaussianBlur(noise, (0, 0), 6)):
        assert find(nothing, fives[0]).score < least - 0.01


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"max_faces": 0}, "max_faces must be at least 1"), ({"search_every": 0}, "search_every"), ({"min_score": 2}, "0..1")],
)
def test_settings_that_are_not_possible_are_refused(find, settings, fault):
    with pytest.raises(ZooError, match=fault):
        Tracker(find, **settings)


@pytest.mark.parametrize("time_s", [float("nan"), float("inf"), -float("inf"), None, "1", True])
def test_a_time_that_is_no_finite_number_is_refused_in_one_line(find, face, time_s):
    track = Tracker(find)
    with pytest.raises(ZooError, match="finite number of seconds, received") as error:
        track(face.image, time_s)
    assert "\n" not in str(error.value)
    assert len(track(face.image, 0.0)) == 1


def test_a_cut_to_another_person_gives_a_new_identity(find, face):
    track = Tracker(find)
    identities = []
    for index, seed in enumerate((11, 11, 12, 12, 26, 26, 11)):
        (seen,) = track(draw_face(seed, SIZE, yaw=0, pitch=0, roll=0).image, index / 30)
        identities.append(seen.identity)
    assert identities[:6] == [0, 0, 1, 1, 2, 2] and identities[6] in (0, 3)


def test_time_goes_forward(find, face):
    track = Tracker(find)
    track(face.image, 1.0)
    with pytest.raises(ZooError, match="must be later than the last one's, received 1 s after 1 s"):
        track(face.image, 1.0)
