"""What the page compares is what the zoo gives: the same points, every published file, marks by hand, honest times."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import zoo
from demo import compare, samples
from demo.compare import ModelFile
from zoo import cards
from zoo.cards import published, weights_folder
from zoo.errors import ZooError
from zoo.schemes import get_scheme

FILES = compare.model_files()


def test_every_published_file_is_listed_and_can_be_opened():
    there = {path for name in published() for path in weights_folder(name).glob("*.tflite")}
    assert {file.path for file in FILES} == there and len(FILES) == len(there)
    assert all(compare.open_landmarker(file).size == zoo.get(file.name).size for file in FILES[:3])


@pytest.mark.parametrize("name", ["Portrait", "Group"])
def test_findings_are_exactly_what_the_landmarker_gives(name):
    image = samples.draw_sample(name).image
    file = next(file for file in FILES if file.precision == "int8")
    find = zoo.load(file.name, file.precision)
    expected = find.detect(image, search="thorough")
    positions = compare.find_faces(image)
    assert len(positions) == len(expected) > 0
    for position, face in zip(positions, expected, strict=True):
        found = compare.find_points(compare.open_landmarker(file), image, position)
        np.testing.assert_array_equal(found.points, face.points)
        np.testing.assert_array_equal(found.scores, face.scores)
        assert found.as_prediction(position).box == face.box and found.forward_ms > 0


def test_five_points_by_hand_are_exactly_a_call_with_five_points():
    drawn = samples.draw_sample("Portrait")
    five = get_scheme("106").five_points(drawn.truth[0])
    find = compare.open_landmarker(FILES[0])
    found = compare.find_points(find, drawn.image, compare.face_by_hand(five.tolist(), drawn.image.shape))
    np.testing.assert_array_equal(found.points, find(drawn.image, five).points)


def test_faces_of_a_large_picture_are_found_where_they_are():
    image = samples.draw_sample("Portrait").image
    (small,), (large,) = compare.find_faces(image), compare.find_faces(cv2.resize(image, None, fx=6, fy=6))
    apart = np.linalg.norm(large.five / 6 - small.five, axis=1)
    assert apart.max() < 0.05 * np.linalg.norm(small.five[1] - small.five[0])
    assert np.abs(np.array(large.box) / 6 - small.box).max() < 0.1 * (small.box[2] - small.box[0])


@pytest.mark.parametrize(
    ("five", "reason"),
    [
        ([(10, 10)] * 5, "near"),
        ([(60, 40), (30, 40), (45, 55), (55, 70), (35, 70)], "lie like a face"),
        ([(1, 1), (2, 2)], "shape"),
        ([(x + 900, y + 900) for x, y in [(30, 40), (60, 40), (45, 55), (35, 70), (55, 70)]], "outside"),
        ([(float("nan"), 1)] * 5, "finite"),
    ],
)
def test_points_by_hand_that_mark_no_face_are_refused_in_one_line(five, reason):
    with pytest.raises(ZooError, match=reason) as error:
        compare.face_by_hand(five, (100, 100, 3))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["12.5, 7", "12.5 7", " 12.5;7 ", "12.5,7"])
def test_a_typed_point_may_be_separated_in_any_way(text):
    assert compare.parse_point(text) == (12.5, 7.0)


@pytest.mark.parametrize("text", ["", "12", "1, 2, 3", "x, y"])
def test_a_typed_point_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(ZooError, match="such as '120, 96'"):
        compare.parse_point(text)


def test_first_choice_shows_what_there_is_to_choose_from():
    names = ("a.open", "b.open", "c.research")
    files = [ModelFile(name, precision) for name in names for precision in cards.FILES]
    int8 = [ModelFile(name, "int8") for name in names]
    costs, errors = dict(zip(names, (1e6, 9e6, 5e6), strict=True)), dict(zip(int8, (4.0, 3.0, 2.0), strict=True))
    assert compare.first_choice(files, costs, errors) == [int8[0], int8[2], int8[1]]
    assert compare.first_choice(files, costs, errors, 4)[3] == ModelFile("a.open", "float32")
    assert compare.first_choice(files[:4], costs, errors) == [int8[0], int8[1], ModelFile("a.open", "float32")]
    assert compare.first_choice(files[:1], {}, {}) == files[:1]
    assert compare.first_choice([], {}, {}) == []
    only_float = [ModelFile("a.open", "float32")]
    assert compare.first_choice(only_float, {}, {}) == only_float


def test_files_are_timed_in_turns_and_within_the_time_given():
    calls = []

    class Slow:
        size, maps = 8, None

        def __init__(self, name):
            self.name = name

        def forward(self, crop):
            assert crop.shape == (8, 8, 3) and crop.dtype == np.uint8
            calls.append(self.name)

    files = [ModelFile("a.open", "int8"), ModelFile("b.open", "int8")]
    times = compare.time_in_turns({file: Slow(file.name) for file in files}, calls=7)
    assert {len(t) for t in times.values()} == {7} and all(ms >= 0 for t in times.values() for ms in t)
    assert all(sorted(calls[i : i + 2]) == ["a.open", "b.open"] for i in range(0, len(calls), 2))
    assert len({tuple(calls[i : i + 2]) for i in range(0, len(calls), 2)}) == 2, "the order changes from round to round"
    assert {len(t) for t in compare.time_in_turns({file: Slow(file.name) for file in files}, budget_s=0).values()} == {compare.MIN_CALLS}
    assert compare.time_in_turns({}) == {}


def test_percentiles_need_enough_calls():
    assert compare.percentiles_ms([1.0] * (compare.MIN_CALLS - 1)) is None
    p50, p90 = compare.percentiles_ms(list(range(101)))
    assert (p50, p90) == (50, 90)


def test_drift_is_in_percent_of_the_eye_distance():
    truth = samples.draw_sample("Portrait").truth[0]
    step = 0.1 * compare.eye_distance(truth)
    np.testing.assert_allclose(compare.drift_percent(truth + [step, 0], truth), 10)
    assert compare.drift_percent(truth, truth).max() == 0
    rows = compare.part_rows(truth, truth + [0, step])
    assert all(abs(row["mean %"] - 10) < 1e-9 and abs(row["largest px"] - step) < 1e-9 for row in rows)


def test_the_truth_is_that_of_the_face_looked_at():
    truth = samples.draw_sample("Group").truth
    for face in truth:
        assert compare.nearest_truth(face + 1.5, truth) is not None
        np.testing.assert_array_equal(compare.nearest_truth(face + 1.5, truth), face)
    assert compare.nearest_truth(truth[0] - 5000, truth) is None
    assert compare.nearest_truth(truth[0], None) is None


def test_samples_are_the_same_every_time_and_found_by_the_detector():
    for name in samples.NAMES:
        drawn = samples.draw_sample(name)
        assert drawn is samples.draw_sample(name) and not drawn.image.flags.writeable
        assert len(compare.find_faces(drawn.image)) == len(drawn.truth)
    with pytest.raises(ZooError, match="Portrait"):
        samples.draw_sample("Portrat")
