"""A folder of its own for tests that train: few drawn faces, few crops to check on, and everything as it was in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from training.synthetic import packs


@contextmanager
def workplace(folder: Path, faces: int, calibration_batches: int = 1) -> Iterator[Path]:
    """Works in `folder`, with so many drawn faces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(packs, "_FACES", faces)
        patch.setattr("training.learning.loop._CHECK_CROPS", 4)
        patch.setattr("training.learning.quantize._CALIBRATION_BATCHES", calibration_batches)
        yield folder
