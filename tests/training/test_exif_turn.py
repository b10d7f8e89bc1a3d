"""Labels made on a picture before its EXIF turn are found and said, and never trained on; those made on the upright one are used."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from training.data import checks
from training.data.exif_turn import as_shown
from training.data.packs import cut
from training.data.sources import parse_source, read_all
from training.readers.problems import TURNED, Problems
from training.synthetic.faces import draw_face
from zoo.errors import ZooError
from zoo.images import read_image
from zoo.schemes import SCHEMES, to_scheme

SIDE, WIDE = 200, 260
# How the upright picture is stored under each orientation.
STORE = {
    1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud, 5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, 1), 7: lambda p: np.rot90(p, 2).swapaxes(0, 1), 8: lambda p: np.rot90(p, -1),
}  # fmt: skip


def upright() -> tuple[np.ndarray, np.ndarray]:
    """A drawn face off the middle of a wide picture, and its 106 points."""
    face = draw_face(11, SIDE, yaw=0, pitch=0, roll=0)
    image = np.full((SIDE, WIDE, 3), 100, np.uint8)
    image[:, WIDE - SIDE :] = face.image
    return image, face.points + [WIDE - SIDE, 0]


def write(folder, tag: int, points: np.ndarray) -> None:
    """Writes the picture as a camera held so stores it, with a table of labels."""
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(np.ascontiguousarray(STORE[tag](upright()[0]))).save(folder / "a.jpg", exif=exif, quality=95)
    cells = ",".join(f"{value - 0.5:.2f}" for value in to_scheme(points, "68").ravel())
    header = ",".join(f"{axis}{i}" for i in range(68) for axis in "xy")
    (folder / "landmarks.csv").write_text(f"file,{header}\na.jpg,{cells}\n")


def stored(points: np.ndarray, tag: int) -> np.ndarray:
    """Where points of the upright picture lie in the stored one: found by marking pixels, not by the formula under test."""
    found = []
    for x, y in np.floor(points).astype(int):
        mark = np.zeros((SIDE, WIDE), bool)
        mark[np.clip(y, 0, SIDE - 1), np.clip(x, 0, WIDE - 1)] = True
        row, column = np.argwhere(STORE[tag](mark))[0]
        found.append((column + 0.5, row + 0.5))
    return np.array(found)


def described(folder):
    problems = Problems()
    source = parse_source(str(folder))
    found = checks.inspect(((sample, None) for sample in read_all(source, problems)), problems, 1)
    return found.usable, problems


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_label_of_the_upright_picture_is_used(tmp_path, tag):
    write(tmp_path, tag, upright()[1])
    assert read_image(tmp_path / "a.jpg").shape == (SIDE, WIDE, 3)
    usable, problems = described(tmp_path)
    assert usable == 1 and not problems.left_out
    cut(next(read_all(parse_source(str(tmp_path)), Problems())))


@pytest.mark.parametrize("tag", range(2, 9))
def test_a_label_of_the_stored_picture_is_told_of_and_left_out(tmp_path, tag):
    points = stored(upright()[1], tag)
    mirrored = tag in (2, 4, 5, 7)  # there people call left what is left in the picture
    if mirrored:
        points = points[list(SCHEMES["106"].mirror)]
    write(tmp_path, tag, points)
    usable, problems = described(tmp_path)
    assert usable == 0 and problems.counts == {TURNED: 1} and f"a.jpg (orientation {tag}: " in problems.lines()[0]
    with pytest.raises(ZooError, match=TURNED):
        cut(next(read_all(parse_source(str(tmp_path)), Problems())))


@pytest.mark.parametrize("tag", range(1, 9))
def test_points_are_turned_as_pixels_are(tag):
    points = np.floor(np.random.default_rng(0).uniform([0, 0], [WIDE, SIDE], (20, 2))) + 0.5
    assert np.array_equal(as_shown(stored(points, tag), tag, (WIDE, SIDE)), points)


def test_points_outside_that_the_turn_brings_inside_are_a_sign_without_a_detector(tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.exif_turn.detect_faces", None)
    high = upright()[1] - [WIDE - SIDE, 0]
    write(tmp_path, 6, high + [0, WIDE - 2 - high[:, 1].max()])
    usable, problems = described(tmp_path)
    assert usable == 0 and "points outside, none where it is turned" in problems.lines()[0]
