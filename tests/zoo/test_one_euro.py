"""The filter steadies what rests, hardly holds back what moves, and does not care for a face's size or for even times."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import ZooError
from zoo.one_euro import OneEuroFilter, Smoothing

EYES_PX = 80.0
PLACES = np.random.default_rng(1).uniform(0, 1.5 * EYES_PX, (20, 2))


def filtered(points: np.ndarray, times_s: np.ndarray, smoothing: Smoothing | None = None, unit: float = EYES_PX) -> np.ndarray:
    smooth = OneEuroFilter(smoothing or Smoothing())
    return np.array([smooth(some, time_s, unit) for some, time_s in zip(points, times_s, strict=True)])


def times(count: int, frames_per_s: float = 30.0) -> np.ndarray:
    return np.arange(count) / frames_per_s


def test_a_point_at_rest_stays_where_it_is():
    points = np.tile([[3.0, 4.0], [50.0, 60.0]], (40, 1, 1))
    np.testing.assert_array_equal(filtered(points, times(40)), points)


def test_noise_becomes_less_and_its_middle_stays():
    noise = np.random.default_rng(0).normal(0, 0.25, (600, 20, 2))
    found = filtered(PLACES + noise, times(600))[60:] - PLACES
    assert found.std() < 0.8 * noise.std() and abs(found.mean()) < 0.02


def test_lower_parameters_are_steadier():
    noise = np.random.default_rng(0).normal(0, 0.25, (600, 20, 2))
    parameters = ((0.5, 0), (2, 0), (2, 50), (2, 500))
    found = (filtered(PLACES + noise, times(600), Smoothing(*two)) for two in parameters)
    deviations = [(some - PLACES)[60:].std() for some in found]
    assert deviations == sorted(deviations) and deviations[0] < 0.4 * deviations[-1]


def test_a_moving_point_is_held_back_by_milliseconds_only():
    speed_px_per_s = 1.0 * EYES_PX
    at = times(120)
    points = (speed_px_per_s * at)[:, None, None] * [[[1.0, 0.0]]]
    behind_px = (points - filtered(points, at))[60:, 0, 0]
    assert np.abs(behind_px).max() < 0.0005 * speed_px_per_s


def test_a_face_that_sways_turns_and_grows_is_held_back_by_less_than_a_millisecond():
    at = times(240)
    phase = 2 * np.pi * at / 2
    turn = 1 + 0.1 * np.sin(phase) + 0.2j * np.sin(phase + 1)
    z = (PLACES - PLACES.mean(0)) @ [1, 1j] * turn[:, None] + 0.5 * EYES_PX * np.sin(phase + 2)[:, None]
    points = np.stack([z.real, z.imag], axis=2)
    velocity = np.gradient(points, at, axis=0)
    late_ms = {beta: 1e3 * (velocity * (points - filtered(points, at, Smoothing(1.0, beta))))[60:].sum() / (velocity[60:] ** 2).sum()
               for beta in (20, 200)}  # fmt: skip
    assert abs(late_ms[200]) < 1 and abs(late_ms[20]) < 3


def test_a_face_that_stops_is_not_thrown_past_its_place():
    at = times(120)
    points = PLACES + (EYES_PX * np.minimum(at, 2.0))[:, None, None] * [1.0, 0.0]
    beyond_px = (filtered(points, at) - points)[60:, :, 0].max()
    assert beyond_px < 0.01 * EYES_PX


def test_a_face_twice_as_large_is_treated_alike():
    points, at = np.random.default_rng(0).normal(0, 1, (60, 5, 2)).cumsum(0), times(60)
    np.testing.assert_allclose(filtered(2 * points, at, unit=2 * EYES_PX), 2 * filtered(points, at))


def test_frames_left_out_change_little():
    at = times(240)
    points = 20 * np.sin(2 * np.pi * at / 2)[:, None, None] * np.ones((1, 3, 2))
    kept = np.sort(np.random.default_rng(0).permutation(240)[:180])
    whole, thinned = filtered(points, at)[kept], filtered(points[kept], at[kept])
    assert np.abs(whole - thinned).max() < 0.02 * EYES_PX


@pytest.mark.parametrize("values", [(0, 1), (-1, 1), (float("nan"), 1), (1, -0.1), (1, float("inf"))])
def test_parameters_that_make_no_filter_are_refused(values):
    with pytest.raises(ZooError, match="received"):
        Smoothing(*values)
