"""All faces are found, large and small, with points where they are, and no other library's start-up is paid for it."""

import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from training.synthetic.faces import draw_face, draw_scene
from zoo import detector
from zoo.detector import RANGES, detect_faces
from zoo.errors import ZooError
from zoo.schemes import get_scheme

# As a share of the distance between the eyes. Detector and labels mean slightly different spots, the nose and mouth most.
EYE_TOLERANCE = 0.15
POINT_TOLERANCE = 0.3
# The same face in another frame: what is left after the second look.
FRAME_TOLERANCE = 0.06


def four_points(points):
    five = get_scheme("106").five_points(points)
    return np.vstack([five[:3], five[3:].mean(0)])


def errors(face, points):
    """Distances of the detector's four points from the truth, as shares of the eye distance."""
    truth = four_points(points)
    return np.linalg.norm(face.points - truth, axis=1) / np.linalg.norm(truth[1] - truth[0])


def found(faces, points):
    return any(errors(face, points).max() < POINT_TOLERANCE for face in faces)


@pytest.fixture(scope="module")
def portrait():
    return draw_face(5, 400, yaw=0, pitch=0, roll=0)


@pytest.mark.parametrize("range", RANGES)
def test_a_portrait_gives_one_face_with_its_points(portrait, range):
    (face,) = detect_faces(portrait.image, range)
    assert errors(face, portrait.points)[:2].max() < EYE_TOLERANCE
    assert errors(face, portrait.points).max() < POINT_TOLERANCE
    assert 0.5 <= face.score <= 1
    x0, y0, x1, y1 = face.box
    assert (face.points > [x0, y0]).all() and (face.points < [x1, y1]).all()


@pytest.mark.parametrize("roll", [-30, 30])
def test_tilted_heads_keep_the_order_of_their_points(roll):
    portrait = draw_face(5, 400, yaw=0, pitch=0, roll=roll)
    (face,) = detect_faces(portrait.image)
    assert errors(face, portrait.points).max() < POINT_TOLERANCE


def test_points_scale_with_the_picture(portrait):
    # Edge-based: twice the picture has its points at exactly twice the place, without a half pixel in between.
    (face,) = detect_faces(portrait.image)
    (large,) = detect_faces(cv2.resize(portrait.image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
    eyes = np.linalg.norm(face.points[1] - face.points[0])
    assert np.abs(large.points / 3 - face.points).max() < FRAME_TOLERANCE * eyes


class BlobFinder:
    """Stands for a network: the only face is the bright blob, exactly at its centre of gravity."""

    size = 128

    def find(self, window, min_score, origin, scale):
        bright = window[..., 0].astype(np.float64)
        if bright.sum() < 200:
            return []
        y, x = np.mgrid[:128, :128] + 0.5
        centre = np.array([(x * bright).sum(), (y * bright).sum()]) / bright.sum()
        radius = 2 * np.sqrt(max((((x - centre[0]) ** 2) * bright).sum() / bright.sum(), 1))
        low, high = (centre - radius + origin) / scale, (centre + radius + origin) / scale
        return [detector.Face(np.tile((centre + origin) / scale, (4, 1)), (*low, *high), 0.9)]


@pytest.mark.parametrize("shape", [(300, 300), (333, 201), (700, 1501)])
@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize("second_look", [True, False])
def test_no_resampling_displaces_the_points(monkeypatch, shape, tiles, second_look):
    # MediaPipe's own sampling would be off by almost half a pixel of the network's input.
    monkeypatch.setattr(detector, "_network", lambda name: BlobFinder())
    if not second_look:
        monkeypatch.setattr(detector, "_second_look", lambda face, *rest: face)
    centre = np.array([0.371 * shape[1], 0.437 * shape[0]])
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    sigma = max(shape) / 20
    blob = 250 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    faces = detect_faces(np.repeat(np.rint(blob).astype(np.uint8)[..., None], 3, 2), "short", tiles=tiles)
    input_px = max(shape) / 128
    assert np.abs(faces[0].points - centre).max() < 0.05 * input_px


@pytest.mark.parametrize(("width", "height"), [(1900, 800), (800, 1900)])
def test_small_faces_in_a_large_picture_are_all_found(width, height):
    # Heads of 70 to 110 px, about 20 px and more between the eyes, which no network sees in the whole picture at once.
    picture = np.full((height, width, 3), (150, 160, 170), np.uint8)
    rng = np.random.default_rng(0)
    truths = []
    for index, (x, y) in enumerate((x, y) for y in range(20, height - 220, 330) for x in range(20, width - 220, 330)):
        face = draw_face(100 + index, 400, yaw=0, pitch=0, roll=0)
        eyes = np.linalg.norm(np.diff(four_points(face.points)[:2], axis=0))
        scale = rng.uniform(21, 32) / eyes
        small = cv2.resize(face.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x, y = x + rng.integers(0, 60), y + rng.integers(0, 60)
        picture[y : y + small.shape[0], x : x + small.shape[1]] = small
        truths.append(face.points * (np.array(small.shape[1::-1]) / 400) + [x, y])
    faces = detect_faces(picture)
    assert sum(found(faces, points) for points in truths) == len(truths) == len(faces)
    assert len(detect_faces(picture, tiles=False)) < len(truths)


def test_faces_come_largest_first_and_each_once():
    image, truths = draw_scene(3, faces=3, width=1200, height=600)
    faces = detect_faces(image)
    assert len(faces) == 3 and all(found(faces, points) for points in truths)
    widths = [face.box[2] - face.box[0] for face in faces]
    assert widths == sorted(widths, reverse=True)


def test_a_very_tight_crop_is_padded_until_the_face_is_seen(portrait):
    low, high = portrait.points[33:104].min(0).astype(int) - 4, portrait.points[33:104].max(0).astype(int) + 4
    tight = portrait.image[low[1] : high[1], low[0] : high[0]]
    faces = detect_faces(tight)
    assert faces and errors(faces[0], portrait.points - low).max() < POINT_TOLERANCE


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 3), (64, 64), (700, 900)])
def test_pictures_without_a_face_give_none(shape):
    assert detect_faces(np.full((*shape, 3), 128, np.uint8)) == []
    assert detect_faces(np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)) == []


def test_grey_and_sixteen_bit_pictures_serve(portrait):
    grey = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY)
    for image in (grey, grey.astype(np.uint16) * 257):
        assert found(detect_faces(image), portrait.points)


def test_a_higher_minimum_score_leaves_faces_out(portrait):
    (face,) = detect_faces(portrait.image)
    assert len(detect_faces(portrait.image, min_score=face.score - 0.001)) == 1
    assert detect_faces(portrait.image, min_score=face.score + 0.001) == []


def test_wrong_options_are_named():
    image = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(ZooError, match="did you mean 'short'"):
        detect_faces(image, "shrt")
    for score in (0, -1, 1.5, float("nan")):
        with pytest.raises(ZooError, match="minimum score"):
            detect_faces(image, min_score=score)
    with pytest.raises(ZooError, match="shape"):
        detect_faces(np.zeros((9, 9)))


def test_threads_may_share_the_detector(portrait):
    (alone,) = detect_faces(portrait.image)
    results = []
    threads = [threading.Thread(target=lambda: results.append(detect_faces(portrait.image))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for (face,) in results:
        np.testing.assert_array_equal(face.points, alone.points)


def test_on_its_own_input_the_network_answers_as_mediapipe_does(portrait):
    # At 128 px nothing is resampled, so that both see the same numbers.
    from mediapipe.python.solutions.face_detection import FaceDetection

    image = cv2.resize(portrait.image, (128, 128), interpolation=cv2.INTER_AREA)
    with FaceDetection(model_selection=0, min_detection_confidence=0.5) as reference:
        (expected,) = reference.process(image).detections
    (face,) = detector._look(detector._network("short"), image, 0.5)
    points = [(128 * point.x, 128 * point.y) for point in expected.location_data.relative_keypoints[:4]]
    # Both run the same float32 graph, on different builds of XNNPACK.
    np.testing.assert_allclose(face.points, points, atol=0.02)
    assert face.score == pytest.approx(expected.score[0], abs=1e-3)


def test_detecting_imports_no_mediapipe_and_prints_nothing():
    code = (
        "import sys, numpy as np; from zoo.detector import detect_faces; detect_faces(np.zeros((200, 300, 3), np.uint8)); "
        "print(*[name for name in ('mediapipe', 'tensorflow', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr.strip()) == ("", "")


def test_a_missing_mediapipe_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(detector, "mediapipe_file", lambda name: None)
    detector._open.cache_clear()
    try:
        with pytest.raises(ZooError, match=r"mediapipe.*five points"):
            detect_faces(np.zeros((9, 9, 3), np.uint8))
    finally:
        detector._open.cache_clear()
