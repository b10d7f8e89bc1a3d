"""A source's name says what is read of it; what cannot be read, or may not train, is refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import layouts
import numpy as np
import pytest

from training.data.provenance import check_tag, provenance
from training.data.sources import fingerprint, parse_source, read_source
from training.learning.batches import prepare
from training.learning.fit import parse_sources
from training.readers.formats import FORMATS, detect
from training.readers.mapping import to_106
from training.readers.problems import Problems
from zoo.errors import ZooError
from zoo.schemes import SCHEMES
from zoo.stations import DEFINITION

MIRROR = SCHEMES["106"].mirror


def write_labels(path, count=2, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "root": np.array("pictures"), "names": np.array([f"a_{i}.jpg" for i in range(count)]),
        "points": rng.uniform(0, 99, (count, 106, 2)), "weights": np.ones((count, 106)),
        "mesh": rng.uniform(0, 99, (count, 478, 3)).astype(np.float32), "definition": np.array(DEFINITION),
    }  # fmt: skip
    np.savez(path, **{key: value for key, value in (arrays | changes).items() if value is not None})
    return path


# ---- what a name gives -------------------------------------------------------------------------------------------------------------------


def test_a_labels_file_gives_its_samples_with_their_meshes(tmp_path):
    path = write_labels(tmp_path / "labels.npz", weights=np.full((2, 106), 0.5))
    first, second = read_source(str(path))
    assert first.path == Path("pictures/a_0.jpg") and first.group == second.group == "a" and first.scheme == "106"
    assert first.image_points.dtype == np.float64 and (first.weights == 0.5).all() and first.five.shape == (5, 2)
    with np.load(path) as archive:
        assert np.array_equal(np.array([first.mesh, second.mesh]), archive["mesh"])
        assert np.array_equal(second.image_points, archive["points"][1])
    bare = next(read_source(str(write_labels(tmp_path / "no mesh.npz", mesh=None, definition=None))))
    assert bare.mesh is None and bare.hidden is None and first.hidden is None
    marks = np.arange(212).reshape(2, 106) % 3 == 0
    hidden = read_source(str(write_labels(tmp_path / "hidden.npz", hidden=marks)))
    assert np.array_equal([sample.hidden for sample in hidden], marks)


def test_labels_of_a_folder_become_edge_based(tmp_path):
    faces = [layouts.face(106, seed) for seed in range(3)]
    layouts.landmarks(tmp_path / "set", faces)
    for sample, one in zip(read_source(str(tmp_path / "set")), faces, strict=True):
        assert np.allclose(sample.image_points, one.points) and np.allclose(sample.native_points, one.points)


def test_a_name_may_say_format_split_and_subset(tmp_path):
    layouts.wflw(tmp_path / "set", [layouts.face(98, seed) for seed in range(3)])
    name = str(tmp_path / "set")
    assert [len(list(read_source(f"{name}{words}"))) for words in ("", "@train", "@test", "@test@pose", "@wflw@test@occlusion")] == [
        1, 1, 2, 2, 2,
    ]  # fmt: skip
    assert not list(read_source(f"{name}@val"))
    assert parse_source(f"{name}@pictures").format.name == "pictures" and parse_source(f"{name}@test@pts").format.name == "pts"
    for words, message in (
        ("@tset", "@tset is not known.*train, val, test.*pose"), ("@test@val", "@val is not known or comes twice"),
        ("@indoor", "@indoor is not known"),
    ):  # fmt: skip
        with pytest.raises(ZooError, match=message):
            parse_source(f"{name}{words}")


def test_a_path_that_ends_like_a_word_is_taken_as_it_is(tmp_path):
    folder = tmp_path / "me@home" / "set@test"
    layouts.lapa(folder, [layouts.face(106, seed) for seed in range(3)])
    assert parse_source(str(folder)).split == "" and parse_source(str(folder)).path == folder
    assert parse_source(f"{folder}@test").split == "test" and len(list(read_source(f"{folder}@val"))) == 1


def test_trainings_get_what_no_split_keeps_from_them(tmp_path):
    layouts.lapa(tmp_path / "set", [layouts.face(106, seed) for seed in range(6)])
    assert {sample.split for sample in read_source(str(tmp_path / "set"))} == {"train"}
    layouts.lapa(tmp_path / "tests", [layouts.face(106)], splits=("test",))
    with pytest.raises(ZooError, match=r"nothing to train on, only test \(1 faces\); say .*tests@test"):
        list(read_source(str(tmp_path / "tests")))


def test_what_is_wrong_with_single_labels_is_said_once_at_the_end(tmp_path, capsys):
    layouts.lapa(tmp_path / "set", [layouts.face(106, seed) for seed in range(5)], splits=("train",))
    for name in ("1001_0.txt", "1003_0.txt"):
        (tmp_path / "set" / "train" / "landmarks" / name).write_text("106\n1 2\n")
    assert len(list(read_source(str(tmp_path / "set")))) == 3
    assert "label file is cut short: 1001_0.txt (1 of 106 points), 1003_0.txt (1 of 106 points)" in capsys.readouterr().out
    problems = Problems()
    list(read_source(str(tmp_path / "set"), problems))
    assert problems.left_out == 2 and capsys.readouterr().out == ""


def test_a_fingerprint_follows_labels_and_pictures(tmp_path):
    faces = [layouts.face(106, seed) for seed in range(2)]
    layouts.lapa(tmp_path / "set", faces, splits=("train",))
    first = fingerprint(str(tmp_path / "set"))
    assert fingerprint(str(tmp_path / "set")) == first
    layouts.write_counted(tmp_path / "set" / "train" / "landmarks" / "1000_0.txt", faces[0].points + 0.01)
    second = fingerprint(str(tmp_path / "set"))
    os.utime(tmp_path / "set" / "train" / "images" / "1001_0.jpg", (1, 1))
    assert len({first, second, fingerprint(str(tmp_path / "set"))}) == 3


# ---- what cannot be read -----------------------------------------------------------------------------------------------------------------


def bad_sources(folder):
    """Returns sources that cannot be read, each with what must be said of it."""
    npz = folder / "one.npz"
    cut = folder / "cut.npz"
    cut.write_bytes(write_labels(npz, 20).read_bytes()[:-400])
    (folder / "text.npz").write_text("name,x,y\n")
    (folder / "empty").mkdir()
    arrays = {"strange": {"points": np.zeros((1, 30, 2))}, "flat": {"points": np.zeros((1, 212))}, "nameless": {"names": None},
              "objects": {"names": np.array([["a"], "b"], dtype=object)[:1]}}  # fmt: skip
    for name, changes in arrays.items():
        (folder / name).mkdir()
        given = {"names": np.array(["a.jpg"]), "points": np.zeros((1, 106, 2))} | changes
        np.savez(folder / name / "landmarks.npz", **{key: value for key, value in given.items() if value is not None})
    (folder / "no.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    (folder / "notes.txt").write_text("hello")
    (folder / "no file.csv").write_text("x0,y0\n1,2\n")
    (folder / "gaps.csv").write_text("file,x0,y0,x2,y2\n")
    (folder / "few.csv").write_text("file,x0,y0\na.png,1,2\n")
    (folder / "utf16.csv").write_bytes("file,x0,y0\n".encode("utf-16"))
    layouts.jd(folder / "two sets" / "a", [layouts.face(106)])
    layouts.pts(folder / "two sets" / "b", [layouts.face(68)])
    layouts.save(folder / "unlabelled" / "a.png", np.zeros((9, 9, 3), np.uint8))
    return {
        str(folder / "none"): "there is no file or folder", str(folder / "none.npz"): "there is no file or folder",
        str(folder / "none@pts"): "there is no file or folder",
        str(folder / "empty"): "holds neither labels nor pictures", str(folder / "notes.txt"): "is of no kind that is read",
        str(folder / "two sets"): r"holds several sets \(jd, pts\)", str(folder / "unlabelled"): "pictures without labels: mark them",
        str(folder / "no.mat"): "no whole HDF5 file",
        str(cut): "cut.npz is no whole NumPy archive", str(folder / "text.npz"): "text.npz is no whole NumPy archive",
        str(folder / "strange"): r"\(1, 30, 2\)", str(folder / "flat"): r"\(1, 212\)", str(folder / "nameless"): "has no array 'names'",
        str(folder / "objects"): "Python objects",
        str(folder / "no file.csv"): "has no column 'file'", str(folder / "gaps.csv"): "has no column x1",
        str(folder / "few.csv"): "1 points; 29, 68", str(folder / "utf16.csv"): "not UTF-8",
        str(write_labels(folder / "weightless.npz", weights=None)): "has no array 'weights'",
        str(write_labels(folder / "short.npz", names=np.array(["a"]))): r"names of shape \(1,\)",
        str(write_labels(folder / "98.npz", points=np.zeros((2, 98, 2)))): r"\(2, 98, 2\)",
        str(write_labels(folder / "before.npz", definition=None)): "before they were corrected; again: python -m training label pictures",
        str(write_labels(folder / "other.npz", definition=np.array("300-W stations"))): "marks other places than today's 106 points",
        str(write_labels(folder / "heavy.npz", weights=np.ones(2))): r"weights of shape \(2,\)",
    }  # fmt: skip


def test_a_source_that_cannot_be_read_is_refused_in_one_line(tmp_path):
    for source, message in bad_sources(tmp_path).items():
        with pytest.raises(ZooError, match=message) as error:
            list(read_source(source))
        assert "\n" not in str(error.value)


def test_a_source_without_faces_makes_no_pack(tmp_path):
    with pytest.raises(ZooError, match="holds no usable face"):
        prepare(str(write_labels(tmp_path / "no faces.npz", 0)), tmp_path / "packs")


# ---- what may train ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count", "write"), layouts.LAYOUTS, ids=layouts.IDS)
def test_a_public_sets_licence_is_known_by_its_layout(tmp_path, name, count, write):
    write(tmp_path / "set", [layouts.face(count)])
    source = ((str(tmp_path / "set"), 1.0),)
    known = provenance(source[0][0])
    if FORMATS[name].tag:
        assert known.tag == "research" and known.licence == FORMATS[name].licence
        with pytest.raises(ZooError, match="only weights tagged research"):
            check_tag(source, "open")
    else:
        assert known is None
        check_tag(source, "open")
    check_tag(source, "research")


def test_what_is_kept_for_choosing_or_testing_never_trains(tmp_path):
    layouts.lapa(tmp_path / "set", [layouts.face(106)])
    for split in ("val", "test"):
        with pytest.raises(ZooError, match=f"the split '{split}' is for choosing or testing"):
            check_tag(((f"{tmp_path / 'set'}@{split}", 1.0),), "research")
    check_tag(((f"{tmp_path / 'set'}@train", 1.0),), "research")
    with pytest.raises(ZooError, match="is for choosing between models"):
        check_tag((("anywhere/wild_68_val@landmarks", 1.0),), "research")


@pytest.mark.parametrize(
    ("given", "sources"),
    [(None, (("synthetic", 1.0),)), (["synthetic:2"], (("synthetic", 2.0),)), (["a.npz", "b:0.25"], (("a.npz", 1.0), ("b", 0.25))),
     (["WFLW@train:2", "c@csv"], (("WFLW@train", 2.0), ("c@csv", 1.0)))],
)  # fmt: skip
def test_sources_are_given_with_their_weights(given, sources):
    assert parse_sources(given) == sources


@pytest.mark.parametrize("word", ["a:b", "a:", "a:0", "a:-1", "a:nan"])
def test_a_weight_that_is_not_a_positive_number_is_refused(word):
    with pytest.raises(ZooError, match="weight"):
        parse_sources([word])


def test_webmorph_templates_give_what_both_schemes_mean():
    points = np.random.default_rng(0).uniform(1, 99, (189, 2))
    full, known = to_106(points)
    assert np.array_equal(full[[84, 87, 90, 93]], points[[87, 90, 93, 106]])  # corners and middles of the lips, as the 68 have them
    assert known.sum() == 22 and not full[~known].any()
    assert known[list(SCHEMES["106"].outer_eyes)].all() and known[list(SCHEMES["106"].mouth_corners)].all()
    assert np.array_equal(known[MIRROR], known)


def test_own_pts_in_folders_called_left_and_right_are_not_taken_for_merl_rav(tmp_path):
    for folder in ("left", "right"):
        layouts.pts(tmp_path / folder, [layouts.face(68)])
    assert detect(tmp_path).name == "pts"
