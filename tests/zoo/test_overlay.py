"""Overlays show the points where they are, on a copy, at every size of face."""

import numpy as np
import pytest

from zoo.errors import ZooError
from zoo.overlay import DOT_COLOUR, HALO_COLOUR, draw_points, score_colours
from zoo.schemes import SCHEMES

# The centre of gravity of a drawn dot; its strokes are anti-aliased to a sixteenth of a pixel and rounded to 8 bits.
CENTRE_TOLERANCE_PX = 0.1


def spread_points(scheme, size):
    """Points in a grid over the picture, so that none hides another."""
    count = SCHEMES[scheme].count
    columns = int(np.ceil(np.sqrt(count)))
    index = np.arange(count)
    return (np.stack([index % columns, index // columns], 1) + 0.5) * size / (columns + 1)


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_the_input_stays_as_it_was_and_the_copy_changes(scheme):
    image = np.full((120, 120, 3), 90, np.uint8)
    drawn = draw_points(image, spread_points(scheme, 120), scheme=scheme)
    assert (image == 90).all() and drawn.shape == image.shape and drawn.dtype == np.uint8
    assert (drawn != 90).any()


@pytest.mark.parametrize("size", [200, 900, 3000])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.25, 0.5), (0.7, 0.1)])
def test_a_dot_lies_where_its_point_is_to_a_fraction_of_a_pixel(size, offset):
    # Of all points only a pupil, which no line touches, lies alone in a corner; the others only give the face its size.
    points = np.full((106, 2), np.nan)
    points[104] = np.array([0.3, 0.4]) * size + offset
    points[16] = [0.9 * size, 0.9 * size]
    drawn = draw_points(np.zeros((size, size, 3), np.uint8), points)
    blue = drawn[: size // 2, : size // 2, 2].astype(np.float64)
    y, x = np.mgrid[: blue.shape[0], : blue.shape[1]] + 0.5
    centre = np.array([(x * blue).sum(), (y * blue).sum()]) / blue.sum()
    assert np.abs(centre - points[104]).max() < CENTRE_TOLERANCE_PX


def test_dots_grow_with_the_face():
    def touched(size):
        points = np.full((106, 2), np.nan)
        points[104], points[105] = (0.25 * size, 0.25 * size), (0.75 * size, 0.75 * size)
        return (draw_points(np.zeros((size, size, 3), np.uint8), points) > 0).any(2).sum()

    assert touched(3000) > 20 * touched(300)


def test_lines_join_a_part_and_leave_parts_apart():
    points = np.full((106, 2), np.nan)
    points[0], points[1] = (20, 20), (180, 20)  # neighbours on the contour
    points[33], points[42] = (20, 180), (180, 180)  # two brows
    drawn = draw_points(np.zeros((200, 200, 3), np.uint8), points)
    assert drawn[20, 100].min() > 128
    assert drawn[180, 100].max() == 0


def test_scores_colour_the_points_from_red_to_green():
    low, middle, high = score_colours(np.array([0.0, 0.5, 1.0])).astype(int)
    assert low[0] > 2 * low[1] and high[1] > 2 * high[0] and min(middle[:2]) > 150
    np.testing.assert_array_equal(score_colours(np.array([np.nan, -3.0, 7.0])), score_colours(np.array([0.0, 0.0, 1.0])))

    points = np.full((106, 2), np.nan)
    points[104], points[105] = (100, 100), (300, 300)
    scores = np.zeros(106)
    scores[105] = 1
    drawn = draw_points(np.zeros((400, 400, 3), np.uint8), points, scores)
    np.testing.assert_array_equal(drawn[100, 100], score_colours(np.zeros(1))[0])
    np.testing.assert_array_equal(drawn[300, 300], score_colours(np.ones(1))[0])
    np.testing.assert_array_equal(draw_points(np.zeros((400, 400, 3), np.uint8), points)[100, 100], DOT_COLOUR)


def test_several_faces_and_indices():
    image = np.full((300, 600, 3), 60, np.uint8)
    left = spread_points("68", 250)
    both = draw_points(image, np.stack([left, left + np.array([300, 0])]), np.ones((2, 68)), scheme="68")
    np.testing.assert_array_equal(both[:, 300:580], both[:, :280])
    plain, numbered = draw_points(image, left, scheme="68"), draw_points(image, left, scheme="68", indices=True)
    assert (plain != numbered).any()


@pytest.mark.parametrize("place", [np.nan, np.inf, -1e12, 1e12, -5000.0, 5000.0])
def test_points_off_the_picture_draw_nothing_and_raise_nothing(place):
    image = np.full((50, 50, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw_points(image, np.full((106, 2), place)), image)


def test_one_wild_point_does_not_keep_the_rest_from_being_drawn():
    points = spread_points("106", 100)
    points[3] = (1e15, np.nan)
    assert (draw_points(np.zeros((100, 100, 3), np.uint8), points) > 0).any()


def test_a_tiny_picture_is_drawn_on():
    assert draw_points(np.zeros((1, 1, 3), np.uint8), np.full((106, 2), 0.5)).shape == (1, 1, 3)


def test_points_and_scores_that_do_not_fit_are_refused():
    image = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(ZooError, match=r"106.*\(68, 2\)"):
        draw_points(image, np.zeros((68, 2)))
    with pytest.raises(ZooError, match="scores"):
        draw_points(image, np.zeros((106, 2)), np.zeros(68))
    with pytest.raises(ZooError, match="unknown scheme"):
        draw_points(image, np.zeros((106, 2)), scheme="107")


def test_occluded_points_are_hollow_and_others_are_not():
    points, image = spread_points("68", 300), np.zeros((340, 340, 3), np.uint8)
    visible = np.where(np.arange(68) % 2, 0.9, 0.1)
    drawn = draw_points(image, points, np.ones(68), "68", visible=visible)
    plain = draw_points(image, points, np.ones(68), "68")
    at = np.floor(points).astype(int)
    green, dark = drawn[at[:, 1], at[:, 0]], np.array(HALO_COLOUR)
    assert np.abs(green[::2].astype(int) - dark).max() < 40
    np.testing.assert_array_equal(green[1::2], plain[at[1::2, 1], at[1::2, 0]])
    with pytest.raises(ZooError, match="need visibilities of shape"):
        draw_points(image, points, scheme="68", visible=np.ones(5))
