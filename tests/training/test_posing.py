"""A face turned in depth: its pixels and its points go together, nothing is shown twice, what is hidden is said to be."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from meshes import ellipsoid_mesh

from training.data.packs import Pack
from training.learning.batches import balanced_rows, make_batch
from training.learning.configuration import Configuration
from training.teacher.mesh import mesh_to_106, remap
from training.teacher.posing import TurnedFace, _planes, _triangles, draw_turn, mesh_yaw_deg
from zoo.alignment import Alignment, four_points
from zoo.schemes import SCHEMES

SIZE = 240


@pytest.fixture(scope="module")
def mesh():
    """Returns MediaPipe's canonical topology bent over a half ellipsoid: a face of 110 px between the outer eye corners."""
    from mediapipe.python.solutions import face_mesh  # noqa: F401  # the wheel must be there

    return ellipsoid_mesh(SIZE)


def texture():
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.stack([columns, rows, 128 + 0 * rows], axis=-1).astype(np.uint8)  # a pixel's colour says where it is from


def whole(size=SIZE):
    return Alignment(np.array([[size / SIZE, 0.0, 0.0], [0.0, size / SIZE, 0.0]]), size)


def test_the_mesh_of_the_tests_is_a_surface(mesh):
    used = _triangles()[(_triangles() < 468).all(1)]
    a, b, c = mesh[used, :2].swapaxes(0, 1)
    areas = np.abs(np.cross(b - a, c - a)) / 2
    assert areas.sum() == pytest.approx(np.pi * 80 * 100, rel=0.05)  # every spot of the oval once


def test_no_turn_is_the_plain_crop(mesh):
    points = mesh_to_106(mesh)
    face = TurnedFace(texture(), mesh, points, 0.0, 0.0)
    assert np.abs(face.points - points).max() < 1e-9
    alignment = Alignment.from_five(np.array([[90, 100], [150, 100], [120, 130], [105, 160], [135, 160.0]]), 128)
    crop, hidden = face.crop(alignment, cv2.BORDER_CONSTANT, (0, 0, 0))
    plain = alignment.crop(texture())
    assert np.abs(crop.astype(int) - plain)[2:-2, 2:-2].max() <= 2
    assert hidden.mean() < 0.05


@pytest.mark.parametrize(("yaw", "pitch"), [(30, 0), (-30, 0), (20, 10), (0, -15), (-35, 8)])
def test_pixels_and_points_go_together(mesh, yaw, pitch):
    """Where a shown point lands, the crop must have the colour of where it came from."""
    points = mesh_to_106(mesh)
    face = TurnedFace(texture(), mesh, points, yaw, pitch)
    crop, hidden = face.crop(whole(), cv2.BORDER_CONSTANT, (0, 0, 0))
    inner = ~hidden
    inner[:33] = False  # on the outline the surface is seen edge-on
    assert inner.sum() > 40
    columns, rows = np.clip((face.points[inner] - 0.5).round().astype(int), 0, SIZE - 1).T
    errors = np.abs(crop[rows, columns, :2] - (points[inner] - 0.5)).max(1)
    assert np.percentile(errors, 90) < 3 and errors.max() < 8  # pupils lie a little before the lids that hold them


def test_a_positive_yaw_looks_to_the_right_and_hides_the_right_side(mesh):
    points = mesh_to_106(mesh)
    face = TurnedFace(texture(), mesh, points, 40.0, 0.0)
    nose = face.points[54] - points[54]
    assert nose[0] > 20 and abs(nose[1]) < 1
    _, hidden = face.crop(whole(), cv2.BORDER_CONSTANT, (0, 0, 0))
    assert not hidden[:33].any()  # the contour is what the turned face shows
    _, hidden = TurnedFace(texture(), mesh, points, 60.0, 0.0).crop(whole(), cv2.BORDER_CONSTANT, (0, 0, 0))
    assert not hidden[33:42].any() and hidden[42:47].any()  # the far brow goes behind the forehead


def test_a_turn_can_be_taken_back_from_the_yaw(mesh):
    """The mesh's yaw, measured after a turn, grew by that turn."""
    turned = TurnedFace(texture(), mesh, mesh_to_106(mesh), 25.0, 0.0)
    angle = np.deg2rad(25.0)
    about_y = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    assert mesh_yaw_deg(mesh @ about_y.T) == pytest.approx(mesh_yaw_deg(mesh) + 25, abs=1e-6)
    expected = (remap(mesh) @ about_y.T)[33:, :2]
    moved = turned.points[33:] - expected
    assert np.abs(moved - moved[0]).max() < 1e-9  # the same but for the pivot
    contour = mesh_to_106(mesh @ about_y.T)[:33] + moved[0]
    np.testing.assert_allclose(turned.points[:33], contour, atol=1e-6)  # and the contour is the turned mesh's own


def test_turns_go_further_the_way_a_face_looks_and_end_at_65_degrees(mesh):
    rng = np.random.default_rng(0)
    angle = np.deg2rad(40.0)
    looking_right = mesh @ np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]).T
    turns = [draw_turn(looking_right, rng)[0] for _ in range(200)]
    assert min(turns) >= 0 and 15 < max(turns) <= 65 - mesh_yaw_deg(looking_right) < 35
    front = [draw_turn(mesh, rng)[0] for _ in range(200)]
    assert min(front) < -20 and max(front) > 20


def test_planes_pass_through_their_corners():
    rng = np.random.default_rng(0)
    corners, values = rng.normal(size=(50, 3, 2)) * 30, rng.normal(size=(50, 3, 4))
    found = np.einsum("tki,tic->tkc", np.concatenate([corners, np.ones((50, 3, 1))], 2), _planes(corners, values))
    assert np.abs(found - values).max() < 1e-6


def pack_with(mesh, copies=4):
    image, points = texture(), mesh_to_106(mesh)
    return Pack(
        "memory", np.concatenate([image.ravel()] * copies), np.arange(copies) * image.size, np.array([image.shape[:2]] * copies),
        np.array([points] * copies, np.float32), np.ones((copies, 106), np.float32),
        np.array([four_points(SCHEMES["106"].five_points(points))] * copies, np.float32), np.array([f"person{i}" for i in range(copies)]),
        np.zeros((copies, 106), np.uint8), np.array([mesh] * copies, np.float32),
    )  # fmt: skip


def test_batches_turn_as_often_as_asked(mesh):
    pack = pack_with(mesh)
    plain = Configuration(
        "mixed-035-096",
        batch=8,
        photometric=0.0,
        occlusion_chance=0.0,
        wide_chance=0.0,
        mirror_chance=0.0,
        rotation_deg=0.0,
        negative_chance=0.0,
    )
    sideways = {}
    for chance in (0.0, 1.0):
        batch = make_batch(replace(plain, turn_chance=chance), [pack], [np.arange(4)], 0)
        assert np.isfinite(batch.targets).all()
        x = batch.targets[..., 0]
        sideways[chance] = np.abs((x[:, 54] - (x[:, 66] + x[:, 79]) / 2) / (x[:, 79] - x[:, 66]))
    assert sideways[0.0].max() < 0.01 < 0.05 < sideways[1.0].max()
    without = replace(pack, meshes=None)
    assert np.array_equal(make_batch(replace(plain, turn_chance=1.0), [without], [np.arange(4)], 0).targets.shape, (8, 106, 4))


def test_rare_yaws_come_more_often_where_that_is_asked_for(mesh):
    pack = pack_with(mesh, 100)
    four = pack.five.copy()
    four[90:, 2, 0] += 0.3 * (four[90:, 1, 0] - four[90:, 0, 0])  # ten of a hundred look aside
    pack = replace(pack, five=four)
    rows = np.arange(100)
    assert np.array_equal(balanced_rows(pack, rows, 0.0), rows)
    shares = [(balanced_rows(pack, rows, strength) >= 90).mean() for strength in (0.5, 1.0)]
    assert 0.1 < shares[0] < shares[1] < 0.55
    assert set(balanced_rows(pack, rows, 1.0)) == set(range(100))
