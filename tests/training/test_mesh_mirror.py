"""Picture and mirror image mean the same vertices of a face, so that their meshes can be compared and averaged."""

from __future__ import annotations

import numpy as np

from training.readers.sample import MESH_COUNT
from training.teacher.mesh import mesh_to_106, mirrored
from training.teacher.mesh_mirror import MESH_MIRROR, mirrored_mesh
from training.teacher.outline import LEFT_JAW, RIGHT_JAW, mesh_edges

_MIRROR = np.array(MESH_MIRROR)


def test_two_mirrors_are_none():
    np.testing.assert_array_equal(_MIRROR[_MIRROR], np.arange(MESH_COUNT))
    mesh = np.random.default_rng(0).uniform(0, 100, (MESH_COUNT, 3))
    np.testing.assert_allclose(mirrored_mesh(mirrored_mesh(mesh, 640), 640), mesh)


def test_neighbours_stay_neighbours():
    edges = {tuple(edge) for edge in mesh_edges()}
    kept = [tuple(sorted(edge)) in edges for edge in _MIRROR[mesh_edges()]]
    assert np.mean(kept) > 0.98  # a few diagonals of the mesh are not symmetric


def test_either_jaw_and_either_iris_become_the_other():
    assert _MIRROR[list(LEFT_JAW)].tolist() == list(RIGHT_JAW[::-1])
    assert _MIRROR[[33, 133, 61, 468]].tolist() == [263, 362, 291, 473]


def test_the_106_points_of_a_mirrored_mesh_are_the_mirrored_points():
    mesh = np.random.default_rng(1).uniform(0, 100, (MESH_COUNT, 3))
    np.testing.assert_allclose(mesh_to_106(mirrored_mesh(mesh, 100)), mirrored(mesh_to_106(mesh), 100), atol=1e-9)
