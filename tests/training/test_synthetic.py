"""Drawn faces: the same for the same seed, true to a twentieth of a pixel, in the scheme's order, and faces to a face detector."""

from dataclasses import replace

import cv2
import mediapipe
import numpy as np
import pytest

from training.synthetic.faces import draw_face, draw_head, draw_scene, synthetic_faces
from training.synthetic.look import sample_look, sample_shape
from training.synthetic.shape import FaceShape, Pose, flat_points, mesh_half_width, project_points
from zoo.schemes import get_scheme, to_scheme

TRUTH_PX = 0.05  # the promise of the drawing: it is used to measure sub-pixel decoders
MIRROR = get_scheme("106").mirror


@pytest.fixture(scope="module")
def detector():
    with mediapipe.solutions.face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5) as found:
        yield found


def _plain_head(pose: Pose, shape: FaceShape, **look: object) -> tuple[np.ndarray, np.ndarray]:
    """Returns a head under even light on grey, float32 (256, 256, 3), and its points."""
    even = replace(sample_look(np.random.default_rng(3)), ambient=1.08, gloss=0.0, make_up=0.0, hair_style="bald", catchlight=0.0, **look)
    image = np.full((256, 256, 3), 128, np.float32)
    points, _ = draw_head(image, shape, even, pose, np.random.default_rng(3), glasses=False)
    return image, points


def test_same_seed_same_picture_and_another_seed_another():
    a, b, c = draw_face(5), draw_face(5), draw_face(6)
    assert np.array_equal(a.image, b.image) and np.array_equal(a.points, b.points) and np.array_equal(a.visible, b.visible)
    assert not np.array_equal(a.image, c.image) and not np.array_equal(a.points, c.points)


def test_a_series_does_not_depend_on_its_length():
    short, long = list(synthetic_faces(2, seed=4, size=96)), list(synthetic_faces(3, seed=4, size=96))
    assert [len(short), len(long)] == [2, 3]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(short, long, strict=False))


@pytest.mark.parametrize("size", [64, 256, 301])
def test_shapes_and_types(size):
    face = draw_face(1, size, yaw=12, pitch=-3, roll=4)
    assert face.image.shape == (size, size, 3) and face.image.dtype == np.uint8
    assert face.points.shape == (106, 2) and face.points.dtype == np.float64
    assert face.visible.shape == (106,) and face.visible.dtype == bool
    assert (face.yaw_deg, face.pitch_deg, face.roll_deg) == (12, -3, 4)
    assert face.points.min() > 0 and face.points.max() < size


def test_points_scale_with_the_picture():
    small, large = draw_face(9, 128), draw_face(9, 256)
    np.testing.assert_allclose(small.points * 2, large.points, atol=1e-9)


def test_a_mirrored_face_has_mirrored_points():
    for seed in range(10):
        shape = sample_shape(np.random.default_rng(seed))
        points = project_points(shape, Pose(24, 9, 6, 1.3, (100, 90)))
        mirrored = project_points(shape.mirrored(), Pose(-24, 9, -6, 1.3, (-100, 90)))
        np.testing.assert_allclose(mirrored[MIRROR] * (-1, 1, 1), points, atol=1e-9)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (-22, 8, 15), (22, -8, -15)])
def test_truth_is_exact_at_the_pupils(yaw, pitch, roll):
    """The difference that the colour of the pupils makes is a small disc, too small for the eyeball's curve to move its centroid."""
    shape = replace(FaceShape(), eye_height=26.0, eye_open=(1.0, 1.0), iris_radius=4.5, gaze=(0.6, 0.0))
    pose = Pose(yaw, pitch, roll, 0.93, (127.3, 120.8), distance=1e5)
    dark, points = _plain_head(pose, shape, pupil=(10.0, 10.0, 10.0))
    light, _ = _plain_head(pose, shape, pupil=(230.0, 230.0, 230.0))
    disc = np.abs(light - dark).sum(-1)
    for index, eye in ((104, slice(66, 74)), (105, slice(75, 83))):
        (x0, y0), (x1, y1) = np.floor(points[eye].min(0)).astype(int) - 3, np.ceil(points[eye].max(0)).astype(int) + 3
        part = disc[y0:y1, x0:x1]
        assert part.max() > 50
        y, x = np.mgrid[y0:y1, x0:x1] + 0.5
        centroid = np.array([(part * x).sum(), (part * y).sum()]) / part.sum()
        assert np.abs(centroid - points[index]).max() < TRUTH_PX


def test_truth_is_exact_at_the_contour():
    """Seen straight on, the outline of the jaw is where the picture turns from grey to skin; averaged over rows below the ears."""
    shape, scale, middle_y = FaceShape(), 0.93, 120.8
    errors = []
    for middle in (127.1, 127.3, 127.6, 127.8):
        image, points = _plain_head(Pose(0, 0, 0, scale, (middle, middle_y), distance=1e6), shape, beard=0.0)

        def half_width(y: np.ndarray) -> np.ndarray:
            return scale * mesh_half_width(shape, (y - middle_y) / scale)

        np.testing.assert_allclose(points[32:20:-1, 0] - middle, half_width(points[:12, 1]), atol=0.01)
        np.testing.assert_allclose(middle - points[:12, 0], half_width(points[:12, 1]), atol=0.01)
        for row in range(int(points[6, 1]), int(points[8, 1])):  # where the jaw is wider than the neck
            line = image[row].sum(-1)
            for outward in (-1, 1):
                edge = middle + outward * float(half_width(np.array(row + 0.5)))
                at = int(edge)
                grey, skin = line[at + 2 * outward], line[at - outward]
                assert abs(skin - grey) > 30
                covered = ((line[at - 1 : at + 2] - grey) / (skin - grey)).sum()  # how many of three pixels are skin
                found = at - 1 + covered if outward > 0 else at + 2 - covered
                errors.append(outward * (found - edge))
    assert len(errors) > 50
    assert abs(np.mean(errors)) < TRUTH_PX
    assert np.abs(errors).max() < 0.45  # a sample of the picture at twice its resolution is half a pixel wide


def test_order_is_the_schemes():
    """x to the right, y down: the relations that tell one order of the 106 points from another."""
    for seed in range(20):
        shape = replace(sample_shape(np.random.default_rng(seed)), eye_open=(1.0, 1.0), mouth_open=6.0)
        p = flat_points(shape)
        x, y = p[:, 0], p[:, 1]
        assert (np.diff(x[3:30]) > 0).all() and y[16] == y.max()
        assert (np.diff(y[0:17]) > 0).all() and (np.diff(y[16:33]) < 0).all()
        assert (np.diff(x[33:38]) > 0).all() and (np.diff(x[38:42]) < 0).all()
        assert (np.diff(x[42:47]) > 0).all() and (np.diff(x[47:51]) < 0).all()
        assert (y[34:38] < y[[41, 40, 39, 38]]).all() and (y[42:46] < y[[50, 49, 48, 47]]).all()
        assert (np.diff(y[51:55]) > 0).all() and np.allclose(x[51:55], 0)
        assert (np.diff(y[55:58]) > 0).all() and (np.diff(y[[65, 64, 63]]) > 0).all()
        assert (x[55:58] < 0).all() and (x[63:66] > 0).all()
        assert (np.diff(x[57:64]) > 0).all() and y[60] == y[51:66].max()
        for eye in (66, 75):
            assert (np.diff(x[eye : eye + 5]) > 0).all() and (np.diff(x[[eye + 4, eye + 5, eye + 6, eye + 7, eye]]) < 0).all()
            assert y[eye + 2] < y[eye + 8] < y[eye + 6]
        assert np.array_equal(p[[74, 83]], p[[104, 105]])
        assert (np.diff(x[84:91]) > 0).all() and (np.diff(x[[*range(90, 96), 84]]) < 0).all()
        assert (np.diff(x[96:101]) > 0).all() and (np.diff(x[[*range(100, 104), 96]]) < 0).all()
        assert y[87] < y[98] < y[102] < y[93]
        assert x[84] < x[96] and x[100] < x[90]


@pytest.mark.parametrize(
    ("points", "shares"),
    [(range(17), np.linspace(0, 1, 17)), ((84, 85, 86, 87), (0, 0.39, 0.79, 1)), ((93, 94, 95, 84), (0, 0.36, 0.68, 1)),
     ((96, 97, 98), (0, 0.42, 1)), ((102, 103, 96), (0, 0.57, 1)), ((51, 52, 53, 54), (0, 1 / 3, 2 / 3, 1))],
)  # fmt: skip
def test_points_lie_along_their_curves_where_people_mark_them(points, shares):
    """Shares of the length, means of ten frontal faces that carry JD-landmark's points (the same on the right side, by the mirror)."""
    for seed in range(20):
        line = flat_points(sample_shape(np.random.default_rng(seed)))[list(points)]
        lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        np.testing.assert_allclose(lengths / lengths[-1], shares, atol=0.03)


def test_the_contour_starts_above_the_outer_corners_of_the_eyes():
    """Where JD-landmark's does: about 0.09 of the distance between these above them, and well above the first of 68 points."""
    starts = [flat_points(sample_shape(np.random.default_rng(seed))) for seed in range(40)]
    above = np.mean([(p[[66, 79], 1].mean() - p[[0, 32], 1].mean()) / np.linalg.norm(p[66] - p[79]) for p in starts])
    assert above == pytest.approx(0.09, abs=0.03)
    assert all(p[0, 1] < to_scheme(p, "68")[0, 1] < p[2, 1] for p in starts)


def test_turning_the_head_moves_the_nose_the_way_it_turns():
    right, left = draw_face(2, yaw=30, pitch=0, roll=0).points, draw_face(2, yaw=-30, pitch=0, roll=0).points
    lean = [(p[54, 0] - p[[0, 32], 0].mean()) / np.ptp(p[:33, 0]) for p in (right, left)]
    assert lean[0] > 0.15 and lean[1] < -0.15
    up, down = draw_face(2, yaw=0, pitch=15, roll=0).points, draw_face(2, yaw=0, pitch=-15, roll=0).points
    rise = [(p[54, 1] - p[[70, 75], 1].mean()) / (p[16, 1] - p[54, 1]) for p in (up, down)]
    assert rise[0] < rise[1]
    level = draw_face(2, yaw=0, pitch=0, roll=20).points
    across = level[83] - level[74]
    assert 10 < np.degrees(np.arctan2(across[1], across[0])) < 30


def test_visible_says_what_the_head_hides():
    shape, turned = FaceShape(), Pose(55, 0, 0, 0.9, (128, 120))
    look = replace(sample_look(np.random.default_rng(0)), hair_style="bald")
    image = np.zeros((256, 256, 3), np.float32)
    _, visible = draw_head(image, shape, look, turned, np.random.default_rng(0), glasses=False)
    assert visible[[66, 68, 70, 84, 54]].all()  # the near eye, the near mouth corner, the tip of the nose
    assert not visible[63]  # the far wing is behind the nose
    outside, seen = draw_head(image, shape, look, replace(turned, centre=(-40.0, 120.0)), np.random.default_rng(0), glasses=False)
    assert not seen[outside[:, 0] < 0].any() and (outside[:, 0] < 0).any()


def test_a_detector_finds_the_faces(detector):
    seeds = range(20)
    yaws = np.linspace(-30, 30, len(seeds))
    found = [bool(detector.process(draw_face(seed, yaw=yaw).image).detections) for seed, yaw in zip(seeds, yaws, strict=True)]
    assert np.mean(found) >= 0.85


def test_a_detector_finds_everyone_in_a_scene(detector):
    everyone = 0
    for seed in range(4):
        image, people = draw_scene(seed, faces=3)
        assert image.shape == (500, 900, 3) and image.dtype == np.uint8
        assert [points.shape for points in people] == [(106, 2)] * 3
        middles = [points[54, 0] for points in people]
        assert middles == sorted(middles)
        everyone += len(detector.process(image).detections or []) == 3
    assert everyone >= 3


def test_faces_vary():
    faces = list(synthetic_faces(24, seed=1, size=128))
    assert np.std([face.yaw_deg for face in faces]) > 8 and np.std([face.roll_deg for face in faces]) > 3
    cheeks = []
    for face in faces:
        x, y = face.points[[57, 63, 54]].mean(0).astype(int)
        cheeks.append(cv2.mean(face.image[y - 3 : y + 4, x - 3 : x + 4])[1])
    assert np.ptp(cheeks) > 60
    opening = [np.linalg.norm(f.points[68] - f.points[72]) / np.linalg.norm(f.points[66] - f.points[79]) for f in faces]
    assert np.ptp(opening) > 0.04
