"""Errors equal their closed forms, and each has the normaliser that its name says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import ZooError
from zoo.metrics import THRESHOLD, auc, box_nme, core12, failure_rate, interocular_nme, mean_interval, point_errors
from zoo.schemes import SCHEMES

NAMES = tuple(SCHEMES)
STEP = np.array([3, 4])  # px; its length is 5


@pytest.fixture(params=NAMES)
def truth(request):
    """Returns a scheme's name and true points whose outer eye corners lie 50 px apart in a box of 80 x 125 px."""
    scheme = SCHEMES[request.param]
    points = np.random.default_rng(0).uniform([10, 10], [90, 135], (scheme.count, 2))
    points[0], points[1] = (10, 10), (90, 135)
    points[scheme.outer_eyes[0]], points[scheme.outer_eyes[1]] = (20, 40), (50, 80)
    return request.param, points


def test_a_displacement_of_all_points_is_its_length_over_the_eye_distance(truth):
    name, points = truth
    assert interocular_nme(points + STEP, points, name) == pytest.approx(5 / 50)
    assert core12(points + STEP, points, name) == pytest.approx(5 / 50)
    assert box_nme(points + STEP, points) == pytest.approx(5 / np.sqrt(80 * 125))
    assert interocular_nme(points, points, name) == core12(points, points, name) == box_nme(points, points) == 0


def test_each_point_has_its_own_error(truth):
    name, points = truth
    found = points.copy()
    found[2] += [0, 10]
    errors = point_errors(found, points, name)
    assert errors.shape == (len(points),)
    assert errors[2] == pytest.approx(0.2) and np.delete(errors, 2).max() == 0
    assert interocular_nme(found, points, name) == pytest.approx(0.2 / len(points))


def test_only_twelve_spots_enter_core12(truth):
    name, points = truth
    others = np.setdiff1d(np.arange(len(points)), SCHEMES[name].core12)
    found = points.copy()
    found[others] += 100
    assert core12(found, points, name) == 0
    found[SCHEMES[name].core12[5]] += [0, 50]
    assert core12(found, points, name) == pytest.approx(1 / 12)


def test_a_change_of_unit_changes_nothing(truth):
    name, points = truth
    found = points + np.random.default_rng(1).normal(0, 2, points.shape)
    for metric in (lambda a, b: interocular_nme(a, b, name), lambda a, b: core12(a, b, name), box_nme):
        assert metric(7 * found + 3, 7 * points + 3) == pytest.approx(metric(found, points))


def test_truth_without_extent_is_refused():
    flat = np.ones((106, 2))
    with pytest.raises(ZooError, match="eye corners coincide"):
        interocular_nme(flat, flat)
    with pytest.raises(ZooError, match="span no box"):
        box_nme(flat, flat)


errors_lists = st.lists(st.floats(0, 0.2), min_size=1, max_size=40)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(errors_lists)
def test_auc_is_the_area_under_the_cumulative_distribution(errors):
    errors = np.array(errors)
    at = (np.arange(20_000) + 0.5) / 20_000 * THRESHOLD
    staircase = (errors[None] <= at[:, None]).mean(1)
    assert auc(errors) == pytest.approx(staircase.mean(), abs=1e-4)


def test_auc_and_failure_rate_of_known_errors():
    errors = np.array([0.0, 0.02, 0.04, 0.08, 0.3, np.inf])
    assert auc(errors) == pytest.approx((1 + 0.75 + 0.5) / 6)
    assert failure_rate(errors) == pytest.approx(3 / 6)  # the threshold itself fails
    assert auc(errors, 0.04) == pytest.approx((1 + 0.5) / 6)
    assert failure_rate(errors, 0.05) == pytest.approx(3 / 6)
    assert auc(np.zeros(3)) == 1 and auc(np.full(3, 0.08)) == 0


def test_the_interval_holds_the_mean_and_narrows_with_the_number_of_faces():
    rng = np.random.default_rng(0)
    few, many = rng.gamma(4, 0.01, 50), rng.gamma(4, 0.01, 5000)
    for values in (few, many):
        low, high = mean_interval(values)
        assert low < values.mean() < high
        width = 2 * 1.96 * values.std() / np.sqrt(len(values))
        assert high - low == pytest.approx(width, rel=0.15)
    assert mean_interval(few) == mean_interval(few)
    assert mean_interval(np.full(9, 0.5)) == (0.5, 0.5)


def test_the_interval_covers_the_true_mean_19_times_in_20():
    rng = np.random.default_rng(1)
    covered = [low <= 0.04 <= high for low, high in (mean_interval(rng.gamma(4, 0.01, 60), 400) for _ in range(300))]
    assert 0.88 <= np.mean(covered) <= 0.98
