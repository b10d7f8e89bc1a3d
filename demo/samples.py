"""`python -m demo.samples DIR`: sample pictures drawn by the project itself, so that the demonstration needs no download and no licence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training.synthetic import draw_face, draw_scene
from zoo import terminal
from zoo.images import write_image

_PORTRAITS, _GROUPS = (3, 8, 21), (1,)


def main(argv: Sequence[str] | None = None) -> int:
    """Writes portraits and a group picture into a folder."""
    parser = argparse.ArgumentParser(prog="python -m demo.samples", description="Draw sample pictures with synthetic faces.")
    parser.add_argument("folder", type=Path, help="where to write them")
    folder = parser.parse_args(argv).folder
    paths = [write_image(folder / f"portrait_{seed}.png", draw_face(seed, 512).image) for seed in _PORTRAITS]
    paths += [write_image(folder / f"group_{seed}.png", draw_scene(seed)[0]) for seed in _GROUPS]
    print(f"drew {len(paths)} pictures into {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(terminal.run(main))
