"""A head for tests of the mesh: MediaPipe's vertices laid over an egg."""

import numpy as np

from training.readers.sample import MESH_COUNT
from training.teacher.outline import mesh_edges
from training.teacher.posing import _OVAL


def ellipsoid_mesh(side):
    """Lays the vertices out by relaxing the mesh's own edges with its outline held on an oval, then gives them the depth of an egg.

    Returns a mesh (478, 3) in the middle of a picture of this side, in pixels.
    """
    edges = np.vstack([mesh_edges(), mesh_edges()[:, ::-1]])
    place = np.zeros((MESH_COUNT, 2))
    angle = np.linspace(0, 2 * np.pi, len(_OVAL), endpoint=False)
    rim = np.column_stack([np.sin(angle), -np.cos(angle)]) * [80, 100]
    for _ in range(800):
        total, count = np.zeros_like(place), np.zeros(MESH_COUNT)
        np.add.at(total, edges[:, 0], place[edges[:, 1]])
        np.add.at(count, edges[:, 0], 1)
        place = np.divide(total, count[:, None], out=place.copy(), where=count[:, None] > 0)
        place[list(_OVAL)] = rim
    for first, rim_of_eye in ((468, (33, 133, 159, 145)), (473, (362, 263, 386, 374))):  # the irises hang on no edge
        place[first : first + 5] = place[list(rim_of_eye)].mean(0)
    depth = -70 * np.sqrt(np.clip(1 - (place[:, 0] / 81) ** 2 - (place[:, 1] / 101) ** 2, 0, None))
    return np.column_stack([place + side / 2, depth])
