"""For tests: packs that lie in memory, and batches of them."""

import numpy as np

from training.data.packs import Pack
from training.learning.batches import make_batch
from zoo.alignment import four_points
from zoo.schemes import SCHEMES


def pack_of(images, points, groups=None):
    """Returns a pack in memory of pictures (H, W, 3) with 106 points each."""
    sizes = [image.size for image in images]
    return Pack(
        "memory", np.concatenate([image.ravel() for image in images]), np.cumsum([0, *sizes[:-1]]), np.array([i.shape[:2] for i in images]),
        np.array(points, np.float32), np.ones((len(images), 106), np.float32),
        np.array([four_points(SCHEMES["106"].five_points(p)) for p in points], np.float32),
        np.array(groups or [f"person{i}" for i in range(len(images))]), np.zeros((len(images), 106), np.uint8),
    )  # fmt: skip


def one_batch(configuration, pack, step=0):
    return make_batch(configuration, [pack], [np.arange(len(pack))], step)
