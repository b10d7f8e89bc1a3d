"""Points of 68 and 106 are read off the same curves: exact on parabolas, the same on both sides, undone by the way back, as people mark."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.sources import read_source
from training.synthetic.faces import draw_face
from zoo.schemes import SCHEMES, from_scheme, map_to, scores_as_scheme, to_scheme
from zoo.stations import CURVES, hermite_weights, map_68_to_106, map_106_to_68

MAPS = {"68 to 106": (map_68_to_106(), "68", "106"), "106 to 68": (map_106_to_68(), "106", "68")}
BROW_ENDS = (17, 21, 22, 26)  # of the 68, they lie beyond the 106's brows: gone on straight, not undone
# Shares of the outer eye corners' distance, for the way to 106 points and back.
ROUND_TRIP, ROUND_TRIP_BROW_ENDS = 0.015, 0.03
RESEARCH = Path(__file__).parents[3] / "shared" / "data" / "research"
# Human labels of one photograph in both schemes, of which some were marked on other crops: so well do the twelve common spots agree there.
SAME_PICTURE = 0.02

knots_lists = st.lists(st.floats(0.2, 3), min_size=2, max_size=8).map(lambda steps: np.concatenate([[0], np.cumsum(steps)]))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(knots_lists, st.floats(0, 1), st.tuples(*[st.floats(-5, 5)] * 3))
def test_a_parabola_is_read_off_exactly_by_four_points_at_most(knots, share, coefficients):
    at = share * knots[-1]
    weights = hermite_weights(knots, at)
    assert len(weights) <= 4 and sum(weights.values()) == pytest.approx(1)
    found = sum(weight * np.polyval(coefficients, knots[index]) for index, weight in weights.items())
    assert found == pytest.approx(np.polyval(coefficients, at), abs=1e-6)


@pytest.mark.parametrize("at", [-0.7, 4.3])
def test_beyond_its_ends_a_curve_goes_on_straight(at):
    knots = np.arange(5.0)
    end = 0.0 if at < 0 else 4.0
    weights = hermite_weights(knots, at)
    found = sum(weight * knots[index] ** 2 for index, weight in weights.items())
    assert found == pytest.approx(end**2 + 2 * end * (at - end))  # the tangent of x² there


def test_a_curve_passes_through_its_points():
    for knot in range(5):
        assert hermite_weights(np.arange(5.0), knot) == {knot: pytest.approx(1)}


def test_stations_rise_along_every_curve():
    assert all(low < high for curve in CURVES for low, high in pairwise(curve.stations.values()))
    reached = {point for curve in CURVES for point in curve.points_68}
    assert reached == set(range(68))


@pytest.mark.parametrize("name", MAPS)
def test_at_most_four_points_have_a_say_and_their_weights_sum_to_one(name):
    points, source, target = MAPS[name]
    assert points.indices.shape == points.weights.shape == (SCHEMES[target].count, 4)
    np.testing.assert_allclose(points.weights[points.known].sum(1), 1)
    given = np.random.default_rng(0).uniform(0, 100, (SCHEMES[source].count, 2))
    np.testing.assert_allclose(points.matrix(len(given)) @ given, points(given))
    with pytest.raises(ValueError, match="read-only"):
        points.weights[0, 0] = 1


@pytest.mark.parametrize("name", MAPS)
def test_both_sides_of_a_face_are_read_alike(name):
    points, source, target = MAPS[name]
    matrix = points.matrix(SCHEMES[source].count)
    np.testing.assert_allclose(matrix[SCHEMES[target].mirror][:, SCHEMES[source].mirror], matrix, atol=1e-9)


def test_68_points_know_all_but_lower_brows_sides_of_the_nose_and_pupils():
    assert set(np.flatnonzero(~map_68_to_106().known)) == {*range(38, 42), *range(47, 51), 55, 56, 57, 63, 64, 65, 74, 83, 104, 105}
    assert map_106_to_68().known.all()


@pytest.mark.parametrize("seed", range(6))
def test_68_points_survive_the_way_through_106_points(seed):
    points = to_scheme(draw_face(seed, 192).points, "68")
    full, known = from_scheme(points, "68")
    back = to_scheme(np.where(known[:, None], full, np.nan), "68")  # what 68 points do not know has no say in them
    errors = np.linalg.norm(back - points, axis=1) / SCHEMES["68"].eye_distance(points)
    assert np.delete(errors, BROW_ENDS).max() < ROUND_TRIP and errors.max() < ROUND_TRIP_BROW_ENDS


@pytest.mark.parametrize("name", MAPS)
def test_a_point_that_is_no_number_spoils_those_it_has_a_say_in_and_no_others(name):
    points, source, _ = MAPS[name]
    count = SCHEMES[source].count
    given, matrix = np.random.default_rng(0).uniform(0, 100, (count, 2)), points.matrix(count)
    whole = points(given)
    for hidden in range(count):
        broken = given.copy()
        broken[hidden] = np.nan
        found = points(broken)
        spoilt = np.isnan(found).all(1)
        assert np.array_equal(spoilt, matrix[:, hidden] != 0)
        np.testing.assert_array_equal(found[~spoilt], whole[~spoilt])


@pytest.mark.parametrize("name", SCHEMES)
def test_a_map_is_what_to_scheme_does_and_takes_whole_batches(name):
    points = np.random.default_rng(1).uniform(0, 100, (3, 106, 2))
    np.testing.assert_allclose(to_scheme(points, name), map_to(name)(points))
    np.testing.assert_allclose(to_scheme(points, name)[1], map_to(name).matrix(106) @ points[1])


@pytest.mark.parametrize("name", SCHEMES)
def test_a_score_is_that_of_the_nearest_point(name):
    scores = np.random.default_rng(2).uniform(0, 1, (3, 106)).astype(np.float32)
    found = scores_as_scheme(scores, name)
    assert found.shape == (3, SCHEMES[name].count) and found.dtype == np.float32
    assert np.isin(found[1], scores[1]).all()  # no mean, nothing beyond 0 and 1
    taken, points = scores_as_scheme(np.arange(106), name), draw_face(0, 192).points
    assert np.array_equal(taken[list(SCHEMES[name].core12)], SCHEMES["106"].core12)
    away = np.linalg.norm(points[taken] - to_scheme(points, name), axis=1)
    assert away.max() < 0.1 * SCHEMES["106"].eye_distance(points)


def test_people_mark_the_106_points_where_their_68_points_say(gather_68):
    """JD-landmark's labels beside those of 300-W on the same photographs."""
    if not RESEARCH.is_dir():
        pytest.skip("there is no ../shared/data: on drawn faces the round trip says as much")
    ours, old = [], []
    for points, points_68 in _labelled_twice():
        eyes = SCHEMES["106"].eye_distance(points)
        full, known = from_scheme(points_68, "68")
        to_106, to_68, gathered = full[known] - points[known], to_scheme(points, "68") - points_68, points[gather_68] - points_68
        ours.append([np.linalg.norm(errors, axis=1).mean() / eyes for errors in (to_106, to_68)])
        old.append(np.linalg.norm(gathered, axis=1).mean() / eyes)
    assert len(ours) >= 6
    to_106, to_68 = np.mean(ours, 0)
    assert to_106 < 0.036 and to_68 < 0.032 < 0.045 < np.mean(old)
    assert all(new < before for (_, new), before in zip(ours, old, strict=True))


@pytest.fixture
def gather_68():
    """Returns which of the 106 points were once taken for the 68."""
    lids = [66, 67, 69, 70, 71, 73, 75, 76, 78, 79, 80, 82]
    return [*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 55), *range(58, 63), *lids, *range(84, 104)]


def _labelled_twice():
    """Yields 106 points (106, 2) and 68 points (68, 2) of photographs in both sets, the latter laid onto the former."""
    faces = (face for name in ("wild_68_train", "wild_68_val") for face in read_source(str(RESEARCH / name)))
    faces_68 = {face.path.stem: face.native_points for face in faces}
    for face in read_source(str(RESEARCH / "jd_106_val")):
        photograph, warp = face.path.stem.removeprefix("jd_").rsplit("_", 1)
        if warp != "0" or photograph not in faces_68:
            continue
        points, points_68 = face.image_points @ [1, 1j], faces_68[photograph] @ [1, 1j]
        common, common_68 = points[list(SCHEMES["106"].core12)], points_68[list(SCHEMES["68"].core12)]
        turn, shift = np.linalg.lstsq(np.column_stack([common_68, np.ones(12)]), common, rcond=None)[0]
        laid = turn * points_68 + shift
        if np.abs(turn * common_68 + shift - common).mean() < SAME_PICTURE * SCHEMES["106"].eye_distance(face.image_points):
            yield face.image_points, np.column_stack([laid.real, laid.imag])
