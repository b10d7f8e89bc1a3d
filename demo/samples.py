"""`python -m demo.samples DIR`: sample pictures drawn by the project itself, so that the demonstration needs no download and no licence."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.synthetic.faces import draw_face, draw_scene
from zoo import terminal
from zoo.errors import unknown
from zoo.images import write_image

_PORTRAITS = {"Portrait": 16, "Smile": 9, "Tilted": 3, "Turned": 26}
_SCENES = {"Group": 5}
NAMES = (*_PORTRAITS, *_SCENES)
SIDE_PX = 512


@dataclass(frozen=True, eq=False)
class Sample:
    """A drawn picture: (H, W, 3) uint8 RGB, and the true 106 points (faces, 106, 2) of its faces in image pixels."""

    image: np.ndarray
    truth: np.ndarray


@functools.cache
def draw_sample(name: str) -> Sample:
    """Returns the sample called `name`, one of `NAMES`: the same picture every time, to be read only. A ZooError lists the names."""
    if name in _PORTRAITS:
        face = draw_face(_PORTRAITS[name], SIDE_PX)
        image, truth = face.image, face.points[None]
    elif name in _SCENES:
        image, points = draw_scene(_SCENES[name])
        truth = np.stack(points)
    else:
        raise unknown("sample", name, NAMES)
    for array in (image, truth):
        array.flags.writeable = False
    return Sample(image, truth)


def main(argv: Sequence[str] | None = None) -> int:
    """Writes portraits and a group picture into a folder."""
    parser = argparse.ArgumentParser(prog="python -m demo.samples", description="Draw sample pictures with synthetic faces.")
    parser.add_argument("folder", type=Path, help="where to write them")
    folder = parser.parse_args(argv).folder
    paths = [write_image(folder / f"{name.lower()}.png", draw_sample(name).image) for name in NAMES]
    print(f"drew {len(paths)} pictures into {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(terminal.run(main))
