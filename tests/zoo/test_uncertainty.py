"""A point's sigma and visibility follow from its map's spread as the file says, in the picture's pixels, and mean what they say."""

import numpy as np
import pytest

from zoo.alignment import LABEL_TEMPLATE, Alignment
from zoo.errors import ZooError
from zoo.heatmaps import encode
from zoo.landmarker import Landmarker
from zoo.runtime.crop_points import CropPoints
from zoo.uncertainty import Uncertainty, from_json, raw

FITTED = Uncertainty(np.linspace(2.5, 4, 106), np.linspace(2, 8, 106), 44.0, 0.9, 0.7, 0.3, -0.5, 0.4, 0.1, ("a", "b"))
SIZE, STRIDE = 128, 4


def found(spreads, scores=1.0, eyes_px=44.0):
    points = np.zeros((106, 2))
    points[79, 0] = eyes_px
    return CropPoints(points, np.full(106, scores, np.float32), np.broadcast_to(spreads, 106).astype(np.float32))


def test_typical_spreads_give_typical_sigmas_and_points_that_are_seen():
    sigmas, visible = FITTED.read(found(FITTED.typical_spread_px))
    np.testing.assert_allclose(sigmas, FITTED.typical_sigma_px, rtol=1e-5)
    assert visible.min() > 0.95


def test_a_wider_map_is_less_sure_and_less_visible_and_the_rest_of_the_face_hardly_changes():
    spreads = FITTED.typical_spread_px.copy()
    spreads[10] *= 2
    before, after = FITTED.read(found(FITTED.typical_spread_px)), FITTED.read(found(spreads))
    assert after[0][10] == pytest.approx(before[0][10] * 2 ** (0.9 + 0.7 / 106), rel=1e-4)
    assert after[1][10] < 0.1 and np.delete(after[1], 10).min() > 0.95
    assert np.delete(after[0] / before[0], 10).max() < 1.01


def test_a_blurred_face_is_unsure_of_all_points_and_not_taken_for_hidden():
    sigmas, visible = FITTED.read(found(1.4 * FITTED.typical_spread_px))
    np.testing.assert_allclose(sigmas, FITTED.typical_sigma_px * 1.4**1.6, rtol=1e-4)
    one = FITTED.typical_spread_px * np.where(np.arange(106) == 3, 1.4, 1)
    assert visible[3] > FITTED.read(found(one))[1][3] + 0.1


def test_a_foreshortened_face_is_told_by_its_eye_corners():
    wide, narrow = (FITTED.read(found(FITTED.typical_spread_px, eyes_px=eyes))[0] for eyes in (44.0, 22.0))
    np.testing.assert_allclose(narrow / wide, 0.5**0.3, rtol=1e-5)
    assert np.isfinite(FITTED.read(found(FITTED.typical_spread_px, eyes_px=0.0))[0]).all()


def test_where_there_is_no_face_nothing_is_visible():
    assert FITTED.read(found(FITTED.typical_spread_px, scores=0.0))[1].max() == 0
    assert np.isfinite(FITTED.read(found(0.0))[0]).all() and np.isfinite(FITTED.read(found(1e6))[0]).all()


@pytest.mark.parametrize("zoom", [0.25, 1.0, 3.0])
def test_sigmas_are_in_the_pictures_pixels_whatever_its_size(zoom):
    five = LABEL_TEMPLATE * SIZE * zoom
    maps = encode(np.random.default_rng(0).uniform(5, 27, (106, 2)), SIZE // STRIDE, 0.9)
    find = Landmarker.of_maps(lambda crop: maps, SIZE, uncertainty=FITTED)
    side = round(SIZE * zoom)
    face = find(np.zeros((side, side, 3), np.uint8), five)
    in_crop, _ = FITTED.read(find.forward(np.zeros((SIZE, SIZE, 3), np.uint8)))
    np.testing.assert_allclose(face.sigmas, in_crop * zoom, rtol=1e-6)
    assert face.sigmas.shape == face.visible.shape == (106,) and ((face.visible >= 0) & (face.visible <= 1)).all()


def test_points_outside_the_picture_are_not_visible():
    places = np.column_stack([np.linspace(4, 28, 106), np.full(106, 16.0)])
    find = Landmarker.of_maps(lambda crop: encode(places, SIZE // STRIDE, 0.7), SIZE)
    face = find(np.zeros((128, 90, 3), np.uint8), LABEL_TEMPLATE * SIZE)
    outside = face.points[:, 0] > 90
    assert 10 < outside.sum() < 60 and face.visible[outside].max() == 0 and face.visible[~outside].min() > 0.9


def test_what_nothing_was_fitted_to_gives_the_gaussians_own_radius():
    places, alignment = np.full((106, 2), 16.3), Alignment(np.eye(2, 3), SIZE)
    for sigma_cells in (0.8, 1.0):
        find = Landmarker.of_maps(lambda crop, s=sigma_cells: encode(places, SIZE // STRIDE, s), SIZE)
        face = find.prediction(find.forward(np.zeros((SIZE, SIZE, 3), np.uint8)), alignment, (SIZE, SIZE), LABEL_TEMPLATE)
        drawn = np.random.default_rng(0).normal(0, STRIDE * sigma_cells, (200_000, 2))
        assert (np.hypot(*drawn.T) < face.sigmas[0]).mean() == pytest.approx(0.68, abs=0.02)
    assert find.uncertainty.fitted_on == ()


def test_it_is_written_and_read_alike_and_what_is_damaged_is_refused():
    value = FITTED.to_json()
    assert from_json(value, 106).to_json() == value
    for change, words in (
        ({"typical_spread_px": [1.0] * 5}, "106 are expected"),
        ({"typical_sigma_px": [0.0] * 106}, "not above 0"),
        ({"width": 0}, "not above 0"),
        ({"own": float("nan")}, "no number"),
        ({"eyes": "x"}, "not as expected"),
    ):
        with pytest.raises(ZooError, match=words):
            from_json(value | change, 106)
    with pytest.raises(ZooError, match="not as expected"):
        from_json({key: number for key, number in value.items() if key != "face"}, 106)
    assert raw(5, 4).typical_spread_px.shape == (5,)
