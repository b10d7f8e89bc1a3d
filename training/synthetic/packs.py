"""The pack of drawn faces, as a training takes it: drawn once, and anew when the code that draws has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.data.packs import CACHE, NOTHING_HIDDEN, Face, Pack, open_pack
from training.synthetic.faces import draw_face
from zoo.schemes import SCHEMES

SOURCE = "synthetic"
_FACES = 768


def prepare(cache: Path = CACHE) -> Pack:
    """Returns the pack of drawn faces, drawn now or found in the cache."""
    code = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
    return open_pack(SOURCE, f"{_FACES} {code}", _draw, cache)


def _draw() -> Iterator[Face]:
    for seed in tqdm(range(_FACES), desc="draw synthetic faces", unit="face"):
        face = draw_face(seed)
        five, weights = SCHEMES["106"].five_points(face.points), np.ones(106, np.float32)
        yield face.image, face.points, weights, five, NOTHING_HIDDEN, None, f"{SOURCE}_{seed}"
