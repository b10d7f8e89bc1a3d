"""The contour of the labels is the outline that the picture shows, on heads of known shape."""

from __future__ import annotations

import numpy as np
import pytest
from meshes import ellipsoid_mesh

from training.teacher.mesh import mesh_to_106, remap
from training.teacher.outline import LEFT_JAW, RIGHT_JAW, mesh_edges, seen_jaw


@pytest.fixture(scope="module")
def head():
    """Returns a mesh on half an egg, 160 wide, 200 tall and 70 deep, that looks at the camera."""
    return ellipsoid_mesh(240)


def turned(mesh, yaw_deg):
    angle = np.deg2rad(yaw_deg)
    about_y = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    return (mesh - mesh.mean(0)) @ about_y.T + mesh.mean(0)


def test_of_a_face_that_looks_at_the_camera_the_jaw_is_the_outline(head):
    for jaw in (LEFT_JAW, RIGHT_JAW):
        line, own = seen_jaw(head, jaw), head[list(jaw)]
        nearest = np.linalg.norm(line[:, None, :2] - own[None, :, :2], axis=2).min(0)
        assert nearest.max() < 8  # between vertices some 17 apart, no vertex of the jaw is passed by


@pytest.mark.parametrize("yaw", [-45.0, -30.0, 30.0, 45.0])
def test_on_the_far_side_the_cheek_that_stands_before_the_jaw_is_the_contour(head, yaw):
    mesh = turned(head, yaw)
    far, near = (RIGHT_JAW, LEFT_JAW) if yaw > 0 else (LEFT_JAW, RIGHT_JAW)
    sideways = np.sign(yaw)
    moved = sideways * (seen_jaw(mesh, far)[:, 0].max() if yaw > 0 else seen_jaw(mesh, far)[:, 0].min())
    assert moved > (sideways * mesh[list(far), 0]).max() + 1
    edges = mesh[mesh_edges()][:, :, :2]
    line = seen_jaw(mesh, far)
    # No part of the mesh lies further out than the line, at the line's own heights.
    for x, y in line[:, :2][::4]:
        low, high = edges[:, :, 1].min(1), edges[:, :, 1].max(1)
        if not (mesh[168, 1] < y < mesh[168, 1] + 0.85 * (mesh[152, 1] - mesh[168, 1])):
            continue
        cut = edges[(low < y) & (high > y)]
        share = (y - cut[:, 0, 1]) / (cut[:, 1, 1] - cut[:, 0, 1])
        furthest = (sideways * (cut[:, 0, 0] + share * (cut[:, 1, 0] - cut[:, 0, 0]))).max()
        assert sideways * x == pytest.approx(furthest, abs=0.5)
    own = np.linalg.norm(seen_jaw(mesh, near)[:, None, :2] - mesh[list(near)][None, :, :2], axis=2).min(0)
    assert own.max() < 10  # the near side stays where it was


def test_points_turn_with_the_picture(head):
    mesh, angle = turned(head, 30.0), np.deg2rad(50)
    about_z = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = mesh[:, :2]
    np.testing.assert_allclose(mesh_to_106(3 * flat @ about_z.T + 7), 3 * mesh_to_106(flat) @ about_z.T + 7, atol=1e-6)


def test_depth_is_that_of_the_spot_that_is_seen(head):
    mesh = turned(head, 35.0)
    points = remap(mesh)
    np.testing.assert_allclose(points[:, :2], mesh_to_106(mesh))
    assert mesh[:, 2].min() <= points[:, 2].min() and points[:, 2].max() <= mesh[:, 2].max()
    jaw_depth = mesh[list(RIGHT_JAW), 2].mean()
    assert points[17:33, 2].mean() < jaw_depth  # the far cheek stands nearer than the jaw behind it


def test_a_mesh_without_extent_does_not_stop_the_work():
    assert np.isfinite(mesh_to_106(np.zeros((478, 3)))).all()
