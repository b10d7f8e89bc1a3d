"""Every way a label can be broken costs that one face and one clear line; the rest is read."""

from __future__ import annotations

import json

import h5py
import layouts
import numpy as np
import pytest

from training.data.sources import parse_source, read_all
from training.readers import json_stream, npz_rows
from training.readers.json_stream import members
from training.readers.problems import (
    CUT_SHORT,
    ENCODING,
    NOT_NUMBERS,
    REMARKS,
    UNREADABLE,
    VALUE,
    WRONG_COUNT,
    LabelFault,
    Problem,
    Problems,
)
from zoo.errors import ZooError


def read(path, name=""):
    """Returns how many faces are read, and the lines said of the others."""
    problems = Problems()
    return len(list(read_all(parse_source(f"{path}{name}"), problems))), problems.lines()


# ---- text files -----------------------------------------------------------------------------------------------------------------

COUNTED = {
    "cut": (b"106\n1 2\n3 4\n", f"{CUT_SHORT}: b.txt (2 of 106 points)"),
    "cut in a point": (b"106\n" + b"1 2\n" * 105 + b"3\n", f"{CUT_SHORT}: b.txt (point 105 has 1 numbers, not 2)"),
    "empty": (b"\n  \n", f"{CUT_SHORT}: b.txt (it is empty)"),
    "more": (b"106\n" + b"1 2\n" * 107, f"{WRONG_COUNT}: b.txt (107 points where 106 are declared)"),
    "other scheme": (b"68\n" + b"1 2\n" * 68, f"{WRONG_COUNT}: b.txt (68 points; 106 are read)"),
    "no count": (b"1 2\n" * 106, f"{WRONG_COUNT}: b.txt (the first line is '1 2'; the count of points is expected)"),
    "three": (b"106\n1 2 3\n" + b"1 2\n" * 105, f"{WRONG_COUNT}: b.txt (point 0 has 3 numbers, not 2)"),
    "word": (b"106\n1 two\n" + b"1 2\n" * 105, f"{NOT_NUMBERS}: b.txt (value 2 is 'two')"),
    "nan": (b"106\n1 2\nnan 3\n" + b"1 inf\n" * 104, f"{NOT_NUMBERS}: b.txt (point 1 and 104 more)"),
    "utf-16": (("106\n" + "1 2\n" * 106).encode("utf-16"), f"{ENCODING}: b.txt"),
    "utf-16 without a mark": (("106\n" + "1 2\n" * 106).encode("utf-16-le"), f"{ENCODING}: b.txt"),
    "latin-1": ("106\n1 2 é\n".encode("latin-1"), f"{ENCODING}: b.txt"),
}


@pytest.mark.parametrize("content", COUNTED, ids=str)
def test_a_broken_text_file_costs_its_own_face(tmp_path, content):
    broken, line = COUNTED[content]
    for i, name in enumerate("abc"):
        layouts.write_counted(tmp_path / "landmarks" / f"{name}.txt", layouts.face(106, i).points)
        layouts.save(tmp_path / "images" / f"{name}.jpg", layouts.face(106, i).image)
    (tmp_path / "landmarks" / "b.txt").write_bytes(broken)
    assert read(tmp_path) == (2, [line])


def test_marks_commas_and_other_line_ends_are_read(tmp_path):
    points = layouts.face(106).points
    text = "106\r\n" + "\r\n".join(layouts.rows(points, 0.5, ", ")) + "\r\n\r\n"
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "landmarks" / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(tmp_path, "@lapa") == (1, [])


PTS = {
    "cut": ("version: 1\nn_points: 68\n{\n1 2\n3 4\n", f"{CUT_SHORT}: b.pts (2 of 68 points)"),
    "cut in its header": ("version: 1\nn_points: 68\n", f"{CUT_SHORT}: b.pts (0 of 68 points)"),
    "no count": ("version: 1\n{\n1 2\n}\n", f"{WRONG_COUNT}: b.pts (the header has no line 'n_points: COUNT')"),
    "too few": ("1 2\n" * 67, f"{WRONG_COUNT}: b.pts (67 points; 29, 68, 70, 98, 106, 189 are read)"),
    "more": ("version: 1\nn_points: 68\n{\n" + "1 2\n" * 69 + "}\n", f"{WRONG_COUNT}: b.pts (69 points where 68 are declared)"),
    "nan": ("nan nan\n" + "1 2\n" * 67, f"{NOT_NUMBERS}: b.pts (point 0)"),
}


@pytest.mark.parametrize("content", PTS, ids=str)
def test_a_broken_pts_costs_its_own_face(tmp_path, content):
    broken, line = PTS[content]
    for i, name in enumerate("abc"):
        layouts.write_pts(tmp_path / f"{name}.pts", layouts.face(68, i).points)
        layouts.save(tmp_path / f"{name}.png", layouts.face(68, i).image)
    (tmp_path / "b.pts").write_text(broken)
    assert read(tmp_path) == (2, [line])


def test_300w_takes_68_points_alone(tmp_path):
    layouts.write_pts(tmp_path / "afw" / "a.pts", layouts.face(106).points)
    assert read(tmp_path) == (0, [f"{WRONG_COUNT}: a.pts (106 points; 68 are read)"])


def test_a_broken_line_of_a_list_costs_its_own_face(tmp_path):
    layouts.wflw(tmp_path, [layouts.face(98, seed) for seed in range(2)])
    path = next(tmp_path.rglob("*_train.txt"))
    good = path.read_bytes()
    broken = [
        b"1 2 3 a.jpg\n", good.replace(b" 0 0 0 0 0 0 ", b" 0 0 7 0 0 0 "), b"x" + good, b"\xff\xfe" + good, b"\n",
        b"nan " + good.split(b" ", 1)[1], good, good[:400],
    ]  # fmt: skip
    path.write_bytes(good + b"".join(broken))
    count, lines = read(tmp_path)
    assert count == 3
    name = path.name
    assert lines == [
        f"{WRONG_COUNT}: {name} line 2 (4 fields, not 207 or 197)",
        f"{NOT_NUMBERS}: {name} line 3 (attributes '0 0 7 0 0 0'; six of 0 or 1 are expected), {name} line 4 "
        f"(value 1 is 'x{good.split()[0].decode()}'), {name} line 7 (point 0)",
        f"{ENCODING}: {name} line 5",
        f"{CUT_SHORT}: {name} line 9 ({len(good[:400].split())} fields, not 207 or 197)",
    ]


def test_a_broken_row_of_a_table_costs_its_own_face(tmp_path):
    header, *rows = layouts.csv_text([layouts.face(68, seed) for seed in range(5)])
    rows[1] = rows[1].replace(",", ",x", 1)
    rows[2] += ",more"
    rows[3] = rows[3].replace(rows[3].split(",")[3], "", 1)
    (tmp_path / "a.csv").write_text("\n".join([header, *rows, rows[0][:300]]))
    count, lines = read(tmp_path / "a.csv")
    assert count == 2
    assert [line.split(":")[0] for line in lines] == [NOT_NUMBERS, WRONG_COUNT, CUT_SHORT]
    assert "1.png (value 1 is 'x" in lines[0] and "3.png" in lines[0] and "a.csv row 4 (140 cells, not 139)" in lines[1]
    assert "a.csv row 7" in lines[2]


# ---- arrays ---------------------------------------------------------------------------------------------------------------------


def test_a_row_that_is_not_numbers_costs_its_own_face(tmp_path):
    faces = [layouts.face(68, seed) for seed in range(3)]
    faces[1].points[5, 0] = np.nan
    layouts.landmarks(tmp_path / "npz", faces)
    assert read(tmp_path / "npz") == (2, [f"{NOT_NUMBERS}: Ada_1.png (point 5)"])
    covered = [layouts.face(29, seed) for seed in range(2)]
    covered[1].points[3] = np.inf
    layouts.cofw(tmp_path / "cofw", covered)
    assert read(tmp_path / "cofw") == (1, [f"{NOT_NUMBERS}: COFW_train_color.mat#IsTr.1 (point 3)"])


def test_a_labels_file_may_leave_points_unknown_but_not_weigh_them(tmp_path):
    points, weights = np.random.default_rng(0).uniform(0, 99, (3, 106, 2)), np.ones((3, 106))
    points[:, 0], weights[0, 0] = np.nan, 0
    weights[2, 5] = np.nan
    np.savez(tmp_path / "a.npz", root=np.array("x"), names=np.array(["a", "b", "c"]), points=points, weights=weights)
    assert read(tmp_path / "a.npz") == (1, [f"{NOT_NUMBERS}: b (point 0), c (point 0)"])


def test_an_archive_is_read_row_by_row_and_says_where_it_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_rows, "_BLOCK_BYTES", 100)
    rng = np.random.default_rng(0)
    arrays = {"a": rng.uniform(size=(50, 3, 2)), "b": np.arange(50), "c": np.asfortranarray(rng.uniform(size=(50, 2))), "d": np.array("x")}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    a, b, c = zip(*npz_rows.rows(tmp_path / "a.npz", ("a", "b", "c")), strict=True)
    assert np.array_equal(a, arrays["a"]) and np.array_equal(b, arrays["b"]) and np.array_equal(c, arrays["c"])
    assert npz_rows.headers(tmp_path / "a.npz")["a"][0] == (50, 3, 2) and npz_rows.scalar(tmp_path / "a.npz", "d") == "x"
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[400:420] = b"\0" * 20
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(ZooError, match=r"b\.npz is no whole NumPy archive"):
        list(npz_rows.rows(tmp_path / "b.npz", ("a",)))
    with pytest.raises(ZooError, match="cannot read"):
        npz_rows.headers(tmp_path / "none.npz")


def test_a_matlab_file_of_other_things_is_refused(tmp_path):
    with h5py.File(tmp_path / "COFW_other.mat", "w") as mat:
        mat["x"] = np.zeros(3)
    with pytest.raises(ZooError, match="has neither IsTr and phisTr nor IsT and phisT; it holds x"):
        read(tmp_path)
    layouts.cofw(tmp_path / "short", [layouts.face(29)])
    with h5py.File(tmp_path / "short" / "COFW_train_color.mat", "a") as mat:
        del mat["phisTr"]
        mat["phisTr"] = np.zeros((86, 1))
    with pytest.raises(ZooError, match=r"phisTr of shape \(86, 1\); 87 values"):
        read(tmp_path / "short")


# ---- JSON -----------------------------------------------------------------------------------------------------------------------


def test_json_comes_member_by_member_however_it_is_cut_into_pieces(tmp_path, monkeypatch):
    value = {"info": {"a": [1, 2]}, "list": [{"x": 1.25, "y": "é]}"}, [3], "s", -17], "empty": [], "number": 12345, "last": None}
    expected = [("info", value["info"]), *(("list", item) for item in value["list"]), ("number", 12345), ("last", None)]
    for chunk in (1, 2, 7, 1000):
        monkeypatch.setattr(json_stream, "_CHUNK", chunk)
        for indent in (None, 2):
            (tmp_path / "a.json").write_text("﻿" + json.dumps(value, indent=indent))
            assert list(members(tmp_path / "a.json")) == expected


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b'{"a": [1, 2', CUT_SHORT), (b"", CUT_SHORT), (b"[1]", UNREADABLE), (b'{"a" 1}', UNREADABLE), (b'{"a": [1 2]}', UNREADABLE),
     (b'{"a": "\xff"}', ENCODING), (b'{"a": tru', CUT_SHORT)],
)  # fmt: skip
def test_what_is_no_json_is_said(tmp_path, content, kind):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(LabelFault) as fault:
        list(members(tmp_path / "a.json"))
    assert fault.value.kind == kind


def test_a_broken_annotation_costs_its_own_face_and_a_cut_file_what_is_behind_the_cut(tmp_path):
    layouts.coco(tmp_path, [layouts.face(68, seed) for seed in range(8)])
    path = tmp_path / "faces_val.json"
    data = json.loads(path.read_text())
    data["annotations"][1]["image_id"] = 99
    data["annotations"][2]["keypoints"] = data["annotations"][2]["keypoints"][:-1]
    data["annotations"][3]["keypoints"][0] = "left"
    data["annotations"][4]["keypoints"] = data["annotations"][4]["keypoints"][:51]
    data["annotations"][5]["keypoints"] = [0] * 204  # a face without a label is nothing wrong
    data["annotations"][6]["keypoints"][3] = float("nan")
    path.write_text(json.dumps({"images": data["images"], "annotations": data["annotations"]}))
    count, lines = read(tmp_path)
    name = "faces_val.json annotation"
    assert count == 2
    assert lines == [
        f"{VALUE}: {name} 1 (image_id 99 is not among the images)",
        f"{WRONG_COUNT}: {name} 2 of 2.png (203 values in keypoints, not three for each point), "
        f"{name} 4 of 4.png (17 points; 29, 68, 70, 98, 106, 189 are read)",
        f"{NOT_NUMBERS}: {name} 3 of 3.png (keypoints: value 0 is 'left'), {name} 6 of 6.png (point 1)",
    ]
    path.write_text(path.read_text()[:-200])
    count, lines = read(tmp_path)
    assert count == 1 and f"{CUT_SHORT}: faces_val.json (it ends after" in lines[-1]


# ---- the tally ------------------------------------------------------------------------------------------------------------------


def test_a_million_problems_are_counted_and_three_are_kept():
    problems = Problems()
    for i in range(1000):
        problems.add(Problem(CUT_SHORT, f"{i}.txt"))
    problems.add(Problem(ENCODING, "x.txt", "detail"))
    problems.add(Problem(next(iter(REMARKS)), "y"))
    assert problems.lines()[:2] == [f"{CUT_SHORT}: 0.txt, 1.txt, 2.txt and 997 more (1000 in all)", f"{ENCODING}: x.txt (detail)"]
    assert problems.left_out == 1001 and len(problems._first[CUT_SHORT]) == 3
    assert json.dumps(problems.to_json())
