"""All faces are found, large and small, with points where they are, and no other library's start-up is paid for it."""

import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from training.synthetic.faces import draw_face, draw_scene
from zoo import detector
from zoo.blazeface import network
from zoo.detector import RANGES, SEARCHES, detect_faces
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


def rotated(image, points, degrees):
    """Returns the picture turned clockwise in a frame that holds it all, and its points there."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    height, width = image.shape[:2]
    side_x, side_y = np.ceil(np.abs(turn) @ [width, height] - 1e-6).astype(int)
    offset = np.array([side_x, side_y]) / 2 - turn @ [width / 2, height / 2]
    matrix = np.column_stack([turn, offset + turn @ [0.5, 0.5] - 0.5])
    return cv2.warpAffine(image, matrix, (int(side_x), int(side_y)), borderValue=(90, 90, 90)), points @ turn.T + offset


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
    """Stands for a network: the only face is the bright blob, exactly at its centre of gravity; its score and roll as asked."""

    side_step_px = 16

    def __init__(self, score=0.95, eyes_px=30.0):
        self.score, self.eyes_px, self.windows = score, eyes_px, []

    def find(self, window):
        self.windows.append(window.shape[:2])
        bright = np.clip(window[..., 0].astype(np.float64) - 60, 0, None)
        if bright.sum() < 200:
            return []
        y, x = np.mgrid[: bright.shape[0], : bright.shape[1]] + 0.5
        centre = np.array([(x * bright).sum(), (y * bright).sum()]) / bright.sum()
        radius = max(2 * np.sqrt(max((((x - centre[0]) ** 2) * bright).sum() / bright.sum(), 1)), 8)
        eyes = [(-self.eyes_px / 2, 0), (self.eyes_px / 2, 0), (0, 0), (0, 0)]
        return [(np.concatenate([[centre - radius, centre + radius], centre + eyes]), self.score)]


@pytest.mark.parametrize("shape", [(300, 300), (333, 201), (701, 1001), (448, 448)])
@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("sure", [True, False])
def test_no_resampling_displaces_the_points(monkeypatch, shape, search, sure):
    # MediaPipe's own sampling would be off by almost half a pixel of the network's input.
    finder = BlobFinder(0.95 if sure else 0.7)
    monkeypatch.setattr(detector, "network", lambda name: finder)
    centre = np.array([0.371 * shape[1], 0.437 * shape[0]])
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    sigma = max(shape) / 20
    blob = 250 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    faces = detect_faces(np.repeat(np.rint(blob).astype(np.uint8)[..., None], 3, 2), search=search)
    assert len(faces) == 1 and np.abs(faces[0].points[2] - centre).max() < 0.05 * sigma + 0.3


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_window_is_turned_back_exactly(quarters):
    image = np.zeros((30, 50, 3), np.uint8)
    image[7, 11] = 255
    y, x = np.argwhere(np.rot90(image, quarters)[..., 0])[0]
    back = detector._turned_back(np.array([[x + 0.5, y + 0.5]]), quarters, image.shape)
    np.testing.assert_allclose(back, [[11.5, 7.5]])


@pytest.mark.parametrize("degrees", np.arange(0, 360, 15).tolist())
def test_faces_any_way_up_are_found_with_their_points(degrees):
    for seed in (5, 9):
        portrait = draw_face(seed, 300, yaw=0, pitch=0, roll=0)
        image, points = rotated(portrait.image, portrait.points, degrees)
        (face,) = detect_faces(image)
        assert errors(face, points).max() < POINT_TOLERANCE


def test_a_small_face_upside_down_beside_an_upright_one_is_found_so():
    large, small = draw_face(5, 400, yaw=0, pitch=0, roll=0), draw_face(9, 120, yaw=0, pitch=0, roll=0)
    picture = np.full((500, 700, 3), 140, np.uint8)
    picture[50:450, 20:420] = large.image
    turned, points = rotated(small.image, small.points, 180)
    picture[200:320, 520:640] = turned
    first, second = detect_faces(picture, search="thorough")
    assert errors(first, large.points + [20, 50]).max() < POINT_TOLERANCE
    assert errors(second, points + [520, 200]).max() < POINT_TOLERANCE


def test_a_sure_upright_face_costs_one_call_for_each_scale(monkeypatch):
    one = BlobFinder(0.95)
    monkeypatch.setattr(detector, "network", lambda name: one)
    y, x = np.mgrid[:448, :448] + 0.5
    blob = 250 * np.exp(-((x - 200) ** 2 + (y - 210) ** 2) / (2 * 40**2))
    detect_faces(np.repeat(np.rint(blob).astype(np.uint8)[..., None], 3, 2))
    assert one.windows == [(240, 240), (96, 96)]


@pytest.mark.parametrize("shape", [(150, 20_000), (1_000, 30_000), (2_000, 3_000), (16, 9_000)])
def test_the_work_is_bounded_by_the_pictures_pixels(monkeypatch, shape):
    one = BlobFinder()
    monkeypatch.setattr(detector, "network", lambda name: one)
    dark = np.broadcast_to((np.arange(shape[1]) % 50).astype(np.uint8)[None, :, None], (*shape, 3))  # no blob, and not of one colour
    assert detect_faces(dark, search="thorough") == []
    assert max(map(max, one.windows)) <= detector.TILE_PX
    # All scales have less than 1.1 times the finest one's pixels, and tiles that overlap twice as many; what is searched again when nothing
    # was found is bounded by itself. A strip of few pixels is a row of tiles that are black but for it.
    width = max(min(shape), 48)
    assert sum(h * w for h, w in one.windows) < 1.1 * 2 * 0.7**2 * width * max(shape) + 1_500_000


def test_a_picture_of_too_many_pixels_is_refused_in_one_line():
    huge = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (20_000, 20_000, 3))
    with pytest.raises(ZooError, match="400 megapixels; at most 100 are") as error:
        detect_faces(huge)
    assert "\n" not in str(error.value)


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
    faces = detect_faces(picture, search="thorough")
    assert sum(found(faces, points) for points in truths) == len(truths) == len(faces)


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


@pytest.mark.parametrize("search", SEARCHES)
def test_a_higher_minimum_score_only_leaves_faces_out(search):
    image, _ = draw_scene(3, faces=5, width=1200, height=600)
    everything = detect_faces(image, min_score=0.01, search=search)
    assert len(everything) >= 5
    for least in (0.3, 0.5, 0.8, *(face.score for face in everything), 0.99, 1.0):
        some, kept = detect_faces(image, min_score=least, search=search), [face for face in everything if face.score >= least]
        assert [(face.box, face.score) for face in some] == [(face.box, face.score) for face in kept]
        assert all(np.array_equal(a.points, b.points) for a, b in zip(some, kept, strict=True))


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
    table, score = network("short").find(image)[0]
    points = [(128 * point.x, 128 * point.y) for point in expected.location_data.relative_keypoints[:4]]
    # Both run the same float32 graph, on different builds of XNNPACK; anchors from 0.3 instead of 0.5 on are averaged here.
    np.testing.assert_allclose(table[2:], points, atol=0.3)
    assert score == pytest.approx(expected.score[0], abs=1e-3)


def test_detecting_imports_no_mediapipe_and_prints_nothing():
    code = (
        "import sys, numpy as np; from zoo.detector import detect_faces; detect_faces(np.zeros((200, 300, 3), np.uint8)); "
        "print(*[name for name in ('mediapipe', 'tensorflow', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr.strip()) == ("", "")


