"""A picture's name in a list is a name: made on Windows, with spaces, of bytes that are no text, twice in two folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import layouts
import numpy as np
import pytest

from training.data.provenance import check_tag
from training.data.sources import parse_source, read_all, read_source
from training.readers.groups import split_in, split_of_folder, split_word
from training.readers.problems import NAME, SPLIT, Problems
from zoo.errors import ZooError

ROOT = Path(__file__).resolve().parents[2]
DISK = ("a/1.png", "b/1.png", "c d/e f.png")
LISTED = ("a\\1.png", "b\\1.png", "c d\\e f.png")  # by a program of Windows


def read(path, name=""):
    problems = Problems()
    return list(read_all(parse_source(f"{path}{name}"), problems)), problems


def pictures(folder: Path) -> list[layouts.Face]:
    faces = [layouts.face(98, seed) for seed in range(3)]
    for name, one in zip(DISK, faces, strict=True):
        layouts.save(folder / name, one.image)
    return faces


def as_csv(root, faces):
    pictures(root)
    header, *rows = layouts.csv_text(faces)
    rows = [f"{name},{row.split(',', 1)[1].rsplit(',', 2)[0]},," for name, row in zip(LISTED, rows, strict=True)]
    (root / "landmarks.csv").write_text("\n".join([header, *rows]))


def as_coco(root, faces):
    pictures(root / "images")
    layouts.coco(root, faces)
    data = json.loads((root / "faces_val.json").read_text())
    for image, name in zip(data["images"], LISTED, strict=True):
        image["file_name"] = name
        image["id"] = str(image["id"])  # text here, whole numbers in the annotations
    (root / "faces_val.json").write_text(json.dumps(data))


def as_wflw(root, faces):
    pictures(root / "WFLW_images")
    lines = [layouts.wflw_line(one.points, name) for one, name in zip(faces, LISTED, strict=True)]
    (root / "list_98pt_rect_attr_train.txt").write_text("\n".join(lines))


def as_plain_wflw(root, faces):
    pictures(root / "WFLW_images")
    lines = [f"{' '.join(layouts.rows(one.points, 0.5))} {name}" for one, name in zip(faces, LISTED, strict=True)]
    (root / "list_98pt_rect_attr_train.txt").write_text("\n".join(lines))


def as_npz(root, faces):
    pictures(root / "images")
    names, points = np.array([name.encode() for name in LISTED]), np.array([one.points for one in faces]) - 0.5
    np.savez(root / "landmarks.npz", names=names, points=points)


def as_pts(root, faces):
    pictures(root)
    for name, one in zip(DISK, faces, strict=True):
        layouts.write_pts(root / f"{name}.PTS", one.points)


WAYS = {"csv": as_csv, "coco": as_coco, "wflw": as_wflw, "wflw, plain": as_plain_wflw, "landmarks": as_npz, "pts": as_pts}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_lists_of_windows_spaces_and_bytes_find_their_pictures(tmp_path, way):
    WAYS[way](tmp_path / "set", [layouts.face(98, seed) for seed in range(3)])
    samples, problems = read(tmp_path / "set", f"@{way.split(',')[0]}")
    assert [sample.path.is_file() for sample in samples] == [True] * 3 and not problems.left_out
    assert sorted(sample.path.relative_to(sample.path.parents[1]).as_posix() for sample in samples) == sorted(DISK)
    if way != "landmarks":  # there a name says who it is
        assert len({sample.group for sample in samples}) == 3  # equal stems in two folders are two pictures


def test_names_that_no_picture_can_have_cost_their_face(tmp_path):
    for bad in ("a\0b.png", "", "  ", "..", "x" * 300 + ".png", "d/" * 3000 + "a.png", "\ud800.png"):
        names = np.array(["1.png", bad, "2.png"])
        (tmp_path / "landmarks.npz").unlink(missing_ok=True)
        np.savez(tmp_path / "landmarks.npz", names=names, points=np.array([layouts.face(98, seed).points for seed in range(3)]))
        samples, problems = read(tmp_path)
        assert len(samples) == 2 and problems.counts == {NAME: 1} and "\n" not in problems.lines()[0]


def test_a_name_that_is_no_text_is_described_and_makes_a_pack(tmp_path):
    faces = [layouts.face(106, seed) for seed in range(2)]
    layouts.lapa(tmp_path / "set", faces, splits=("train",))
    for folder, end in (("images", ".jpg"), ("landmarks", ".txt")):
        where = tmp_path / "set" / "train" / folder
        os.rename(where / f"1000_0{end}", os.fsencode(where) + b"/caf\xe9_0" + end.encode())
    from training.data.packs import prepare

    assert len(prepare(str(tmp_path / "set"), tmp_path / "packs")) == 2
    command = [sys.executable, "-m", "training", "data", str(tmp_path / "set"), "--json", "--no-sheet", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env=os.environ | {"KERAS_BACKEND": "numpy"})
    assert done.returncode == 0 and b"Traceback" not in done.stderr and json.loads(done.stdout)[0]["faces"] == 2


def test_pts_beside_whole_names_and_braces_on_any_line_are_read(tmp_path):
    one = layouts.face(68)
    layouts.save(tmp_path / "a.png", one.image)
    text = "\n".join(layouts.rows(one.points, -0.5))
    heads = "version: 1\nn_points: 68 {\n", "version: 1\nn_points:68\n{ ", "VERSION: 1\r\nN_POINTS: 68\r\n{\r\n"
    for content in (f"{head}{text}{tail}" for head, tail in zip(heads, ("\n}", " }", "\r\n}\r\n"), strict=True)):
        (tmp_path / "a.png.pts").write_text(content)
        (sample,), problems = read(tmp_path, "@pts")
        assert sample.path == tmp_path / "a.png" and not problems.counts and np.abs(sample.native_points - one.points).max() < 0.01


@pytest.mark.parametrize(
    ("pictures_in", "labels_in"), [("pictures", "landmarks"), ("Picture", "Landmark"), ("image", "landmark"), ("picture", "landmarks")]
)
def test_jd_may_have_plural_and_capital_folders(tmp_path, pictures_in, labels_in):
    layouts.jd(tmp_path, [layouts.face(106, seed) for seed in range(2)])
    for old, new in (("picture", pictures_in), ("landmark", labels_in)):
        (tmp_path / old).rename(tmp_path / f"{new}.")
        (tmp_path / f"{new}.").rename(tmp_path / new)
    (tmp_path / labels_in / "AFW_0_1_0.jpg.txt").rename(tmp_path / labels_in / "AFW_0_1_0.JPG.TXT")
    assert parse_source(str(tmp_path)).format.name == "jd"
    samples, problems = read(tmp_path)
    assert len(samples) == 2 and all(sample.path.is_file() for sample in samples) and not problems.left_out


# ---- one vocabulary of splits ---------------------------------------------------------------------------------------------------

WORDS = {
    "train": ("train", "Training", "TRAINSET", "train_set"), "val": ("val", "Valid", "validation", "dev"),
    "test": ("test", "Testing", "testset"),
}  # fmt: skip


@pytest.mark.parametrize("split", WORDS)
def test_split_words_mean_the_same_everywhere(tmp_path, split):
    for number, word in enumerate(WORDS[split]):
        assert split_word(f" {word} ") == split and split_in(f"list_{word.replace('_', '')}_2017") == split
        root = tmp_path / f"{number}"
        faces = [layouts.face(106, seed) for seed in range(2)]
        layouts.lapa(root / "folders", faces, splits=(word.replace("_", ""),))
        layouts.landmarks(root / "npz", faces, splits=np.array([word, word.encode().decode()]))
        header, *rows = layouts.csv_text(faces)
        (root / "a.csv").write_text("\n".join([header, *(row + word for row in rows)]))
        layouts.coco(root / "coco", faces, name=f"faces_{word.replace('_', '')}.json")
        for source in ("folders", "npz", "a.csv", "coco"):
            samples, problems = read(root / source)
            assert [sample.split for sample in samples] == [split] * 2 and not problems.counts
            assert len(list(read_source(f"{root / source}@{word}"))) == 2
        assert split_of_folder(root, root / "x" / word.replace("_", "")) == split


def test_a_word_that_is_no_split_is_counted_and_said(tmp_path):
    header, *rows = layouts.csv_text([layouts.face(68, seed) for seed in range(3)])
    (tmp_path / "a.csv").write_text("\n".join([header, rows[0] + "train", rows[1] + "holdout7", rows[2]]))
    samples, problems = read(tmp_path / "a.csv")
    assert [sample.split for sample in samples] == ["train", ""] and problems.counts == {SPLIT: 1} and "'holdout7'" in problems.lines()[0]
    with pytest.raises(ZooError, match="@holdout7 is not known"):
        parse_source(f"{tmp_path / 'a.csv'}@holdout7")


def test_what_is_kept_from_training_is_said_and_never_trained_on(tmp_path, capsys):
    layouts.lapa(tmp_path / "set", [layouts.face(106, seed) for seed in range(6)], splits=("training", "validation", "test"))
    assert len(list(read_source(str(tmp_path / "set")))) == 2
    assert "kept for choosing and testing: 2 of val, 2 of test" in capsys.readouterr().out
    for word in ("validation", "dev", "Testing"):
        with pytest.raises(ZooError, match="is for choosing or testing"):
            check_tag(((f"{tmp_path / 'set'}@{word}", 1.0),), "research")
