"""Schemes are complete, their mirrors are involutions that the maps between schemes respect, and spots keep their meaning."""

import numpy as np
import pytest

from training.synthetic.faces import draw_face
from zoo.errors import ZooError
from zoo.schemes import SCHEMES, from_insightface, from_scheme, get_scheme, to_scheme

NAMES = tuple(SCHEMES)
# The 106-point scheme marks each eye's centre beside its pupil; no line is drawn through it.
NOT_DRAWN = {"106": {74, 83}, "98": set(), "68": set()}


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).uniform(0, 100, (106, 2))


@pytest.fixture(scope="module")
def frontal():
    return draw_face(1, 192, yaw=0, pitch=0, roll=0).points


def swapped_side(name):
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


def test_there_are_three_schemes_called_by_their_count():
    assert {name: scheme.count for name, scheme in SCHEMES.items()} == {"106": 106, "98": 98, "68": 68}
    assert get_scheme(68) is SCHEMES["68"]


def test_an_unknown_scheme_names_those_there_are():
    with pytest.raises(ZooError, match=r"unknown scheme '29'.*106, 98, 68"):
        get_scheme("29")


@pytest.mark.parametrize("name", NAMES)
def test_every_point_has_one_name(name):
    scheme = get_scheme(name)
    assert all(scheme.names)
    assert len(set(scheme.names)) == scheme.count


@pytest.mark.parametrize("name", NAMES)
def test_the_mirror_is_an_involution_that_cannot_be_written_to(name):
    mirror = get_scheme(name).mirror
    assert np.array_equal(mirror[mirror], np.arange(len(mirror)))
    with pytest.raises(ValueError, match="read-only"):
        mirror[0] = 1


@pytest.mark.parametrize("name", NAMES)
def test_the_mirror_changes_left_for_right_in_the_names(name):
    scheme = get_scheme(name)
    for index, partner in enumerate(scheme.mirror):
        kind, other = (scheme.names[i].rstrip("0123456789").rstrip("_") for i in (index, partner))
        kind = {"nose_left": "nose_right", "nose_right": "nose_left"}.get(kind, swapped_side(kind))
        assert other == kind, f"{scheme.names[index]} is mirrored into {scheme.names[partner]}"


@pytest.mark.parametrize("name", NAMES)
def test_the_mirror_is_the_geometry_of_a_face_seen_from_the_front(name, frontal):
    points = to_scheme(frontal, name)
    flipped = (points * [-1, 1])[get_scheme(name).mirror]
    distances = np.linalg.norm(flipped[:, None] - flipped[None], axis=-1)
    assert np.allclose(distances, np.linalg.norm(points[:, None] - points[None], axis=-1), atol=0.1 * np.ptp(points, axis=0).max())
    middle = [i for i, partner in enumerate(get_scheme(name).mirror) if i == partner]
    assert np.ptp(points[middle], axis=0)[0] < 0.12 * np.ptp(points[:, 0])  # points that stay lie on the face's axis


@pytest.mark.parametrize("name", NAMES)
def test_parts_hold_every_point_once_and_mirror_into_parts(name):
    scheme = get_scheme(name)
    indices = [index for part in scheme.parts.values() for index in part.indices]
    assert len(indices) == len(set(indices))
    assert set(indices) == set(range(scheme.count)) - NOT_DRAWN[name]
    by_name = {key: {int(scheme.mirror[i]) for i in part.indices} for key, part in scheme.parts.items()}
    assert all(by_name[key] == set(scheme.parts[swapped_side(key)].indices) for key in scheme.parts)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["left_eye", "right_eye", "outer_lip"])
def test_a_closed_part_goes_once_round(name, part, frontal):
    scheme = get_scheme(name)
    assert scheme.parts[part].closed
    ring = to_scheme(frontal, name)[list(scheme.parts[part].indices)]
    spokes = (ring - ring.mean(0)) @ [1, 1j]
    turns = np.angle(np.roll(spokes, -1) / spokes)
    assert turns.min() > 0
    assert turns.sum() == pytest.approx(2 * np.pi)


@pytest.mark.parametrize("name", NAMES)
def test_the_contour_runs_from_the_left_temple_over_the_chin_to_the_right_one(name, frontal):
    scheme = get_scheme(name)
    line = to_scheme(frontal, name)[list(scheme.parts["contour"].indices)]
    middle = len(line) // 2
    assert not scheme.parts["contour"].closed
    assert line[0, 0] < line[middle, 0] < line[-1, 0]
    assert np.argmax(line[:, 1]) in range(middle - 2, middle + 3)


@pytest.mark.parametrize("name", ["98", "68"])
def test_maps_from_the_106_points_commute_with_the_mirrors(name, points):
    mirror = get_scheme(name).mirror
    np.testing.assert_allclose(to_scheme(points[SCHEMES["106"].mirror], name), to_scheme(points, name)[mirror])


@pytest.mark.parametrize("name", NAMES)
def test_maps_to_the_106_points_commute_with_the_mirrors(name):
    scheme, mirror = get_scheme(name), SCHEMES["106"].mirror
    given = np.random.default_rng(1).uniform(0, 100, (scheme.count, 2))
    full, known = from_scheme(given, name)
    mirrored, mirrored_known = from_scheme(given[scheme.mirror], name)
    assert np.array_equal(mirrored_known, known[mirror])
    assert np.allclose(mirrored, full[mirror], atol=1e-12)


@pytest.mark.parametrize("name", ["106", "98"])
def test_what_a_scheme_knows_survives_the_way_through_106_points(name):
    """That of 68 points, which lie elsewhere on their curves: `test_stations`."""
    given = np.random.default_rng(2).uniform(1, 100, (int(name), 2))
    full, known = from_scheme(given, name)
    assert np.array_equal(to_scheme(full, name), given)
    assert not full[~known].any()


def test_maps_take_whole_batches(points):
    batch = np.stack([points, points + 1])
    for name in NAMES:
        assert np.array_equal(to_scheme(batch, name)[1], to_scheme(points + 1, name))


def test_points_of_another_count_are_refused():
    with pytest.raises(ValueError, match=r"68 has points of shape \(68, 2\), received \(67, 2\)"):
        from_scheme(np.zeros((67, 2)), "68")


def test_insightface_order_is_a_permutation_with_its_known_spots():
    index = np.repeat(np.arange(106)[:, None], 2, 1)
    order = from_insightface(index)[:, 0]
    assert np.array_equal(np.sort(order), np.arange(106))
    # InsightFace's own order: chin 0, temples 1 and 17, eye corners 35 39 89 93, nose tip 86, mouth corners 52 61.
    spots = {16: 0, 0: 1, 32: 17, 66: 35, 70: 39, 75: 89, 79: 93, 54: 86, 84: 52, 90: 61}
    assert {ours: int(order[ours]) for ours in spots} == spots


def test_insightface_mirror_pairs_run_in_step():
    """In InsightFace's order a run of one half of the face is mirrored into a run of the other at a fixed distance."""
    order = from_insightface(np.repeat(np.arange(106)[:, None], 2, 1))[:, 0]
    mirror = np.empty(106, int)
    mirror[order] = order[SCHEMES["106"].mirror]
    assert np.array_equal(mirror[1:17], np.arange(17, 33))  # both jaws are stored from temple to chin alike
    assert mirror[0] == 0
    assert np.array_equal(mirror[mirror], np.arange(106))


@pytest.mark.parametrize("name", NAMES)
def test_five_points_are_lid_means_nose_tip_and_mouth_corners(name, frontal):
    scheme = get_scheme(name)
    five = scheme.five_points(to_scheme(frontal, name))
    assert five.shape == (5, 2)
    left, right, nose, left_corner, right_corner = five
    assert left[0] < nose[0] < right[0] and left_corner[0] < nose[0] < right_corner[0]
    assert max(left[1], right[1]) < nose[1] < min(left_corner[1], right_corner[1])
    both = scheme.five_points(np.stack([to_scheme(frontal, name)] * 3))
    assert np.array_equal(both[2], five)


@pytest.mark.parametrize("name", NAMES)
def test_five_points_commute_with_the_mirror(name, points):
    scheme = get_scheme(name)
    given = to_scheme(points, name)
    assert np.allclose(scheme.five_points(given[scheme.mirror]), scheme.five_points(given)[[1, 0, 2, 4, 3]])


def test_gaze_does_not_move_the_five_points(points):
    looking = points.copy()
    looking[[74, 83, 104, 105]] += 5
    assert np.array_equal(SCHEMES["106"].five_points(looking), SCHEMES["106"].five_points(points))


@pytest.mark.parametrize("name", ["98", "68"])
def test_the_twelve_common_spots_and_the_eye_corners_are_the_same_in_every_scheme(name, points):
    scheme, mapped = get_scheme(name), to_scheme(points, name)
    assert len(set(scheme.core12)) == 12
    np.testing.assert_allclose(mapped[list(scheme.core12)], points[list(SCHEMES["106"].core12)])
    assert np.array_equal(mapped[list(scheme.outer_eyes)], points[list(SCHEMES["106"].outer_eyes)])


@pytest.mark.parametrize("name", NAMES)
def test_the_twelve_common_spots_stay_common_in_the_mirror(name):
    scheme = get_scheme(name)
    assert {int(scheme.mirror[i]) for i in scheme.core12} == set(scheme.core12)
    assert tuple(scheme.mirror[list(scheme.outer_eyes)]) == scheme.outer_eyes[::-1]
