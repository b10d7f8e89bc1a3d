"""Face Synthetics: rendered faces with the 68 points and two pupils."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.readers.listing import PICTURES, folders, names, picture_of
from training.readers.mapping import ZERO_BASED, check_count, sample_of
from training.readers.problems import UNLABELLED, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import points_of, read_lines

LABEL = "_ldmks.txt"


def read_face_synthetics(root: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of `{id}.png` with `{id}_ldmks.txt`: 70 lines `x y`; each rendered face stands alone."""
    for folder in folders(root):
        for name in names(folder, (LABEL,)):
            stem = name[: -len(LABEL)]
            try:
                points = points_of(read_lines(folder / name), None)
                check_count(len(points), 70)
                yield sample_of(picture_of((folder,), stem), points + ZERO_BASED, f"face_synthetics_{stem}")
            except LabelFault as fault:
                yield fault.of(name)
        for name in names(folder, PICTURES):
            stem = Path(name).stem
            if not stem.endswith("_seg") and not any((folder / f"{stem}{label}").is_file() for label in (LABEL, LABEL.upper())):
                yield Problem(UNLABELLED, name)
