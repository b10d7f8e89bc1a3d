"""A folder of pictures without labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import clean_group, group_of
from training.readers.listing import PICTURES, folders, names
from training.readers.problems import Problem
from training.readers.sample import Sample

# Shared by all: a million unlabelled pictures need them once.
_NO_POINTS, _NO_WEIGHTS = np.zeros((106, 2)), np.zeros(106, np.float32)
_NO_FIVE, _NO_NATIVE = np.full((5, 2), np.nan), np.zeros((0, 2))


def read_pictures(root: Path) -> Iterator[Sample | Problem]:
    """Yields a sample of no known point and of scheme "" for every picture in a folder and those within it."""
    for folder in folders(root):
        for name in names(folder, PICTURES):
            yield Sample(folder / name, _NO_POINTS, _NO_WEIGHTS, _NO_FIVE, clean_group(group_of(name)), "", _NO_NATIVE)
