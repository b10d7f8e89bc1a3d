"""From picture to points through any network, exact to a tenth of a pixel, and light to import."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zoo
from training.synthetic.faces import draw_face, draw_scene
from zoo import cards
from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE, Alignment
from zoo.detector import Face, detect_faces
from zoo.errors import ZooError
from zoo.heatmaps import encode
from zoo.landmarker import Landmarker
from zoo.schemes import SCHEMES

ROOT = Path(__file__).parents[2]
POINT_PX = 0.1
STRIDE = 4
HEAVY = ("tensorflow", "keras", "tf_keras", "mediapipe", "matplotlib", "streamlit", "scipy", "PIL", "tqdm")


def face(angle_deg=0.0, eyes_px=40.0, at=(160.0, 120.0), template=LABEL_TEMPLATE):
    """Returns four points of a face with a given distance of the eyes."""
    z = (template - template.mean(0)) @ [1, 1j] * np.exp(1j * np.deg2rad(angle_deg)) * eyes_px / np.ptp(template[:2, 0])
    return np.column_stack([z.real, z.imag]) + at


def with_corners(four):
    across = (four[1] - four[0]) * 0.35
    return np.vstack([four[:3], four[3] - across, four[3] + across])


class KnownFace:
    """A network that gives perfect heat maps of known image points, whatever the crop shows."""

    def __init__(self, alignment, count=106, seed=0):
        margin = 3.5 * STRIDE
        crop_points = np.random.default_rng(seed).uniform(margin, alignment.size - margin, (count, 2))
        self.maps = encode(crop_points / STRIDE, alignment.size // STRIDE)
        self.image_points = alignment.to_image(crop_points)
        self.crops = []

    def __call__(self, crop):
        self.crops.append(crop)
        return self.maps


@pytest.mark.parametrize("size", [96, 128, 192])
@pytest.mark.parametrize("angle", [0, 30, -75, 180])
@pytest.mark.parametrize("eyes_px", [15.0, 40.0, 90.0])
def test_points_come_back_in_the_pictures_pixels(size, angle, eyes_px):
    five = with_corners(face(angle, eyes_px))
    network = KnownFace(Alignment.from_five(five, size))
    found = Landmarker.of_maps(network, size)(np.zeros((240, 320, 3), np.uint8), five)
    assert np.linalg.norm(found.points - network.image_points, axis=1).max() < POINT_PX
    assert found.points.shape == (106, 2) and found.points.dtype == np.float64
    assert found.scores.shape == (106,) and found.score == pytest.approx(found.scores.mean()) and found.score > 0.99
    assert found.box is None and np.array_equal(found.five, five)
    assert network.crops[0].shape == (size, size, 3) and network.crops[0].dtype == np.uint8


@pytest.mark.parametrize("size", [96, 128, 192])
@pytest.mark.parametrize(("angle", "eyes_px"), [(0, 35.0), (25, 20.0), (-140, 90.0)])
def test_a_network_that_sees_the_pixels_finds_a_dot_in_the_picture(size, angle, eyes_px):
    """Nothing but the crop tells this network where the dot is: crop, grid and way back must agree."""

    def finds_the_brightest_spot(crop):
        mass = crop[..., 0].astype(float)
        x, y = ((mass.sum(axis) * (np.arange(size) + 0.5)).sum() / mass.sum() for axis in (0, 1))
        return encode(np.array([[x, y]]) / STRIDE, size // STRIDE)

    five = with_corners(face(angle, eyes_px))
    dot, sigma = five[2] + [3.37, -5.21], max(1.5, eyes_px / 15)
    columns, rows = np.meshgrid(np.arange(320) + 0.5, np.arange(240) + 0.5)
    grey = np.rint(250 * np.exp(-((columns - dot[0]) ** 2 + (rows - dot[1]) ** 2) / (2 * sigma**2))).astype(np.uint8)
    found = Landmarker.of_maps(finds_the_brightest_spot, size)(grey, five)
    assert np.linalg.norm(found.points[0] - dot) < POINT_PX


def test_pictures_of_other_kinds_are_converted():
    five = with_corners(face())
    network = KnownFace(Alignment.from_five(five, 96))
    find = Landmarker.of_maps(network, 96)
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (240, 320)).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, 2)
    opaque = np.dstack([rgb, np.full_like(grey, 255)])
    deep = rgb.astype(np.uint16) * 257
    for picture in (rgb, grey, grey[..., None], opaque, deep, np.asfortranarray(rgb), rgb[:, ::-1][:, ::-1]):
        find(picture, five)
        assert np.array_equal(network.crops[-1], network.crops[0])


def test_the_picture_is_left_as_it_was():
    five = with_corners(face())
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    before = picture.copy()
    Landmarker.of_maps(KnownFace(Alignment.from_five(five, 96)), 96)(picture, five)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        ("face.jpg", "read it first with zoo.images.read_image"),
        (None, "received NoneType"),
        (np.zeros((5, 5, 3), np.float32), "float32"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
        (np.zeros((2, 5, 5, 3), np.uint8), r"\(2, 5, 5, 3\)"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_one_line(picture, message):
    with pytest.raises(ZooError, match=message) as error:
        Landmarker(lambda crop: None, 96)(picture, with_corners(face()))
    assert "\n" not in str(error.value)


GOOD = with_corners(face())


@pytest.mark.parametrize(
    "five", [None, "nose", [[1, 2], [3]], GOOD[:3], GOOD * np.nan, np.full((5, 2), 7.0), GOOD + 900, GOOD - 900, GOOD[[1, 0, 2, 4, 3]]]
)  # fmt: skip
def test_points_that_mark_no_face_in_the_picture_are_refused_in_one_line(five):
    with pytest.raises(ZooError, match="five points") as error:
        Landmarker(lambda crop: None, 96)(np.zeros((240, 320, 3), np.uint8), five)
    assert "\n" not in str(error.value)


def test_five_points_may_be_plain_lists():
    network = KnownFace(Alignment.from_five(GOOD, 96))
    found = Landmarker.of_maps(network, 96)(np.zeros((240, 320, 3), np.uint8), GOOD.tolist())
    assert isinstance(found.five, np.ndarray) and np.allclose(found.five, GOOD)


def test_detected_faces_are_aligned_by_the_detectors_own_template(monkeypatch):
    fours = [face(10, 60, (100, 120), DETECTOR_TEMPLATE), face(-5, 30, (230, 120), DETECTOR_TEMPLATE)]
    asked = []

    def detect_faces(image, range, min_score, search):
        asked.append((range, min_score, search))
        return [Face(points=four, box=(1.0, 2.0, 3.0, index), score=0.9) for index, four in enumerate(fours)]

    monkeypatch.setattr("zoo.landmarker.detect_faces", detect_faces)
    network = KnownFace(Alignment.from_five(fours[0], 128, DETECTOR_TEMPLATE))
    find = Landmarker.of_maps(network, 128)
    found = find.detect(np.zeros((240, 320, 3), np.uint8), range="full", min_score=0.3, search="thorough", passes=1)
    assert asked == [("full", 0.3, "thorough")]
    assert [one.box for one in found] == [(1.0, 2.0, 3.0, 0), (1.0, 2.0, 3.0, 1)]
    assert np.linalg.norm(found[0].points - network.image_points, axis=1).max() < POINT_PX
    second = Alignment.from_five(fours[1], 128, DETECTOR_TEMPLATE)
    first = Alignment.from_five(fours[0], 128, DETECTOR_TEMPLATE)
    assert np.abs(second.to_crop(found[1].points) - first.to_crop(found[0].points)).max() < 1e-6


# ---- passes ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    return draw_face(5, 320, yaw=0, pitch=0, roll=0)


@pytest.fixture(scope="module")
def published():
    return zoo.load("mixed-035-128")


def displaced(five, rotation_deg, scale, shift):
    angle = np.deg2rad(rotation_deg)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (five - five.mean(0)) @ turn.T + five.mean(0) + shift


def test_a_second_pass_is_aligned_by_the_five_points_just_found_and_averaged_with_the_first(drawn, published):
    five = displaced(SCHEMES["106"].five_points(drawn.points), 9, 1.1, (4, -3))
    first = published(drawn.image, five)
    again = published(drawn.image, SCHEMES["106"].five_points(first.points))
    both = published(drawn.image, five, passes=2)
    assert np.abs(both.points - (first.points + again.points) / 2).max() < 1e-6 and np.array_equal(both.five, five)
    assert np.array_equal(published(drawn.image, five, passes=1).points, first.points)


def test_a_second_pass_makes_good_what_the_five_points_were_off(drawn, published):
    truth = SCHEMES["106"].five_points(drawn.points)
    exact = published(drawn.image, truth).points
    once, twice = (
        np.mean([np.abs(published(drawn.image, displaced(truth, *off), passes=passes).points - exact).mean()
                 for off in ((20, 1, 0), (-20, 1, 0), (0, 1.3, 0), (0, 0.8, 0), (0, 1, (12, 0)), (0, 1, (0, 12)))])
        for passes in (1, 2)
    )  # fmt: skip
    assert twice < 0.6 * once


def test_detected_faces_get_two_passes(drawn, published):
    (face,), (found,) = published.detect(drawn.image), detect_faces(drawn.image)
    assert np.array_equal(face.points, published.at(drawn.image, found, passes=2).points)
    assert not np.array_equal(face.points, published.at(drawn.image, found, passes=1).points)


def test_the_most_faces_are_the_first_of_all(published):
    image, _ = draw_scene(4, faces=3)
    faces = published.detect(image)
    assert len(faces) == 3
    for count in (1, 2, 3, 9):
        some = published.detect(image, max_faces=count)
        assert len(some) == min(count, 3) and all(np.array_equal(a.points, b.points) for a, b in zip(some, faces, strict=False))


@pytest.mark.parametrize(("options", "fault"), [({"passes": 0}, "passes must be at least 1"), ({"max_faces": 0}, "max_faces must be"),
                                                ({"search": "quick"}, "unknown search 'quick'.*fast")])  # fmt: skip
def test_options_that_are_not_possible_are_refused_in_one_line(drawn, published, options, fault):
    with pytest.raises(ZooError, match=fault) as error:
        published.detect(drawn.image, **options)
    assert "\n" not in str(error.value)


# ---- names -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mixd-035-128", "did you mean 'mixed-035-128."), ("deconv-035-182", "did you mean 'deconv-035-128."),
     ("mixed-035-128.opne", "did you mean 'open'"),
     ("mixed-035-128.mine", "unknown tag 'mine'"), ("", "unknown file, run or published weights ''"),
     ("none.tflite", "there is no file 'none.tflite'")],
)  # fmt: skip
def test_an_unknown_name_is_answered_with_the_nearest(name, hint):
    with pytest.raises(ZooError, match=re.escape(hint)) as error:
        zoo.load(name)
    assert "\n" not in str(error.value)


def test_an_unknown_precision_is_answered_with_the_possible():
    with pytest.raises(ZooError, match=r"unknown precision 'int16'.*int8, float32"):
        zoo.load("mixed-035-128", precision="int16")


def test_a_variant_without_published_weights_says_what_is_published(monkeypatch, tmp_path):
    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    with pytest.raises(ZooError, match=r"mixed-035-128\.open is not published; published: none"):
        zoo.load("mixed-035-128")
    (tmp_path / "deconv-035-128.research").mkdir()
    (tmp_path / "deconv-035-128.research" / "card.json").write_text("{}")
    with pytest.raises(ZooError, match=r"published: deconv-035-128\.research"):
        zoo.load("mixed-035-128", precision="float32")
    assert zoo.names(weights=True) == ["deconv-035-128.research"]


def test_a_name_with_a_tag_gives_the_shape_of_the_variant():
    assert zoo.get("mixed-035-128.research") is zoo.get("mixed-035-128")
    assert "mixed-035-128" in zoo.names()
    with pytest.raises(ZooError, match="did you mean 'mixed-035-128'"):
        zoo.get("mixed_035_128")


# ---- imports ---------------------------------------------------------------------------------------------------------------------------


def imported(code, *names):
    """Returns which of these packages a fresh interpreter holds after running `code`."""
    code += f"; import sys; print(*[name for name in {names!r} if name in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_importing_zoo_imports_only_numpy_opencv_and_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); import numpy, cv2; theirs = set(sys.modules); import zoo; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - theirs} - set(sys.stdlib_module_names)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert found == ["zoo"]


def test_running_a_network_imports_nothing_heavy():
    code = "import zoo, numpy; from zoo import schemes, costs, overlay; costs.count(zoo.get('mixed-035-128'))"
    assert not imported(code, *HEAVY)


def test_running_a_file_imports_no_framework():
    code = "import zoo.landmarker, zoo.runtime.interpreter\ntry: zoo.load('none.tflite')\nexcept zoo.ZooError: pass\nimport sys"
    assert not imported(code, "tensorflow", "keras", "tf_keras", "matplotlib", "streamlit")
