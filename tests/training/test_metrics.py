"""Errors equal their closed forms, and each has the normaliser that its name says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.metrics import (
    THRESHOLD,
    auc,
    box_nme,
    core12,
    cumulative,
    failure_rate,
    interocular_nme,
    mean_interval,
    paired_difference,
    point_errors,
    pupil_nme,
)
from zoo.errors import ZooError
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


def test_pupils_are_the_means_of_the_eyelids(truth):
    name, points = truth
    left, right = (points[list(eye)].mean(0) for eye in SCHEMES[name].eyes)
    assert pupil_nme(points + STEP, points, name) == pytest.approx(5 / np.linalg.norm(right - left))
    assert pupil_nme(points, points, name) == 0


def test_unknown_points_neither_count_nor_place_the_eyes(truth):
    name, points = truth
    scheme, known = SCHEMES[name], np.ones(len(points), bool)
    known[[scheme.eyes[0][1], 0]] = False
    broken = points.copy()
    broken[~known] = np.nan
    lids = points[[i for i in scheme.eyes[0] if known[i]]].mean(0), points[list(scheme.eyes[1])].mean(0)
    assert pupil_nme(points + STEP, broken, name, known) == pytest.approx(5 / np.linalg.norm(np.subtract(*lids)))
    with pytest.raises(ZooError, match="eyes coincide or are unknown"):
        pupil_nme(points, points, name, np.isin(np.arange(len(points)), scheme.eyes[0]))


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


@settings(deadline=None, max_examples=60, derandomize=True)
@given(errors_lists, st.integers(0, 5))
def test_a_cumulative_curve_rises_from_none_to_all_that_were_found(errors, missed):
    errors = np.array([*errors, *[np.inf] * missed])
    at = np.linspace(0, 0.2, 300)
    curve = cumulative(errors, at)
    assert (np.diff(curve) >= 0).all() and curve[0] == (errors <= 0).mean()
    assert curve[-1] == pytest.approx(1 - missed / len(errors))
    fine = np.linspace(0, THRESHOLD, 20_001)
    assert cumulative(errors, fine).mean() == pytest.approx(auc(errors), abs=2e-4)


def test_a_curve_counts_errors_that_equal_the_value():
    assert cumulative(np.array([0.01, 0.02, 0.02, np.inf]), np.array([0.0, 0.01, 0.02, 1.0])).tolist() == [0, 0.25, 0.75, 0.75]


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


def test_faces_of_one_photograph_are_one_witness():
    rng = np.random.default_rng(3)
    values = rng.gamma(4, 0.01, 80)
    copies, photographs = np.repeat(values, 5), np.repeat(np.arange(80), 5).astype(str)
    assert mean_interval(copies, groups=photographs) == pytest.approx(mean_interval(values), rel=0.15)
    (low, high), (grouped_low, grouped_high) = mean_interval(copies), mean_interval(copies, groups=photographs)
    assert (grouped_high - grouped_low) > 1.8 * (high - low)  # the root of 5 is 2.2


def test_a_model_does_not_differ_from_itself():
    errors = np.array([0.02, 0.03, np.inf, 0.05])
    same = paired_difference(errors, errors)
    assert (same.mean, same.low, same.high, same.faces, same.better) == (0, 0, 0, 3, 0)
    assert not same.distinct


def test_a_planted_difference_is_found_in_spite_of_hard_faces():
    rng = np.random.default_rng(4)
    hard = rng.gamma(2, 0.03, 100)
    reference, better = hard + rng.normal(0, 0.001, 100), hard - 0.002 + rng.normal(0, 0.001, 100)
    found, back = paired_difference(better, reference), paired_difference(reference, better)
    assert found.mean == pytest.approx(-0.002, abs=5e-4) and found.high < 0 and found.distinct and found.better > 0.8
    assert (back.mean, back.faces) == (pytest.approx(-found.mean), found.faces)
    low, high = mean_interval(better)
    assert found.high - found.low < 0.2 * (high - low)


def test_faces_that_one_of_two_models_missed_are_left_out_of_their_difference():
    found = paired_difference(np.array([0.03, np.inf, 0.05]), np.array([0.02, 0.01, np.inf]), groups=["a", "b", "b"])
    assert found.faces == 1 and found.mean == pytest.approx(0.01)
    assert paired_difference(np.array([np.inf, 0.1]), np.array([0.1, np.inf])) is None


def test_the_paired_interval_covers_the_true_difference_19_times_in_20():
    rng = np.random.default_rng(5)

    def covers() -> bool:
        hard = rng.gamma(2, 0.03, 60)
        found = paired_difference(hard + rng.gamma(2, 0.005, 60), hard, draws=400)
        return found.low <= 0.01 <= found.high

    assert 0.87 <= np.mean([covers() for _ in range(300)]) <= 0.98
