"""Every layout is recognised and read back: points on their pixels, groups and splits as the set means them."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path

import layouts
import numpy as np
import pytest

from training.data.source_table import APPROXIMATE, PARTS, by_index, by_part, feeds, with_tables
from training.data.sources import parse_source, read_all, read_source
from training.readers.formats import FORMATS, detect
from training.readers.groups import group_of, photograph_of, photograph_of_300w
from training.readers.listing import names
from training.readers.mapping import COUNTS, five_of, to_106
from training.readers.picture import read_picture
from training.readers.problems import UNLABELLED, Problem, Problems
from training.readers.sample import MESH_COUNT
from training.teacher.mesh import mesh_to_106
from zoo.errors import ZooError
from zoo.schemes import SCHEMES
from zoo.stations import map_68_to_106

ROUND_TRIP_PX = 0.01  # four decimals are written
DOT_PX = 0.06  # the centre of a dot of whole numbers, cut at its rim
DOCS = Path(__file__).parents[2] / "docs" / "sources.md"
REAL = Path(__file__).parents[3] / "shared" / "data" / "formats"


def read(path, name=""):
    """Returns the samples of a path and what was said of single labels."""
    problems = Problems()
    return list(read_all(parse_source(f"{path}{name}"), problems)), problems


@pytest.mark.parametrize(("name", "count", "write"), layouts.LAYOUTS, ids=layouts.IDS)
def test_a_layout_is_recognised_and_its_points_lie_on_their_pixels(tmp_path, name, count, write):
    faces = [layouts.face(count, seed) for seed in range(5)]
    write(tmp_path / "set", faces)
    assert detect(tmp_path / "set").name == name
    samples, problems = read(tmp_path / "set")
    assert len(samples) == 5 and not problems.counts
    for sample in samples:
        image = read_picture(sample.path)
        assert image.shape == (layouts.SIDE, layouts.SIDE, 3) and image.dtype == np.uint8
        assert np.linalg.norm(layouts.dot_in(image) - sample.image_points[layouts.DOT_AT]) < DOT_PX
        one = faces[int(image[0, 0, 0])]
        known = sample.weights > 0
        exact = known & ~np.isin(np.arange(106), APPROXIMATE.get(count, ()))
        assert known[[66, 70, 75, 79, 84, 90]].all()
        assert np.abs(sample.image_points - one.points_106)[exact & (np.arange(106) != 74) & (np.arange(106) != 83)].max() < ROUND_TRIP_PX
        assert np.abs(sample.image_points - to_106(one.points)[0])[known].max() < ROUND_TRIP_PX
        if sample.scheme != "106" or count == 106:
            assert np.abs(sample.native_points - one.points[: len(sample.native_points)]).max() < ROUND_TRIP_PX
        assert sample.image_points.dtype == np.float64 and sample.weights.dtype == np.float32 and sample.five.shape == (5, 2)
        assert sample.scheme in SCHEMES and len(sample.native_points) == SCHEMES[sample.scheme].count


@pytest.mark.parametrize(("name", "count", "write"), layouts.LAYOUTS, ids=layouts.IDS)
def test_reading_is_a_stream_in_a_steady_order(tmp_path, name, count, write):
    write(tmp_path / "set", [layouts.face(count, seed % 3) for seed in range(8)])
    stream = FORMATS[name].read(tmp_path / "set")
    assert iter(stream) is stream  # a generator: nothing is read before it is asked for
    passed, order = [], []
    for sample in stream:
        # What has been read is let go: a million faces need no million objects.
        assert sum(earlier() is not None for earlier in passed[:-1]) == 0
        passed.append(weakref.ref(sample))
        order.append(sample.path)
    assert len(order) == 8 and order == [sample.path for sample in read(tmp_path / "set")[0]]


def test_names_come_in_order_of_their_bytes_whatever_their_letters(tmp_path):
    given = ["b.jpg", "a.JPG", "é.png", "a_1.jpg", "ab.webp", ".hidden.jpg", "notes.txt"]
    for name in given:
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    assert list(names(tmp_path, (".jpg", ".png", ".webp"))) == ["a.JPG", "a_1.jpg", "ab.webp", "b.jpg", "é.png"]
    assert list(names(tmp_path, (".gif",))) == []


# ---- schemes -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_what_a_scheme_gives_is_the_same_on_both_sides_of_the_face(count):
    points = layouts.face(count).points
    full, known = to_106(points)
    mirror = SCHEMES["106"].mirror
    assert np.array_equal(known[mirror], known) and not full[~known].any()
    assert np.isfinite(five_of(points)).all()
    assert five_of(points)[0, 0] < five_of(points)[1, 0] and five_of(points)[3, 0] < five_of(points)[4, 0]


@pytest.mark.parametrize("count", [106, 98, 68, 70])
def test_a_hidden_point_is_masked_with_all_that_is_made_of_it(count):
    points = layouts.face(count).points
    places = {106: (84, (84,)), 98: (76, (84,)), 68: (37, (67, 68, 69)), 70: (68, (104, 74))}
    hidden, masked = places[count]
    before = to_106(points)[1]
    points[hidden] = np.nan
    full, known = to_106(points)
    assert np.isfinite(full).all() and set(np.flatnonzero(before & ~known)) == set(masked)


def test_a_rendered_outline_is_not_trusted():
    known = to_106(layouts.face(70).points)[1]
    assert np.flatnonzero(known[:33]).tolist() == [16] and known[[104, 105]].all()


# ---- splits, groups, attributes ------------------------------------------------------------------------------------------------------


def test_jd_and_300w_give_a_shared_photograph_the_same_group():
    assert photograph_of("AFW_134212_1_5.jpg") == photograph_of("AFW_134212_1_0.jpg") == photograph_of_300w(("300w", "afw"), "134212_1")
    assert photograph_of("HELEN_232194_1_3.jpg") == photograph_of_300w(("helen", "trainset"), "232194_1")
    assert photograph_of("LFPW_image_train_0001_2.jpg") == photograph_of_300w(("lfpw", "trainset"), "image_0001")
    assert photograph_of_300w(("lfpw", "testset"), "image_0001") != photograph_of_300w(("lfpw", "trainset"), "image_0001")
    assert photograph_of("IBUG_image_003_1_0.jpg") == photograph_of_300w(("ibug",), "image_003_1")
    assert photograph_of_300w(("300w", "01_indoor"), "indoor_029") != photograph_of_300w(("300w", "01_indoor"), "indoor_030")
    assert photograph_of("plain.jpg") == "plain"


@pytest.mark.parametrize(
    ("name", "group"),
    [("smile_001_08.jpg", "london_001"), ("london_001_03.jpg", "london_001"), ("Ada_Lovelace_2.jpg", "Ada_Lovelace"),
     ("Ada_Lovelace.jpg", "Ada_Lovelace"), ("tr_Ada_Lovelace_12.jpg", "Ada_Lovelace"), ("te_Ada_Lovelace_7.jpg", "Ada_Lovelace"),
     ("train_123.jpg", "train_123"),
     ("deep/er/Ada_12.png", "Ada"), ("12345.jpg", "12345"), ("a_2021.jpg", "a_2021"), ("_3.jpg", "_3")],
)  # fmt: skip
def test_a_name_says_who_it_is(name, group):
    assert group_of(name) == group


def test_warps_of_one_photograph_are_one_group_with_their_boxes(tmp_path):
    layouts.jd(tmp_path, [layouts.face(106, seed) for seed in range(2)])
    warp = "AFW_0_1_3.jpg"
    shutil.copy(tmp_path / "picture" / "AFW_0_1_0.jpg", tmp_path / "picture" / warp)
    shutil.copy(tmp_path / "landmark" / "AFW_0_1_0.jpg.txt", tmp_path / "landmark" / f"{warp}.txt")
    samples, _ = read(tmp_path)
    assert [sample.group for sample in samples] == ["afw_0_1", "afw_0_1", "afw_1_1"]
    assert samples[0].box.tolist() == [10.5, 20.5, 110.5, 120.5] and samples[1].box is None


def test_folders_are_splits(tmp_path):
    layouts.lapa(tmp_path / "test_of_mine", [layouts.face(106, seed) for seed in range(6)])
    assert sorted(sample.split for sample in read(tmp_path / "test_of_mine")[0]) == ["test", "test", "train", "train", "val", "val"]
    one, _ = read(tmp_path / "test_of_mine" / "val")
    assert [(sample.split, sample.group) for sample in one] == [("val", "1001"), ("val", "1004")]
    layouts.jd(tmp_path / "jd" / "Test_data", [layouts.face(106)])
    layouts.jd(tmp_path / "jd" / "Training_data" / "AFW", [layouts.face(106)])
    assert [sample.split for sample in read(tmp_path / "jd")[0]] == ["test", "train"]


def test_wflw_has_splits_boxes_attributes_and_groups_by_picture(tmp_path):
    layouts.wflw(tmp_path, [layouts.face(98, seed) for seed in range(3)])
    train = tmp_path / "WFLW_annotations" / "list_98pt_rect_attr_train_test" / "list_98pt_rect_attr_train.txt"
    train.write_text(train.read_text() * 2)
    samples, _ = read(tmp_path)
    assert [sample.split for sample in samples] == ["test", "test", "train", "train"]
    assert samples[2].group == samples[3].group == "event/0" and samples[0].box.tolist() == [10.5, 20.5, 110.5, 120.5]
    assert {name for name, flag in samples[0].attributes.items() if flag} == {"pose", "occlusion"} and len(samples[0].attributes) == 6
    assert len(list(read_source(f"{tmp_path}@test@pose"))) == 2 and not list(read_source(f"{tmp_path}@train@pose"))
    plain = tmp_path / "list_98pt_test_largepose.txt"  # beside WFLW_images, without box and attributes
    plain.write_text(" ".join([*layouts.rows(layouts.face(98, 1).points, 0.5), "event/1.jpg"]) + "\n")
    only = list(read_source(f"{plain}@test"))
    assert len(only) == 1 and only[0].path.is_file() and only[0].box is None


def test_300w_keeps_its_tests_and_names_their_subsets(tmp_path):
    layouts.ibug_300w(tmp_path / "300W", [layouts.face(68, seed) for seed in range(5)])
    samples, _ = read(tmp_path / "300W")
    found = {sample.path.parent.name if sample.path.parent.name != "testset" else "lfpw": sample for sample in samples}
    assert {name: sample.split for name, sample in found.items()} == {
        "afw": "train", "trainset": "train", "ibug": "test", "lfpw": "test", "01_Indoor": "test",
    }  # fmt: skip
    assert [list(found[name].attributes) for name in ("ibug", "lfpw", "01_Indoor")] == [["challenging"], ["common"], ["indoor"]]
    assert {sample.split for sample in read_source(str(tmp_path / "300W"))} == {"train"}


def test_merl_rav_tells_what_is_covered_from_what_is_turned_away(tmp_path):
    layouts.merl_rav(tmp_path, [layouts.face(68)])
    label = tmp_path / "frontal" / "trainset" / "image00000_1.pts"
    lines = label.read_text().split("\n")
    lines[3 + 16] = "-1 -1"
    lines[3 + 48] = " ".join(f"-{value}" for value in lines[3 + 48].split())
    label.write_text("\n".join(lines))
    (sample,), problems = read(tmp_path)
    assert not problems.counts and sample.weights[32] == 0 and sample.weights[84] == 1
    assert np.isnan(sample.native_points[16]).all() and np.abs(sample.image_points[84] - layouts.face(68).points[48]).max() < ROUND_TRIP_PX
    assert sample.attributes["self-occluded"] == pytest.approx(1 / 68) and sample.attributes["occluded"] == pytest.approx(1 / 68)
    assert (sample.split, sample.group) == ("train", "image00000") and sample.attributes["frontal"]
    lines[3 + 30] = "-1 -1"  # the nose tip
    label.write_text("\n".join(lines))
    samples, problems = read(tmp_path)
    assert not samples and problems.lines() == ["no eye, nose tip or mouth corner to align by: image00000_1.pts (nose tip)"]


def test_cofw_reads_its_pictures_from_the_file_and_knows_what_is_covered(tmp_path):
    layouts.cofw(tmp_path, [layouts.face(29, seed) for seed in range(2)])
    for source in (tmp_path, tmp_path / "COFW_train_color.mat"):
        samples, _ = read(source)
        assert [sample.split for sample in samples] == ["train", "train"] and len({sample.group for sample in samples}) == 2
        assert samples[0].attributes["occluded"] == pytest.approx(1 / 29) and samples[0].attributes["points"] == 29
        assert samples[0].box.tolist() == [10.5, 20.5, 110.5, 120.5]
    (tmp_path / "COFW_train.mat").write_bytes((tmp_path / "COFW_train_color.mat").read_bytes())
    assert len(read(tmp_path)[0]) == 2  # the grey file holds the same faces
    with pytest.raises(ZooError, match="cannot read picture IsTr.9"):
        read_picture(Path(f"{samples[0].path}".replace(".0", ".9")))


def test_a_table_and_an_archive_may_say_who_is_who(tmp_path):
    faces = [layouts.face(68, seed) for seed in range(2)]
    layouts.csv_table(tmp_path / "csv", faces)
    text = (tmp_path / "csv" / "landmarks.csv").read_text().splitlines()
    text[2] = text[2].removesuffix(",") + ",test"
    for divider in (",", ";", "\t"):
        (tmp_path / "csv" / "landmarks.csv").write_text("﻿" + "\n".join(text).replace(",", divider))
        assert [(sample.group, sample.split) for sample in read(tmp_path / "csv")[0]] == [("person 0", ""), ("person 1", "test")]
    layouts.landmarks(tmp_path / "npz", faces, groups=np.array(["Eve", "Eve"]), splits=np.array(["", "val"]))
    assert [(sample.group, sample.split) for sample in read(tmp_path / "npz")[0]] == [("Eve", ""), ("Eve", "val")]
    assert [sample.group for sample in read_source(str(tmp_path / "npz"))] == ["Eve"]


@pytest.mark.parametrize("count", [68, 106])
def test_of_a_steep_face_the_far_half_of_the_contour_is_not_taken(tmp_path, count):
    """A head model marks it where the face itself stands before it; a positive yaw looks to the picture's left."""
    faces = [layouts.face(count, seed) for seed in range(4)]
    layouts.landmarks(tmp_path, faces, yaw=np.array([45.0, -45.0, 20.0, 0.0]))
    samples, problems = read(tmp_path)
    contour, half = list(SCHEMES[str(count)].parts["contour"].indices), (17 if count == 68 else 33) // 2
    hidden = [np.isnan(sample.native_points).any(1) if count == 68 else sample.weights == 0 for sample in samples]
    assert not problems.counts
    assert [np.flatnonzero(some).tolist() for some in hidden] == [contour[:half], contour[-half:], [], []]
    if count == 68:
        assert not samples[0].weights[: half - 1].any() and samples[0].weights[20:33].all() and samples[2].weights[:33].all()


def test_empty_cells_and_visibility_0_are_points_that_are_not_known(tmp_path):
    one = layouts.face(68)
    header, row = layouts.csv_text([one])
    cells = row.split(",")
    cells[1 + 2 * 8 : 3 + 2 * 8] = ["", ""]
    (tmp_path / "one.csv").write_text("\n".join([header, ",".join(cells)]))
    layouts.coco(tmp_path / "coco", [one])
    path = tmp_path / "coco" / "faces_val.json"
    path.write_text(path.read_text().replace(f"{one.points[8, 0] - 0.5}, {one.points[8, 1] - 0.5}, 2.0", "0, 0, 0"))
    spoilt = map_68_to_106().matrix(68)[:, 8] != 0
    assert spoilt[16] and 1 < spoilt.sum() < 10
    for source in (tmp_path / "one.csv", tmp_path / "coco"):
        (sample,), problems = read(source)
        assert not problems.counts and np.array_equal(sample.weights > 0, to_106(one.points)[1] & ~spoilt)


def test_pictures_without_labels_are_named(tmp_path):
    for name, folder, write in (("jd", "picture", layouts.jd), ("landmarks", "images", layouts.landmarks)):
        write(tmp_path / name, [layouts.face(106)])
        layouts.save(tmp_path / name / folder / "other.jpg", layouts.dot(np.array([80, 80])))
        samples, problems = read(tmp_path / name)
        assert len(samples) == 1 and problems.lines() == [f"{UNLABELLED}: other.jpg"]
    shutil.rmtree(tmp_path / "jd" / "landmark")
    unlabelled, _ = read(tmp_path / "jd")
    assert len(unlabelled) == 2 and not unlabelled[0].weights.any() and unlabelled[0].scheme == ""


def test_formats_state_what_they_are():
    for row in FORMATS.values():
        assert all((row.title, row.layout, row.points, row.licence, row.splits, row.home, row.normaliser, row.pixels))
        assert row.tag in ("", "research") and row.one_based == (row.name in ("300w", "pts", "cofw"))
    assert Problem("kind", "name").detail == ""


# ---- the documents -------------------------------------------------------------------------------------------------------------------


def test_the_documents_tables_are_what_the_readers_do():
    text = DOCS.read_text(encoding="utf-8")
    assert with_tables(text) == text, "write them anew: python -m training.data.source_table docs/sources.md"
    assert by_part(feeds()) in text and by_index(feeds()) in text
    with pytest.raises(ZooError, match="no place for the table 'layouts'"):
        with_tables("# nothing")


def test_every_one_of_the_106_points_belongs_to_a_part_and_is_fed_or_masked():
    assert sorted(index for part in PARTS.values() for index in part) == list(range(106))
    for feed in feeds():
        assert feed.exact | feed.near | feed.masked == set(range(106))
        assert len(feed.exact) + len(feed.near) + len(feed.masked) == 106
    assert np.isfinite(mesh_to_106(np.random.default_rng(0).uniform(0, 1, (MESH_COUNT, 3)))).all()  # the teacher knows them all
    assert set(APPROXIMATE) <= {*COUNTS, MESH_COUNT}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real samples are not here")
def test_real_samples_are_read_with_a_face_where_their_points_are():
    for name, count in (("lapa", 2), ("wflw", 4), ("300w", 2)):
        samples, problems = read(REAL / name)
        assert detect(REAL / name).name == name and len(samples) == count and not problems.counts
        for sample in samples:
            height, width = read_picture(sample.path).shape[:2]
            assert ((sample.native_points > 0) & (sample.native_points < [width, height])).mean() > 0.95
