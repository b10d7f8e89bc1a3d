"""No label file, however it is changed, ends a reader in anything but faces, problems of one line each, or one clear refusal."""

from __future__ import annotations

import json
import random
import zlib

import layouts
import numpy as np
import pytest
from mutations import mutate

from training.data import checks
from training.data.sources import parse_source, read_all
from training.readers.problems import Problems
from zoo.errors import ZooError
from zoo.stations import DEFINITION

SEED, CHANGES = 0, 20  # of each layout: 380 files in all
PICTURES = (".png", ".jpg")


def labels_file(root, faces):
    """Writes a labels file, as `python -m training label` does."""
    for i, one in enumerate(faces):
        layouts.save(root / "pictures" / f"{i}.png", one.image)
    names, points = np.array([f"{i}.png" for i in range(len(faces))]), np.array([one.points for one in faces])
    weights, mesh = np.ones(points.shape[:2], np.float32), np.zeros((len(faces), 478, 3), np.float32)
    about = {"root": np.array(str(root / "pictures")), "definition": np.array(DEFINITION)}
    np.savez(root / "labels.npz", **about, names=names, points=points, weights=weights, mesh=mesh, hidden=weights == 0)


LAYOUTS = (*layouts.LAYOUTS, ("labels", 106, labels_file))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "count", "write"), LAYOUTS, ids=[f"{name}-{count}" for name, count, _ in LAYOUTS])
def test_changed_label_files_cost_faces_and_lines_but_no_traceback(tmp_path, name, count, write):
    root = tmp_path / "set"
    write(root, [layouts.face(count, seed) for seed in range(3)])
    kept = {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file() and path.suffix.lower() not in PICTURES}
    rng, read = random.Random(SEED + zlib.crc32(f"{name} {count}".encode())), 0
    for _ in range(CHANGES):
        path = rng.choice(list(kept))
        path.write_bytes(mutate(kept[path], path.name, rng))
        problems = Problems()
        try:
            source = parse_source(str(path) if name == "labels" else f"{root}@{name}")
            samples = [(sample, None) for sample in read_all(source, problems)]
        except ZooError as error:
            assert str(error)
        else:
            for sample, _ in samples:
                known = sample.image_points[sample.weights > 0]
                assert np.isfinite(known).all() and np.isfinite(sample.five).all() and sample.split in ("", "train", "val", "test")
            found = checks.inspect(iter(samples), problems, 2, open_pictures=False)
            checks.duplicates(found, lambda samples=samples: iter(samples), problems)
            read += len(samples)
        lines = [*problems.lines(), json.dumps(problems.to_json())]
        assert all("\n" not in line and line.encode() for line in lines)
        path.write_bytes(kept[path])
    assert read >= 3  # what is not changed is read all the same
