"""Alignment is an exact similarity with an exact inverse, and pixels land where it says, at every scale."""

import re

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE, Alignment, check_inside, four_points
from zoo.errors import ZooError

ROUND_TRIP_PX = 1e-3
# OpenCV rounds sampling positions to 1/32 of a source pixel; a dot of several pixels averages most of that away.
DOT_PX = 0.05
EYE_SHARE = 0.32  # of the crop's side, between the eyes of the template

angles = st.floats(-180, 180)
scales = st.floats(0.25, 20)  # image pixels per crop pixel
offsets = st.tuples(st.floats(-500, 3000), st.floats(-500, 3000))
sizes = st.sampled_from([96, 128, 192])
noises = st.lists(st.tuples(st.floats(-0.03, 0.03), st.floats(-0.03, 0.03)), min_size=5, max_size=5)
quick = settings(deadline=None, max_examples=60, derandomize=True)


def five_of(four):
    """Returns five points whose mouth corners lie evenly about the fourth of four."""
    return np.vstack([four[:3], four[3] - [0.11, 0.01], four[3] + [0.11, 0.01]])


def placed(shares, size, angle_deg, scale, offset):
    """Returns crop shares as image points under a similarity."""
    turn = np.exp(1j * np.deg2rad(angle_deg)) * scale
    z = (shares * size) @ [1, 1j] * turn
    return np.column_stack([z.real, z.imag]) + offset


@quick
@given(angles, scales, offsets, sizes, noises)
def test_crop_and_image_are_inverse(angle, scale, offset, size, noise):
    five = placed(five_of(LABEL_TEMPLATE) + noise, size, angle, scale, offset)
    alignment = Alignment.from_five(five, size)
    points = np.random.default_rng(0).uniform(-2000, 5000, (50, 2))
    assert np.abs(alignment.to_image(alignment.to_crop(points)) - points).max() < ROUND_TRIP_PX
    crop_points = np.random.default_rng(0).uniform(-size, 2 * size, (50, 2))
    assert np.abs(alignment.to_crop(alignment.to_image(crop_points)) - crop_points).max() < ROUND_TRIP_PX


@quick
@given(angles, scales, offsets, sizes, st.sampled_from([LABEL_TEMPLATE, DETECTOR_TEMPLATE]))
def test_a_face_that_is_the_template_is_laid_exactly_on_it(angle, scale, offset, size, template):
    alignment = Alignment.from_five(placed(five_of(template), size, angle, scale, offset), size, template)
    four = placed(template, size, angle, scale, offset)
    assert np.allclose(alignment.to_crop(four), template * size, atol=1e-6)
    assert alignment.scale == pytest.approx(1 / scale)


@quick
@given(angles, scales, offsets, sizes, noises)
def test_only_the_mouths_centre_enters(angle, scale, offset, size, noise):
    five = placed(five_of(LABEL_TEMPLATE) + noise, size, angle, scale, offset)
    four = np.vstack([five[:3], five[3:].mean(0)])
    assert np.allclose(Alignment.from_five(four, size).matrix, Alignment.from_five(five, size).matrix, atol=1e-9)


@quick
@given(angles, scales, offsets, sizes, noises)
def test_it_is_the_similarity_of_least_squares(angle, scale, offset, size, noise):
    four = four_points(placed(five_of(LABEL_TEMPLATE) + noise, size, angle, scale, offset))
    x, y = four.T
    zero, one = np.zeros(4), np.ones(4)
    system = np.vstack([np.column_stack([x, -y, one, zero]), np.column_stack([y, x, zero, one])])
    a, b, tx, ty = np.linalg.lstsq(system, (LABEL_TEMPLATE * size).T.ravel(), rcond=None)[0]
    assert np.allclose(Alignment.from_five(four, size).matrix, [[a, -b, tx], [b, a, ty]], rtol=1e-6, atol=1e-5)


def test_the_detectors_template_differs_from_the_labels_by_little():
    assert np.abs(DETECTOR_TEMPLATE - LABEL_TEMPLATE).max() < 0.02
    assert LABEL_TEMPLATE[1, 0] - LABEL_TEMPLATE[0, 0] == pytest.approx(EYE_SHARE)


# ---- perturbation ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def alignment():
    return Alignment.from_five(placed(five_of(LABEL_TEMPLATE), 128, 20, 1.7, (40, 60)), 128)


def moved(alignment, crop_point, **options):
    """Returns where a point of the unperturbed crop lies after a perturbation."""
    return alignment.perturbed(**options).to_crop(alignment.to_image(np.array(crop_point, np.float64)))


def test_nothing_perturbed_is_the_same(alignment):
    assert np.allclose(alignment.perturbed().matrix, alignment.matrix)


def test_a_positive_rotation_turns_clockwise_about_the_centre(alignment):
    assert np.allclose(moved(alignment, (64, 64), rotation_deg=90), (64, 64))
    assert np.allclose(moved(alignment, (74, 64), rotation_deg=90), (64, 74))  # what was right of the centre lies below it


def test_a_scale_above_one_enlarges_the_face(alignment):
    assert np.allclose(moved(alignment, (74, 64), scale=1.5), (79, 64))
    assert alignment.perturbed(scale=1.5).scale == pytest.approx(1.5 * alignment.scale)


def test_a_shift_counts_in_eye_distances(alignment):
    assert np.allclose(moved(alignment, (10, 20), shift=(1, 0)), (10 + EYE_SHARE * 128, 20))
    assert np.allclose(moved(alignment, (10, 20), shift=(0, -0.5)), (10, 20 - EYE_SHARE * 64))


def test_the_mirror_comes_last_and_keeps_the_crop(alignment):
    turned = moved(alignment, (30, 50), rotation_deg=25, scale=1.2, shift=(0.1, 0.2))
    mirrored = moved(alignment, (30, 50), rotation_deg=25, scale=1.2, shift=(0.1, 0.2), mirror=True)
    assert np.allclose(mirrored, [128 - turned[0], turned[1]])


@quick
@given(angles, st.floats(0.5, 2), st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)), st.booleans())
def test_perturbed_alignments_keep_their_inverse_and_compose(angle, scale, shift, mirror):
    alignment = Alignment.from_five(placed(five_of(LABEL_TEMPLATE), 128, 20, 1.7, (40, 60)), 128)
    once = alignment.perturbed(angle, scale, shift, mirror)
    points = np.random.default_rng(0).uniform(0, 300, (20, 2))
    assert np.abs(once.to_image(once.to_crop(points)) - points).max() < ROUND_TRIP_PX
    assert once.scale == pytest.approx(alignment.scale * scale)
    assert np.allclose(alignment.perturbed(angle).perturbed(-angle).matrix, alignment.matrix)
    assert np.allclose(once.perturbed(mirror=True).perturbed(mirror=True).matrix, once.matrix)


def smooth_picture(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def test_the_pixels_of_a_mirrored_alignment_are_the_mirrored_pixels(alignment):
    picture = smooth_picture(300, 340)
    plain, mirrored = alignment.crop(picture), alignment.perturbed(mirror=True).crop(picture)
    inside = np.abs(plain[:, ::-1].astype(int) - mirrored.astype(int))
    assert np.percentile(inside, 99) <= 3 and inside.mean() < 1


# ---- pixels ----------------------------------------------------------------------------------------------------------------------------


def picture_with_dot(height, width, at, sigma_px):
    """Returns a black picture with a Gaussian dot at an exact edge-based place."""
    x = np.exp(-((np.arange(width) + 0.5 - at[0]) ** 2) / (2 * sigma_px**2))
    y = np.exp(-((np.arange(height) + 0.5 - at[1]) ** 2) / (2 * sigma_px**2))
    return np.repeat(np.rint(250 * np.outer(y, x)).astype(np.uint8)[..., None], 3, 2)


def centroid(crop):
    mass = crop[..., 0].astype(np.float64)
    columns, rows = np.arange(crop.shape[1]) + 0.5, np.arange(crop.shape[0]) + 0.5
    return np.array([(mass.sum(0) * columns).sum(), (mass.sum(1) * rows).sum()]) / mass.sum()


def off_by(reduction, angle_deg, size, shape, crop_centre_at, dot_at, mirror=False):
    """Returns how far from `to_crop` a dot lands, in crop pixels.

    Args:
      reduction: image pixels per crop pixel.
      crop_centre_at, dot_at: image pixels.
    """
    face = placed(five_of(LABEL_TEMPLATE) - 0.5, size, angle_deg, reduction, crop_centre_at)
    alignment = Alignment.from_five(face, size).perturbed(mirror=mirror)
    assert alignment.scale == pytest.approx(1 / reduction)
    crop = alignment.crop(picture_with_dot(*shape, dot_at, sigma_px=max(1.3, 1.4 * reduction)))
    expected = alignment.to_crop(np.array(dot_at))
    assert ((expected > 6) & (expected < size - 6)).all(), "the dot is not whole within the crop: the test is at fault"
    return float(np.linalg.norm(centroid(crop) - expected))


@pytest.mark.parametrize("reduction", [0.3, 0.55, 1.0, 1.3, 2.0, 2.3, 3.999, 5.0, 9.0])
@pytest.mark.parametrize("angle", [0, 33, -160])
@pytest.mark.parametrize("size", [96, 128])
def test_a_dot_lands_where_the_alignment_says(reduction, angle, size):
    side = int(1.5 * size * reduction) + 41
    rng = np.random.default_rng([int(100 * reduction), angle + 180])
    for _ in range(2):
        centre = side / 2 + rng.uniform(-1, 1, 2)
        dot = centre + rng.uniform(-0.25, 0.25, 2) * size * reduction
        assert off_by(reduction, angle, size, (side, side + 7), centre, dot) < DOT_PX


@pytest.mark.parametrize("reduction", [1.0, 2.3, 5.0, 9.0])
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_dot_near_the_border_of_a_picture_of_any_size_lands_there_too(reduction, corner):
    """The crop hangs over the picture's edge, and the picture is no whole number of blocks."""
    for height, width in ((407, 613), (410, 611)):
        height, width = int(height * reduction / 3) + 150, int(width * reduction / 3) + 150
        margin = 4 * max(1.3, 1.4 * reduction)
        dot = np.where(corner, np.array([width, height]) - margin - 0.37, margin + 0.37)
        assert off_by(reduction, 10, 128, (height, width), dot + 7.3, dot) < DOT_PX


@pytest.mark.parametrize("reduction", [0.5, 2.3, 5.0])
def test_a_dot_lands_where_a_mirrored_alignment_says(reduction):
    side = int(200 * reduction) + 30
    assert off_by(reduction, 15, 128, (side, side), (side / 2, side / 2), (side / 2 + 20 * reduction, side / 2 - 9.3), mirror=True) < DOT_PX


def test_a_large_reduction_averages_and_does_not_alias():
    board = np.indices((1200, 1200)).sum(0) % 2 * 255  # a chequerboard of single pixels is grey from afar
    alignment = Alignment.from_five(placed(five_of(LABEL_TEMPLATE) - 0.5, 128, 0, 8.0, (600, 600)), 128)
    middle = alignment.crop(np.uint8(board))[16:-16, 16:-16].astype(int)
    assert np.abs(middle - 127.5).max() < 20


def test_an_unscaled_crop_is_a_copy():
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    alignment = Alignment.from_five(LABEL_TEMPLATE * 128, 128)
    assert np.array_equal(alignment.crop(picture), picture)
    assert np.array_equal(alignment.crop(picture[..., 0]), picture[..., 0])


def test_what_lies_outside_the_picture_has_the_border_asked_for():
    picture = np.full((60, 60, 3), 200, np.uint8)
    alignment = Alignment.from_five(placed(five_of(LABEL_TEMPLATE) - 0.5, 96, 0, 1.0, (30, 30)), 96)
    assert (alignment.crop(picture)[:10] == 0).all()
    assert (alignment.crop(picture, cv2.BORDER_CONSTANT, (1, 2, 3))[:10] == (1, 2, 3)).all()
    assert (alignment.crop(picture, cv2.BORDER_REPLICATE) == 200).all()


@pytest.mark.parametrize("reduction", [1.0, 4.0])
def test_a_crop_of_nothing_but_border_is_a_crop(reduction):
    picture = np.full((50, 40, 3), 200, np.uint8)
    for centre in ((-5000, 20), (5000, 20), (20, -5000), (5000, 5000)):
        alignment = Alignment.from_five(placed(five_of(LABEL_TEMPLATE) - 0.5, 96, 0, reduction, centre), 96)
        assert not alignment.crop(picture).any()


@pytest.mark.parametrize("shape", [(40, 40_000), (40_000, 40)])
def test_a_very_long_picture_can_be_cropped(shape):
    """OpenCV refuses sources of 32,767 pixels and more on a side."""
    at = (shape[1] / 2 + 0.3, shape[0] / 2 + 0.2)
    picture = picture_with_dot(*shape, at, sigma_px=4)
    for reduction in (1.0, 2.7):
        alignment = Alignment.from_five(placed(five_of(LABEL_TEMPLATE) - 0.5, 96, 0, reduction, at), 96)
        assert np.linalg.norm(centroid(alignment.crop(picture)) - alignment.to_crop(np.array(at))) < DOT_PX


def test_a_picture_of_one_pixel_can_be_cropped():
    for reduction in (0.25, 1.0, 5.0):
        alignment = Alignment.from_five(placed(five_of(LABEL_TEMPLATE) - 0.5, 96, 0, reduction, (0.5, 0.5)), 96)
        assert alignment.crop(np.full((1, 1, 3), 77, np.uint8), cv2.BORDER_REPLICATE).max() == 77


# ---- what cannot be used ----------------------------------------------------------------------------------------------------------------

GOOD = LABEL_TEMPLATE * 200


@pytest.mark.parametrize(
    ("five", "message"),
    [
        (np.vstack([GOOD[:3], [[np.nan, 3]]]), "must be finite"),
        (np.vstack([GOOD[:3], [[np.inf, 3]]]), "must be finite"),
        (np.full((5, 2), 50.0), "too near to say how the face lies"),
        (GOOD[:3], r"received \(3, 2\)"),
        (GOOD.ravel(), r"received \(8,\)"),
        (np.zeros((106, 2)), r"received \(106, 2\)"),
        (None, r"received \(\)"),
        ("nose", "must be numbers"),
        ([["a", "b"]] * 5, "must be numbers"),
        ([[1, 2], [3]], "must be numbers"),
        (GOOD[[1, 0, 2, 3]], "left eye"),
    ],
    ids=["nan", "infinite", "collapsed", "three", "flat", "all 106", "none", "word", "words", "ragged", "eyes exchanged"],
)
def test_points_that_mark_no_face_are_refused_in_one_line(five, message):
    with pytest.raises(ZooError, match=message) as error:
        Alignment.from_five(five, 128)
    assert "\n" not in str(error.value)


@quick
@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40)), min_size=4, max_size=4))
def test_any_four_points_give_an_alignment_with_an_inverse_or_a_refusal(four):
    try:
        alignment = Alignment.from_five(np.array(four), 128)
    except ZooError:
        return
    points = np.array([[0.0, 0.0], [50.0, 20.0]])
    assert np.abs(alignment.to_image(alignment.to_crop(points)) - points).max() < ROUND_TRIP_PX


@pytest.mark.parametrize("offset", [(-400, 0), (0, -400), (700, 0), (0, 700)])
def test_a_face_outside_the_picture_is_refused_in_one_line(offset):
    with pytest.raises(ZooError, match=re.escape("the picture is 300 x 200 px")) as error:
        check_inside(four_points(GOOD + offset), (200, 300, 3))
    assert "\n" not in str(error.value)


def test_a_face_partly_outside_the_picture_is_accepted():
    check_inside(four_points(GOOD - np.array([70, 0])), (200, 300, 3))
    check_inside(four_points(GOOD), (200, 300))
