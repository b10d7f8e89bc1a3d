"""`python -m training data` says what a source is and what is wrong with which file, draws it, and fails where nothing usable is left."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import layouts
import numpy as np
import pytest
from PIL import Image

from training.__main__ import main
from training.data import checks
from training.data.contact_sheet import TILE_PX, sheet
from training.data.sources import parse_source, read_all
from training.readers import problems as kinds
from training.readers.picture import probe, read_picture
from training.readers.problems import Problems
from zoo import terminal
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.images import read_image
from zoo.overlay import DOT_COLOUR
from zoo.schemes import SCHEMES


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    """Runs the verb; returns the JSON summary."""
    assert main(["data", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)[0]


def said(capsys, *words, status=0):
    """Runs the verb; returns what it said to a person."""
    assert terminal.run(main, ["data", *map(str, words)]) == status
    return capsys.readouterr()


def lines_of(capsys, *words):
    """Returns the problems of a source, by kind."""
    return {problem["problem"]: problem for problem in run(capsys, *words)["problems"]}


# ---- what it is -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count", "write"), layouts.LAYOUTS, ids=layouts.IDS)
def test_every_layout_is_described_and_drawn(tmp_path, capsys, name, count, write):
    write(Path("set"), [layouts.face(count, seed) for seed in range(5)])
    summary = run(capsys, "set")
    assert summary["format"].startswith(f"{name}: ") and summary["problems"] == []
    assert summary["pictures"] == summary["faces"] == summary["usable"] == 5 and summary["left out"] == 0
    assert summary["points a face"] == [count] and summary["licence"] and summary["normaliser"] and summary["split rule"]
    assert Path(summary["sheet"]) == Path("out/sheets/set.png") and read_image("out/sheets/set.png").shape == (TILE_PX, 5 * TILE_PX, 3)


def test_splits_and_people_are_counted(capsys):
    layouts.lapa(Path("set"), [layouts.face(106, seed) for seed in range(5)])
    assert run(capsys, "set")["splits"] == {"test": 1, "train": 2, "val": 2}
    one = run(capsys, "set@val", "--no-sheet")
    assert (one["source"], one["splits"], one["faces"]) == ("set@val", {"val": 2}, 2) and "sheet" not in one
    layouts.landmarks(Path("own"), [layouts.face(68, seed) for seed in range(3)])
    own = run(capsys, "own")
    assert own["people or photographs"] == 1 and own["splits"] is None and own["trains tags"] == "as its owner allows"


def test_a_person_reads_a_table_and_a_line_for_each_problem(capsys):
    layouts.lapa(Path("set"), [layouts.face(106, seed) for seed in range(4)], splits=("train",))
    Path("set/train/images/1002_0.jpg").unlink()
    output = said(capsys, "set", "--sheet", "here.png").out
    assert "splits                 4 train" in output and "missing picture: 1002_0.jpg\n" in output
    assert "sheet                  here.png" in output and Path("here.png").is_file() and not Path("out").exists()


def test_pictures_without_labels_are_described_too(capsys):
    for i in range(3):
        layouts.save(Path("set/deep") / f"{i}.jpg", layouts.face(106, i).image)
    summary = run(capsys, "set")
    assert summary["format"].startswith("pictures: ") and summary["usable"] == 3 and summary["faces"] is None
    assert "python -m training label" in summary["labels"] and read_image(summary["sheet"]).shape == (TILE_PX, 3 * TILE_PX, 3)


def test_a_format_may_be_given(capsys):
    layouts.pts(Path("set"), [layouts.face(68)])
    assert run(capsys, "set", "--format", "pictures")["format"].startswith("pictures")
    assert "holds no usable face" in said(capsys, "set", "--format", "lapa", status=1).err
    with pytest.raises(SystemExit):
        main(["data", "set", "--format", "lappa"])


def test_the_sheet_marks_points_where_the_picture_has_them():
    layouts.landmarks(Path("set"), [layouts.face(68, seed) for seed in range(3)])
    samples = list(read_all(parse_source("set"), Problems()))
    drawn = sheet([(sample, None) for sample in samples]).astype(int)
    for i, sample in enumerate(samples):
        spot = layouts.dot_in(read_picture(sample.path))  # found in the picture, not told by the label
        column, row = np.floor(Alignment.from_five(sample.five, TILE_PX).to_crop(spot)).astype(int)
        mark = drawn[row, i * TILE_PX + column]
        assert np.abs(mark - DOT_COLOUR).max() < MARK_LEVELS
    hidden = [(replace(sample, native_points=np.full((68, 2), np.nan)), None) for sample in samples]
    assert not (np.abs(sheet(hidden).astype(int) - DOT_COLOUR).max(2) < MARK_LEVELS).any()


MARK_LEVELS = 60  # a mark is a few pixels wide and shrunk by half, so that its edge mixes in


# ---- what is wrong --------------------------------------------------------------------------------------------------------------


def test_nothing_usable_is_an_exit_status_of_1(tmp_path, capsys):
    Path("empty").mkdir()
    assert "holds neither labels nor pictures" in said(capsys, "empty", status=1).err
    assert "there is no file or folder 'none'" in said(capsys, "none", status=1).err
    layouts.lapa(Path("set"), [layouts.face(106)])
    Path("set/train/images/1000_0.jpg").write_bytes(b"")
    found = said(capsys, "set", status=1)
    assert "error: source 'set' holds no usable face" in found.err and "broken picture: 1000_0.jpg (is empty" in found.out
    assert len(found.err.strip().splitlines()[-1]) < 200


def test_several_sources_are_described_in_turn_and_a_bad_one_stops_none(capsys):
    for name in ("first", "second"):
        layouts.lapa(Path(name), [layouts.face(106, seed) for seed in range(3)])
    Path("empty").mkdir()
    found = said(capsys, "first", "empty", "second")
    assert "error: the folder empty holds neither" in found.err
    assert re.search(r"2 of 3 sources read, 6 faces or pictures usable, peak memory [1-9]\d* MB", found.out)
    assert [summary["source"] for summary in json.loads(said(capsys, "first", "second", "--json").out)] == ["first", "second"]
    assert "none of the 2 sources holds anything usable" in said(capsys, "empty", "none", status=1).err
    assert "--sheet names one file, received 2 sources" in said(capsys, "first", "second", "--sheet", "a.png", status=1).err


def test_broken_and_missing_pictures_are_named_and_the_rest_goes_on(capsys):
    layouts.lapa(Path("set"), [layouts.face(106, seed) for seed in range(6)], splits=("train",))
    images = Path("set/train/images")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (160, 160, 3), dtype=np.uint8)).save(images / "1001_0.jpg", "JPEG")
    content = (images / "1001_0.jpg").read_bytes()
    (images / "1001_0.jpg").write_bytes(content[: len(content) * 2 // 3])
    (images / "1002_0.jpg").write_text("no picture")
    (images / "1003_0.jpg").unlink()
    found = lines_of(capsys, "set")
    assert [file["file"] for file in found[kinds.BROKEN]["first"]] == ["1001_0.jpg", "1002_0.jpg"]
    assert "truncated" in found[kinds.BROKEN]["first"][0]["detail"] and found[kinds.MISSING]["count"] == 1
    assert run(capsys, "set")["usable"] == 3
    quick = lines_of(capsys, "set", "--quick", "--no-sheet")
    assert list(quick) == [kinds.MISSING]


def test_points_outside_and_coordinates_of_another_kind_are_told_apart(capsys):
    faces = [layouts.face(106, seed) for seed in range(4)]
    layouts.landmarks(Path("set"), faces)
    with np.load("set/landmarks.npz") as archive:
        names, points = archive["names"], archive["points"]
    points[0] = points[0] / layouts.SIDE
    points[1] = points[1] + layouts.SIDE
    points[2] = points[2][:, ::-1]
    points[3, 0] = [-9, 50]
    np.savez("set/landmarks.npz", names=names, points=points)
    found = lines_of(capsys, "set")
    assert {kind: [file["file"] for file in problem["first"]] for kind, problem in found.items()} == {
        kinds.NORMALISED: ["Ada_0.png"], kinds.MOSTLY_OUTSIDE: ["Ada_1.png"], kinds.NO_FACE: ["Ada_2.png"], kinds.OUTSIDE: ["Ada_3.png"],
    }  # fmt: skip
    assert found[kinds.OUTSIDE]["first"][0]["detail"] == "1 of 106" and not found[kinds.OUTSIDE]["left out"]
    assert run(capsys, "set")["usable"] == 1


def at_the_border(count=6):
    """Returns faces whose labels stop at the picture's last pixels, as a set's do where a face is cut."""
    faces = []
    for seed in range(count):
        one = layouts.face(106, seed)
        points = one.points + [60, 0]
        points = np.clip(points, 0.5, layouts.SIDE - 0.5)
        faces.append(layouts.Face(points, points, one.image))
    return faces


def convention_said(capsys, folder):
    """Returns what `data` says of how a folder's pixels are counted, or nothing."""
    found = lines_of(capsys, folder).get(kinds.CONVENTION)
    return found["first"][0]["file"] if found else ""


@pytest.mark.parametrize(("shift", "said_of_it"), [(0.0, ""), (1.0, "look 1-based where 0-based is expected"), (-1.0, "")])
def test_labels_counted_from_1_where_0_is_expected_are_noticed(capsys, shift, said_of_it):
    layouts.landmarks(Path("set"), [replace(one, points=one.points + shift) for one in at_the_border()])
    found = convention_said(capsys, "set")
    assert found.startswith(said_of_it) and ("subtract 1" in found) == bool(said_of_it) == bool(found)


@pytest.mark.parametrize(("shift", "said_of_it"), [(-0.5, ""), (0.5, "look 0-based where 1-based is expected")])
def test_labels_counted_from_0_where_1_is_expected_are_noticed(capsys, shift, said_of_it):
    for i, one in enumerate(at_the_border()):
        mirrored = (one.points * [-1, 1] + [layouts.SIDE, 0])[SCHEMES["106"].mirror]  # cut on the left
        layouts.save(Path("set") / f"{i}.png", one.image)
        layouts.write_pts(Path("set") / f"{i}.pts", mirrored, shift)
    found = convention_said(capsys, "set")
    assert found.startswith(said_of_it) and ("add 1" in found) == bool(said_of_it) == bool(found)


def test_faces_cut_by_the_border_say_nothing_of_the_convention(capsys):
    """Labels that go on outside the picture, as guesses do, are no sign of another convention."""
    faces = []
    for seed in range(6):
        one = layouts.face(106, seed)
        faces.append(layouts.Face(one.points + [60, 0], one.points_106, one.image))
    layouts.landmarks(Path("set"), faces)
    found = lines_of(capsys, "set")
    assert kinds.OUTSIDE in found and kinds.CONVENTION not in found


def test_pictures_listed_twice_or_under_two_names_are_named(capsys):
    faces = [layouts.face(98, seed) for seed in range(5)]
    layouts.wflw(Path("set"), faces)
    path = next(Path("set").rglob("*_test.txt"))
    moved = faces[1].points + 0.4
    far = (faces[2].points - layouts.SIDE / 2) * 0.3 + [30, 30]  # another, smaller face in the same picture
    lines = [
        layouts.wflw_line(moved, "event/1.jpg"),
        layouts.wflw_line(far, "event/2.jpg"),
        layouts.wflw_line(faces[3].points, "event/3.jpg"),
    ]
    path.write_text(path.read_text() + "\n".join(lines) + "\n")
    shutil.copy("set/WFLW_images/event/0.jpg", "set/WFLW_images/event/4.jpg")
    found = lines_of(capsys, "set")
    assert {kind: [file["file"] for file in problem["first"]] for kind, problem in found.items()} == {
        kinds.CONFLICT: ["1.jpg"], kinds.REPEATED: ["3.jpg"], kinds.SAME_CONTENT: ["0.jpg"],
    }  # fmt: skip
    assert found[kinds.SAME_CONTENT]["first"][0]["detail"] == "as 4.jpg"
    summary = run(capsys, "set")
    assert (summary["pictures"], summary["faces"], summary["usable"]) == (5, 8, 8)


def test_label_files_that_cannot_be_read_are_named_with_the_rest(capsys):
    layouts.lapa(Path("set"), [layouts.face(106, seed) for seed in range(8)], splits=("train",))
    labels = Path("set/train/landmarks")
    for i in range(4):
        text = (labels / f"{1000 + i}_0.txt").read_text()
        (labels / f"{1000 + i}_0.txt").write_text(text[: len(text) // 2 + i])
    (labels / "1004_0.txt").write_bytes((labels / "1004_0.txt").read_text().encode("utf-16"))
    output = said(capsys, "set").out
    assert "label file is cut short: 1000_0.txt (" in output and "and 1 more (4 in all)" in output
    assert "label file is not UTF-8 text: 1004_0.txt\n" in output and "usable                 3" in output
    assert "left out               5" in output


# ---- the pass itself ------------------------------------------------------------------------------------------------------------


def test_a_probe_agrees_with_the_full_reader(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (91, 133, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, kind, options in (
        ("a.jpg", "JPEG", {}), ("turned.jpg", "JPEG", {"exif": exif}), ("a.png", "PNG", {}), ("a.webp", "WEBP", {}), ("a.bmp", "BMP", {}),
        ("progressive.jpg", "JPEG", {"progressive": True}),
    ):  # fmt: skip
        Image.fromarray(noise).save(tmp_path / name, kind, **options)
        width, height, _ = probe(tmp_path / name)
        assert read_picture(tmp_path / name).shape[:2] == (height, width)
    Image.fromarray(noise[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(noise).quantize(16).save(tmp_path / "palette.png")
    Image.fromarray(noise).convert("CMYK").save(tmp_path / "cmyk.jpg")
    for name in ("grey.png", "palette.png", "cmyk.jpg"):
        assert probe(tmp_path / name)[:2] == (133, 91)
    for name in ("a.jpg", "progressive.jpg", "a.png"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"cut {name}").write_bytes(content[: len(content) * 3 // 4])
        with pytest.raises(ZooError, match="truncated"):
            probe(tmp_path / f"cut {name}")


def test_a_sheet_draws_from_the_whole_of_a_stream():
    layouts.wflw(Path("set"), [layouts.face(98, 0)] * 2)
    path = next(Path("set").rglob("*_train.txt"))
    path.write_text("".join(layouts.wflw_line(layouts.face(98).points, f"{i}.jpg") + "\n" for i in range(300)))
    for i in range(300):
        Path(f"set/WFLW_images/{i}.jpg").touch()
    stream = ((sample, None) for sample in read_all(parse_source("set@train"), Problems()))
    findings = checks.inspect(stream, Problems(), 20, open_pictures=False)
    kept = sorted(int(sample.path.stem) for sample, _ in findings.kept)
    assert findings.faces == 300 and len(set(kept)) == 20 and kept[0] < 100 and kept[-1] > 200
