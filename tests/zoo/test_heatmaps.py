"""The codec is its own inverse to hundredths of a cell, its scores tell sure maps from unsure ones, and the loss is what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.heatmaps import LOGIT_SCALE, MAP_MAX, SIGMA_CELLS, WINDOW_RADIUS, decode, decode_stored, encode

ROUND_TRIP_CELLS = 0.03
BORDER_CELLS = 3  # nearer to the border the decoder's window is cut
GRIDS = (24, 32, 48)
# How far inwards a point at this distance from the border is decoded at worst, in cells: a window of 7 cells, of which some are missing.
BORDER_BIAS_CELLS = {0.0: 0.84, 0.25: 0.67, 0.5: 0.52, 1.0: 0.29, 1.5: 0.13, 2.0: 0.05, 2.5: 0.02, 3.0: 0.01}


def errors_cells(grid_points, maps):
    return np.linalg.norm(decode(maps)[0] - grid_points, axis=1)


def points_inside(grid, count=500, seed=0):
    return np.random.default_rng(seed).uniform(BORDER_CELLS, grid - BORDER_CELLS, (count, 2))


def in_int8(maps):
    """Returns maps as an int8 tensor over 0..6 would hold them."""
    return (np.round(maps / MAP_MAX * 255) / 255 * MAP_MAX).astype(np.float32)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.sampled_from(GRIDS), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_decode_inverts_encode(grid, shares):
    grid_points = BORDER_CELLS + np.array(shares) * (grid - 2 * BORDER_CELLS)
    maps = encode(grid_points, grid)
    assert maps.shape == (grid, grid, len(shares)) and maps.dtype == np.float32
    assert errors_cells(grid_points, maps).max() < ROUND_TRIP_CELLS
    assert errors_cells(grid_points, in_int8(maps)).max() < ROUND_TRIP_CELLS


def test_x_runs_along_columns_and_y_along_rows():
    maps = encode(np.array([[20.5, 6.5]]), 32)
    assert np.unravel_index(maps[..., 0].argmax(), (32, 32)) == (6, 20)  # the centre of row 6, column 20
    assert np.allclose(decode(maps)[0], [[20.5, 6.5]], atol=1e-3)


def test_maps_use_the_networks_whole_range_and_no_more():
    maps = encode(np.array([[16.5, 16.5]]), 32)
    assert maps.max() == MAP_MAX and maps.min() == 0


@pytest.mark.parametrize("sigma_cells", [0.8, 1.0, 1.4])
def test_the_soft_max_of_a_map_is_the_gaussian_asked_for(sigma_cells):
    maps = encode(np.array([[16.2, 15.9]]), 32, sigma_cells)[..., 0].astype(np.float64)
    mass = np.exp(LOGIT_SCALE * maps)
    mass /= mass.sum()
    centres = np.arange(32) + 0.5
    near = np.abs(centres - 16.2) < 2 * sigma_cells
    variance = ((centres - 16.2) ** 2 * mass.sum(0))[near].sum() / mass.sum(0)[near].sum()
    gaussian = np.exp(-((centres - 16.2) ** 2) / (2 * sigma_cells**2))
    expected = ((centres - 16.2) ** 2 * gaussian)[near].sum() / gaussian[near].sum()
    assert variance == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("distance", "bias"), BORDER_BIAS_CELLS.items())
@pytest.mark.parametrize("grid", GRIDS)
def test_the_lean_at_the_border_is_inwards_and_bounded(distance, bias, grid):
    along = np.random.default_rng(0).uniform(5, grid - 5, 200)
    near, far = np.full(200, distance), np.full(200, grid - distance)
    for grid_points, axis, inwards in (
        (np.column_stack([near, along]), 0, 1), (np.column_stack([far, along]), 0, -1),
        (np.column_stack([along, near]), 1, 1), (np.column_stack([along, far]), 1, -1),
    ):  # fmt: skip
        off = decode(encode(grid_points, grid))[0] - grid_points
        assert (inwards * off[:, axis]).max() <= bias
        assert (inwards * off[:, axis]).min() >= (bias - 0.02 if distance < 2.5 else -0.01)  # the table is no looser than it need be
        assert np.abs(off[:, 1 - axis]).max() < ROUND_TRIP_CELLS


@pytest.mark.parametrize("at", [(-2.0, 12.0), (27.0, 12.0), (12.0, -1.0), (-3.0, -3.0)])
def test_a_point_outside_the_grid_is_decoded_at_its_edge(at):
    found = decode(encode(np.array([at]), 24))[0][0]
    assert np.isfinite(found).all()
    assert np.abs(found - np.clip(at, 0, 24)).max() < 2.1


def test_a_sure_map_scores_near_one_and_an_unsure_one_low():
    clean = encode(points_inside(32), 32)
    two = np.maximum(encode(np.array([[8.0, 8.0]]), 32), encode(np.array([[24.0, 20.0]]), 32))
    four = np.maximum(two, np.maximum(encode(np.array([[24.0, 8.0]]), 32), encode(np.array([[8.0, 22.0]]), 32)))
    wide = encode(np.array([[16.0, 16.0]]), 32, 3.0)
    assert decode(clean)[1].min() > 0.99
    base = 49 / 1024  # what of a flat map lies in the window
    assert decode(two).scores[0] == pytest.approx((0.5 - base) / (1 - base), abs=0.01)
    assert decode(four).scores[0] == pytest.approx((0.25 - base) / (1 - base), abs=0.01)
    assert decode(wide).scores[0] < 0.7


@pytest.mark.parametrize("grid", [8, 16, *GRIDS])
def test_a_flat_map_scores_zero_whatever_the_grid_and_noise_is_near_it(grid):
    for level in (0.0, 2.5, MAP_MAX):
        assert decode(np.full((grid, grid, 2), level, np.float32)).scores.max() < 1e-6
        assert decode_stored(np.full((grid, grid, 2), int(level * 20), np.int8), 6 / 255, -128).scores.max() < 1e-6
    noise = np.random.default_rng(0).normal(3, 0.2, (grid, grid, 50)).astype(np.float32)
    assert (decode(noise).scores >= 0).all() and decode(noise).scores.mean() < 0.1


@pytest.mark.parametrize("sigma_cells", [0.7, 1.0, 1.4])
def test_a_spread_is_the_deviation_of_the_gaussian_that_was_drawn(sigma_cells):
    maps = encode(points_inside(32, 200), 32, sigma_cells)
    # The window cuts the tails of wide ones, and the floor of 0 leaves a little everywhere.
    bias = {0.7: 0.02, 1.0: 0.03, 1.4: 0.12}[sigma_cells]
    assert np.abs(decode(maps).spreads / sigma_cells - 1).max() < bias
    assert np.abs(decode(in_int8(maps)).spreads / decode(maps).spreads - 1).max() < 0.03  # another cell may be the highest


def test_a_spread_grows_with_doubt_and_is_the_same_in_both_directions():
    sure, wide, flat = (encode(np.array([[16.5, 16.5]]), 32, sigma) for sigma in (0.7, 1.6, 100.0))
    spreads = [decode(maps).spreads[0] for maps in (sure, wide, flat)]
    assert spreads[0] < 0.75 and spreads[0] < 0.6 * spreads[1] and spreads[1] < spreads[2]
    assert spreads[2] == pytest.approx(2.0, abs=0.01)  # of seven cells, all alike
    leaning = np.maximum(encode(np.array([[15.0, 16.5]]), 32, 0.7), encode(np.array([[17.0, 16.5]]), 32, 0.7))
    assert decode(leaning).spreads[0] == pytest.approx(decode(np.ascontiguousarray(leaning.transpose(1, 0, 2))).spreads[0], rel=1e-5)


def test_scores_and_points_have_the_types_they_promise():
    points, scores, spreads = decode(encode(points_inside(24, 106), 24))
    assert spreads.shape == (106,) and spreads.dtype == np.float32
    assert points.shape == (106, 2) and points.dtype == np.float64
    assert scores.shape == (106,) and scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1 + 1e-6)).all()


def test_a_far_false_peak_does_not_pull_the_point():
    true = np.array([[10.3, 11.7]])
    maps = np.maximum(encode(true, 32), encode(np.array([[25.0, 25.0]]), 32) - 0.7)
    assert errors_cells(true, maps)[0] < ROUND_TRIP_CELLS


def test_maps_are_decoded_each_for_itself_and_left_as_they_were():
    points = points_inside(32, 20)
    maps = encode(points, 32)
    before = maps.copy()
    together, alone = decode(maps)[0], np.vstack([decode(maps[..., i : i + 1])[0] for i in range(20)])
    assert np.array_equal(together, alone)
    assert np.array_equal(maps, before)
    assert np.allclose(decode(np.asfortranarray(maps))[0], together)


@pytest.mark.parametrize(("noise", "bound_cells"), [(0.05, 0.04), (0.1, 0.08), (0.3, 0.2), (0.6, 0.4)])
def test_noise_harms_the_decoder_less_than_the_highest_cell_alone(noise, bound_cells):
    points = points_inside(32, 600)
    maps = encode(points, 32)
    maps = np.clip(maps + np.random.default_rng(1).normal(0, noise, maps.shape), 0, MAP_MAX).astype(np.float32)
    peak = maps.reshape(-1, len(points)).argmax(0)
    highest = np.column_stack([peak % 32, peak // 32]) + 0.5
    found = errors_cells(points, maps).mean()
    assert found < bound_cells
    assert found < 0.4 * np.linalg.norm(highest - points, axis=1).mean()
    assert errors_cells(points, in_int8(maps)).mean() < found + 0.005


# ---- the loss --------------------------------------------------------------------------------------------------------------------------


# Of a point that is seen, of one that is hidden, and of a crop that shows nothing, as `training.learning.batches` asks for them.
SIGMAS_CELLS = (0.7, 1.6, 1000.0)


def straightforward_loss(targets, maps, distance_weight):
    """The loss, cell by cell in float64: cross-entropy against the drawn Gaussian, and the distance of the windowed expectation."""
    total, weight_sum = 0.0, 0.0
    _, height, width, count = maps.shape
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for crop in range(len(maps)):
        for point in range(count):
            x, y, weight, sigma_cells = targets[crop, point].astype(np.float64)
            logits = LOGIT_SCALE * maps[crop, :, :, point].astype(np.float64)
            log_probability = logits - np.log(np.exp(logits).sum())
            gaussian = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma_cells**2))
            cross_entropy = -(gaussian / gaussian.sum() * log_probability).sum()
            window = (np.abs(columns - x) <= WINDOW_RADIUS + 0.5) & (np.abs(rows - y) <= WINDOW_RADIUS + 0.5)
            mass = np.exp(logits) * window
            off = np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum() - [x, y]
            total += weight * (cross_entropy + distance_weight * np.sqrt((off**2).sum() + 1e-4))
            weight_sum += weight
    return total / weight_sum


def random_targets(batch, grid, count, rng):
    shape = batch, count
    targets = np.dstack([rng.uniform(1, grid - 1, (*shape, 2)), rng.choice([0.0, 0.5, 1.0], shape), rng.choice(SIGMAS_CELLS, shape)])
    targets[0, :, 2] = 1.0
    return targets.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("distance_weight", [1.0, 0.0, 3.0])
def test_the_loss_equals_a_straightforward_one(distance_weight):
    from training.learning.losses import heatmap_loss

    rng = np.random.default_rng(0)
    targets = random_targets(2, 24, 7, rng)
    maps = rng.uniform(0, MAP_MAX, (2, 24, 24, 7)).astype(np.float32)
    maps[1] = encode(targets[1, :, :2] + rng.normal(0, 1, (7, 2)), 24)
    assert set(targets[..., 3].ravel()) == set(np.float32(SIGMAS_CELLS))
    found = float(heatmap_loss(distance_weight)(targets, maps))
    assert found == pytest.approx(straightforward_loss(targets, maps, distance_weight), rel=1e-4)


@pytest.mark.slow
def test_the_loss_is_least_for_the_codecs_own_maps_and_blind_to_points_without_weight():
    from training.learning.losses import heatmap_loss

    loss = heatmap_loss(1.0)
    rng = np.random.default_rng(0)
    targets = np.dstack([rng.uniform(4, 20, (1, 9, 2)), np.ones((1, 9)), np.full((1, 9), SIGMA_CELLS)]).astype(np.float32)
    true = encode(targets[0, :, :2], 24)[None]
    best = float(loss(targets, true))
    for worse in (
        encode(targets[0, :, :2] + 0.3, 24)[None], encode(targets[0, :, :2], 24, 1.4)[None], 0.8 * true, np.full_like(true, 3.0),
        encode(targets[0, ::-1, :2], 24)[None],
    ):  # fmt: skip
        assert float(loss(targets, worse)) > best + 1e-3
    blind = targets.copy()
    blind[0, 4, :3] = [1e4, -1e4, 0]
    spoilt = true.copy()
    spoilt[..., 4] = rng.uniform(0, 6, spoilt.shape[1:3])
    assert float(loss(blind, spoilt)) == pytest.approx(float(loss(np.delete(targets, 4, 1), np.delete(true, 4, 3))), rel=1e-5)
    unseen = targets * [1, 1, 0, 1]
    assert float(loss(unseen.astype(np.float32), true)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cross-entropy", "squares"])
def test_a_hidden_points_map_is_wanted_wide_and_that_of_nothing_flat(kind):
    from training.learning.losses import heatmap_loss, mean_squared_loss

    loss = heatmap_loss(0.0) if kind == "cross-entropy" else mean_squared_loss()
    seen, hidden, nothing = SIGMAS_CELLS
    point = np.array([[12.2, 11.9]])
    maps = {sigma: encode(point, 24, sigma) for sigma in (seen, hidden)} | {nothing: np.full((24, 24, 1), MAP_MAX, np.float32)}
    if kind == "squares":
        centres = np.arange(24) + 0.5
        for sigma in (seen, hidden):
            away = (centres - point[0, 0]) ** 2 + (centres[:, None] - point[0, 1]) ** 2
            maps[sigma] = (MAP_MAX * np.exp(-away / (2 * sigma**2)))[..., None].astype(np.float32)
    for wanted in SIGMAS_CELLS:
        targets = np.array([[[*point[0], 1, wanted]]], np.float32)
        losses = {sigma: float(loss(targets, some[None])) for sigma, some in maps.items()}
        assert min(losses, key=losses.get) == wanted


@pytest.mark.parametrize(("scale", "zero_point"), [(6 / 255, -128), (0.02, -100)])
def test_stored_maps_decode_as_their_real_values(scale, zero_point):
    grid_points = np.random.default_rng(0).uniform(0.2, 31.8, (106, 2))
    stored = np.clip(np.round(encode(grid_points, 32) / scale) + zero_point, -128, 127).astype(np.int8)
    points, scores, spreads = decode((stored.astype(np.float32) - np.float32(zero_point)) * np.float32(scale))
    found, found_scores, found_spreads = decode_stored(stored, scale, zero_point)
    np.testing.assert_allclose(found_spreads, spreads, atol=1e-5)
    np.testing.assert_allclose(found, points, atol=1e-5)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5)
