"""Every layout of pairs is read as it is written, and what is broken, or dangerous, is refused in one line."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.studies.pairs import FOLDS, Picture, from_persons, read_bin, read_lfw, read_pairs
from zoo.errors import ZooError
from zoo.images import write_image


def encoded(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def people(counts: list[int]) -> tuple[list[Picture], list[str]]:
    persons = [str(person) for person, count in enumerate(counts) for _ in range(count)]
    return [Picture(f"{i}", np.zeros((4, 4, 3), np.uint8)) for i in range(len(persons))], persons


def test_folds_hold_persons_of_their_own_and_as_many_pairs_of_each_kind():
    pictures, persons = people([5] * 25 + [1] * 15)
    pairs = from_persons("set", pictures, persons)
    person = np.array(persons)[pairs.indices]
    np.testing.assert_array_equal(person[:, 0] == person[:, 1], pairs.same)
    where = [set(person[pairs.folds == fold].ravel()) for fold in range(FOLDS)]
    assert all(not where[i] & where[j] for i in range(FOLDS) for j in range(i))
    for fold in range(FOLDS):
        same = pairs.same[pairs.folds == fold]
        assert same.sum() == (~same).sum() > 0
    assert len({tuple(sorted(pair)) for pair in pairs.indices.tolist()}) == len(pairs.indices)
    again = from_persons("set", pictures, persons)
    np.testing.assert_array_equal(pairs.indices, again.indices)


@pytest.mark.parametrize("counts", [[1] * 40, [5] * 9 + [1] * 30, [5] * 12])
def test_too_few_persons_are_refused(counts):
    with pytest.raises(ZooError, match="20 and 10 are needed"):
        from_persons("set", *people(counts))


@pytest.mark.parametrize("layout", ["folders", "names", "images"])
def test_a_folder_of_persons_is_read_by_folder_or_by_name(tmp_path, layout):
    for person in range(20):
        for index in range(2):
            name = {"folders": f"P{person}/{index}.png", "names": f"P{person}_{index}.png", "images": f"images/P{person}_{index}.png"}[
                layout
            ]
            write_image(tmp_path / name, np.full((4, 4, 3), person, np.uint8))
    pairs = read_pairs(str(tmp_path))
    assert len(np.unique(pairs.persons)) == 20 and pairs.same.sum() == 20
    levels = [[pairs.pictures[i].read()[0, 0, 0] for i in pair] for pair in pairs.indices]
    assert [a == b for a, b in levels] == pairs.same.tolist()


def write_lfw(root: Path, lines: list[str]) -> Path:
    for name, count in (("Ann_Lee", 3), ("Bo", 2)):
        for index in range(1, count + 1):
            write_image(root / "pictures" / name / f"{name}_{index:04d}.png", np.zeros((4, 4, 3), np.uint8))
    (root / "pairs.txt").write_text("\n".join(lines))
    return root


def test_lfw_list(tmp_path):
    pairs = read_lfw(write_lfw(tmp_path, ["2\t1", "Ann_Lee\t1\t3", "Ann_Lee\t1\tBo\t2", "Bo\t1\t2", "Bo\t1\tAnn_Lee\t2"]))
    assert pairs.same.tolist() == [True, False, True, False] and pairs.folds.tolist() == [0, 0, 1, 1]
    named = [[pairs.pictures[i].name for i in pair] for pair in pairs.indices]
    assert named == [["Ann_Lee_0001", "Ann_Lee_0003"], ["Ann_Lee_0001", "Bo_0002"], ["Bo_0001", "Bo_0002"], ["Bo_0001", "Ann_Lee_0002"]]
    assert len(np.unique(pairs.persons)) == 2 and all(picture.read().shape == (4, 4, 3) for picture in pairs.pictures)
    assert read_pairs(str(tmp_path)).title == tmp_path.name


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["1 2", "Bo 1 2", "Bo 1 Ann_Lee 1"], "has 2 pairs; its first line says 1 folds of 2 x 2"),
        (["1 1", "Bo 1 2", "Bo one Ann_Lee 1"], "line 3: 'NAME i j'"),
        (["1 1", "Bo 1 9", "Bo 1 Ann_Lee 1"], "names picture 9 of Bo"),
        (["pairs"], "does not begin with the numbers"),
        ([""], "does not begin with the numbers"),
    ],
)
def test_a_broken_list_is_refused(tmp_path, lines, fault):
    with pytest.raises(ZooError, match=fault):
        read_lfw(write_lfw(tmp_path, lines))


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("as_arrays", [False, True])
def test_bin_files_of_any_age(tmp_path, protocol, as_arrays):
    contents = [encoded(level) for level in range(40)]
    held = [np.frombuffer(content, np.uint8) for content in contents] if as_arrays else contents
    path = tmp_path / "cfp_fp.bin"
    path.write_bytes(pickle.dumps((held, [i % 2 == 0 for i in range(20)]), protocol=protocol))
    pairs = read_bin(path)
    assert pairs.title == "cfp_fp" and pairs.same.tolist() == [i % 2 == 0 for i in range(20)] and pairs.persons is None
    assert np.bincount(pairs.folds).tolist() == [2] * FOLDS
    assert pairs.pictures[pairs.indices[3, 1]].read()[0, 0, 0] == 7


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (pickle.dumps(([encoded(1)] * 3, [True])), "has 3 pictures and 1 flags"),
        (pickle.dumps({"a": 1}), "is no .bin file"),
        (b"no pickle", "is no .bin file"),
        (pickle.dumps(([encoded(1)] * 2, [True]))[:-20], "is no .bin file"),
        (pickle.dumps(([Harmful()], [True])), r"names (posix|nt)\.mkdir, which is not unpickled"),
    ],
)
def test_a_broken_or_harmful_bin_file_is_refused(tmp_path, monkeypatch, content, fault):
    monkeypatch.chdir(tmp_path)
    Path("a.bin").write_bytes(content)
    with pytest.raises(ZooError, match=fault):
        read_bin(Path("a.bin"))
    assert not Path("harmed").exists()


def test_a_broken_picture_names_itself():
    with pytest.raises(ZooError, match="picture agedb 3 is no JPEG or PNG"):
        Picture("agedb 3", b"nothing").read()


def test_what_is_no_benchmark_says_what_is_possible(tmp_path):
    with pytest.raises(ZooError, match=r"possible: synthetic, NAME\.bin, a folder with pairs\.txt, or of persons"):
        read_pairs(str(tmp_path / "nowhere"))
