"""Labelling loses nothing on a stop, never mistakes a changed folder for the old one, and holds one chunk in memory."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from training.readers.sample import MESH_COUNT
from training.synthetic.faces import draw_face
from training.teacher import finder, label_file, labelling
from training.teacher import mesh as teacher
from training.teacher.adapter import Adapter
from training.teacher.mesh_mirror import mirrored_mesh
from training.teacher.occlusion import self_occluded
from zoo.detector import Face
from zoo.errors import ZooError
from zoo.images import write_image
from zoo.schemes import SCHEMES, from_scheme, to_scheme
from zoo.stations import DEFINITION

MARKS = {"teacher": "mesh", "teacher_sha256": "0" * 64}


def folder_of(tmp_path: Path, *pictures: str) -> Path:
    for name in pictures:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "pictures"


def parts_of(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir(exist_ok=True)
    return tmp_path / "parts"


def names_of(chunks) -> list[str]:
    return [name for chunk in chunks for name in chunk.names()]


def test_chunks_name_every_picture_once_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "_CHUNK", 3)
    pictures = [f"{i:02d} ä.jpg" for i in range(7)] + ["deep/er/a.png", "deep/b.jpg"]
    root = folder_of(tmp_path, *pictures, ".hidden.jpg", "notes.txt")
    total, chunks = labelling.list_chunks(root, parts_of(tmp_path))
    assert total == 9 and [chunk.count for chunk in chunks] == [3, 3, 3]
    assert sorted(names_of(chunks)) == sorted(pictures)


def test_a_long_listing_is_read_across_its_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "_CHUNK", 50)
    pictures = [f"{'x' * 150}{i:03d}.jpg" for i in range(120)]
    total, chunks = labelling.list_chunks(folder_of(tmp_path, *pictures), parts_of(tmp_path))
    assert total == 120 and names_of(chunks) == pictures


def test_a_changed_folder_is_labelled_anew_where_it_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "_CHUNK", 2)
    root = folder_of(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    _, before = labelling.list_chunks(root, parts_of(tmp_path))
    folder_of(tmp_path, "c2.jpg")
    _, after = labelling.list_chunks(root, parts_of(tmp_path))
    assert before[0].out == after[0].out and before[1].out != after[1].out and len(after) == 3


def test_a_folder_without_pictures_is_refused_and_leaves_nothing(tmp_path):
    root = folder_of(tmp_path, "notes.txt")
    with pytest.raises(ZooError, match="holds no picture; files that end in"):
        labelling.list_chunks(root, parts_of(tmp_path))
    assert not any(parts_of(tmp_path).iterdir())


def write_part(path: Path, names: list[str], states: list[str], disagreement: list[float], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {
        "names": np.array(names), "points": rng.uniform(1, 99, (len(names), 106, 2)).astype(np.float32),
        "mesh": 100 * rng.random((len(names), MESH_COUNT, 3)).astype(np.float32),
        "disagreement": np.array(disagreement, np.float32),
        "size": np.full((len(names), 2), 100), "state": np.array(states), "faces": np.array([int(state == "face") for state in states]),
    }  # fmt: skip
    arrays["mesh"][:, [33, 263]] = [[20, 40, 0], [80, 40, 0]]  # the outer eye corners, seen from the front
    arrays["points"][0, 0] = [150, 50]  # outside: a guess
    np.savez(path, **arrays)
    return arrays


def test_chunks_become_one_file_with_what_is_trusted(tmp_path):
    first = write_part(tmp_path / "0.npz", ["a.jpg", "b.jpg"], ["face", "no face"], [0.02, np.nan], 0)
    second = write_part(tmp_path / "1.npz", ["a longer name.jpg", "d.jpg", "e.jpg"], ["face", "face", "unreadable"], [0.01, 0.5, np.nan], 1)
    summary = label_file.merge(tmp_path, [tmp_path / "0.npz", tmp_path / "1.npz"], tmp_path / "out.npz", 0.08, 70, MARKS)
    assert summary["kept"] == 2 and summary["disagree"] == 1
    assert summary["no face"] == 1 and summary["unreadable"] == 1 and summary["points outside %"] == round(100 / 106, 2)
    assert summary["left out"] == {"no face": ["b.jpg"], "disagree": ["d.jpg"], "unreadable": ["e.jpg"]}
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert found["names"].tolist() == ["a.jpg", "a longer name.jpg"]
        for key in ("points", "mesh", "disagreement", "size"):
            np.testing.assert_array_equal(found[key], np.stack([first[key][0], second[key][0]]))
        assert found["weights"].shape == (2, 106) and (found["weights"] == 0).sum() == 2 and (found["weights"][:, 0] == 0).all()
        assert np.array_equal(found["hidden"], [self_occluded(mesh) for mesh in found["mesh"]]) and found["hidden"].any()
        assert {key: str(found[key]) for key in ("root", "definition", "teacher")} == {
            "root": str(tmp_path.resolve()), "definition": DEFINITION, "teacher": "mesh",
        }  # fmt: skip


def test_a_face_turned_too_far_is_left_out_and_said_so(tmp_path):
    arrays = write_part(tmp_path / "0.npz", ["a.jpg", "b.jpg"], ["face", "face"], [0.02, 0.02], 0)
    arrays["mesh"][1, 263] = [50, 40, 52]  # 60 degrees
    np.savez(tmp_path / "0.npz", **arrays)
    found = {yaw: label_file.merge(tmp_path, [tmp_path / "0.npz"], tmp_path / "out.npz", 0.08, yaw, {}) for yaw in (50, 70)}
    assert (found[50]["kept"], found[50]["extreme pose"]) == (1, 1) and (found[70]["kept"], found[70]["extreme pose"]) == (2, 0)


@pytest.mark.parametrize(("several", "states"), [("skip", ["several faces"]), ("largest", ["face"]), ("all", ["face", "face"])])
def test_pictures_with_several_faces_are_treated_as_asked(tmp_path, monkeypatch, several, states):
    large, small = (teacher.Label(np.full((MESH_COUNT, 3), side), np.full((106, 2), side), 0.01) for side in (9.0, 5.0))
    monkeypatch.setattr(teacher, "label", lambda image, by: [large, small])
    write_image(tmp_path / "pictures" / "group.png", np.zeros((20, 30, 3), np.uint8))
    _, (chunk,) = labelling.list_chunks(tmp_path / "pictures", parts_of(tmp_path), several)
    assert labelling.label_chunk(chunk) == 1
    with np.load(chunk.out, allow_pickle=False) as found:
        assert found["state"].tolist() == states and found["names"].tolist() == ["group.png"] * len(states)
        assert found["size"].tolist() == [[20, 30]] * len(states) and set(found["faces"].tolist()) == {2}
        if "face" in states:
            assert found["points"][0, 0, 0] == 9


def test_the_mirror_is_asked_about_the_same_face(monkeypatch):
    rng = np.random.default_rng(0)
    shape = rng.uniform(0, 40, (MESH_COUNT, 3))
    shape[[33, 263]] = [[5, 15, 0], [35, 15, 0]]
    left, right = shape + [10, 10, 0], 1.2 * shape + [120, 10, 0]
    across = [mirrored_mesh(mesh, 200) for mesh in (left + [0.3, 0, 0], right)]  # in the mirror, in another order
    answers = iter([[right, left], across])
    monkeypatch.setattr(teacher, "find_meshes", lambda image, by, sure=False: next(answers))
    plain = teacher.mesh_to_106
    first, second = teacher.label(np.zeros((60, 200, 3), np.uint8))
    np.testing.assert_allclose(first.points, plain(right))
    np.testing.assert_allclose(second.points, plain(left) + [0.15, 0])
    assert first.disagreement == pytest.approx(0) and second.disagreement == pytest.approx(
        0.3 / np.linalg.norm(np.subtract(*plain(left)[[66, 79]]))
    )
    np.testing.assert_allclose(second.mesh, left + [0.15, 0, 0])


def test_a_mirror_that_shows_no_face_is_a_disagreement(monkeypatch):
    mesh = np.random.default_rng(0).uniform(0, 40, (MESH_COUNT, 3))
    answers = iter([[mesh], []])
    monkeypatch.setattr(teacher, "find_meshes", lambda image, by, sure=False: next(answers))
    (alone,) = teacher.label(np.zeros((60, 200, 3), np.uint8))
    assert np.isinf(alone.disagreement) and np.array_equal(alone.mesh, mesh)


@pytest.mark.parametrize("scheme", ["106", "68"])
def test_people_go_over_the_teacher_in_every_scheme(tmp_path, scheme):
    """Where the pictures' own landmarks.npz knows a point it is taken, with a weight of 1; the teacher's stays elsewhere."""
    first = write_part(tmp_path / "0.npz", ["a.jpg", "b.jpg"], ["face", "face"], [0.02, 0.02], 0)
    human = to_scheme(draw_face(3, 100).points, scheme)
    np.savez(tmp_path / "landmarks.npz", names=np.array(["b.jpg"]), points=human[None] - 0.5)
    summary = label_file.merge(tmp_path, [tmp_path / "0.npz"], tmp_path / "out.npz", 0.08, 70, MARKS)
    assert summary["with human points"] == 1
    full, known = from_scheme(human, scheme)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        np.testing.assert_allclose(found["points"][1, known], full[known], atol=1e-3)
        np.testing.assert_array_equal(found["points"][1, ~known], first["points"][1, ~known])
        np.testing.assert_array_equal(found["points"][0], first["points"][0])
        assert (found["weights"][1, known] == 1).all()


def test_bending_writes_every_column_again_and_the_points_bent(tmp_path):
    arrays = write_part(tmp_path / "0.npz", ["a.jpg", "b.jpg"], ["face", "face"], [0.02, 0.03], 0)
    arrays["points"] = np.array([teacher.mesh_to_106(mesh) for mesh in arrays["mesh"]], np.float32)
    np.savez(tmp_path / "0.npz", **arrays)
    label_file.merge(tmp_path, [tmp_path / "0.npz"], tmp_path / "plain.npz", 0.08, 70, MARKS)
    shift = Adapter(np.zeros(2 * MESH_COUNT), np.ones(2 * MESH_COUNT), np.zeros((2 * MESH_COUNT, 136)), np.zeros(136))
    with np.load(tmp_path / "plain.npz") as plain:
        expected = {key: plain[key] for key in plain.files}
    assert label_file.bend(tmp_path / "plain.npz", shift, "wild", tmp_path / "plain.npz") == 2  # in place
    with np.load(tmp_path / "plain.npz", allow_pickle=False) as bent:
        assert str(bent["adapted_to"]) == "wild"
        for key, value in expected.items():
            if key == "points":  # the mesh's own: this adapter moves nothing
                np.testing.assert_allclose(bent[key], [teacher.mesh_to_106(mesh) for mesh in expected["mesh"]], atol=1e-3)
            else:
                np.testing.assert_array_equal(bent[key], value)


def test_labels_without_a_mesh_cannot_be_bent(tmp_path):
    np.savez(tmp_path / "x.npz", root=np.array("r"), names=np.array(["a"]), points=np.zeros((1, 106, 2)), weights=np.ones((1, 106)))
    with pytest.raises(ZooError, match="has no array 'mesh'"):
        label_file.bend(tmp_path / "x.npz", None, "wild", tmp_path / "y.npz")
    assert not (tmp_path / "y.npz").exists()


def test_a_summary_names_the_first_pictures_left_out_and_counts_a_crowds_faces(tmp_path):
    names = [f"{i}.jpg" for i in range(8)]
    arrays = write_part(tmp_path / "0.npz", names, ["face", *["no face"] * 5, "several faces", "several faces"], [0.01] * 8, 0)
    arrays["faces"][-2:] = [18, 2]
    np.savez(tmp_path / "0.npz", **arrays)
    found = label_file.merge(tmp_path, [tmp_path / "0.npz"], tmp_path / "out.npz", 0.08, 70, {"teacher": "some.task"})
    assert found["left out"] == {"no face": ["1.jpg", "2.jpg", "3.jpg"], "several faces": ["6.jpg (18)", "7.jpg (2)"]}
    with np.load(tmp_path / "out.npz", allow_pickle=False) as labels:
        assert str(labels["teacher"]) == "some.task"


def test_a_teacher_that_sees_none_of_a_crowd_is_asked_about_each_face_from_close_by(monkeypatch):
    rng = np.random.default_rng(0)
    shape = rng.uniform(-20, 20, (MESH_COUNT, 3))
    shape[[33, 263]] = [[-10, -5, 0], [10, -5, 0]]
    shape -= [*teacher.mesh_to_106(shape).mean(0), 0]
    centres = [(60, 60), (200, 60), (340, 60), (60, 200), (200, 200)]
    boxes = [(x - 20, y - 20, x + 20, y + 20) for x, y in centres] + [(300, 200, 310, 210)]  # the last stands in the background
    image = np.zeros((260, 400, 3), np.uint8)
    for x, y in centres:
        image[y, x] = 255  # what the teacher knows a face by

    def find_meshes(part, by, sure=False):
        lit = np.argwhere(part[..., 0])
        if len(lit) > 3:
            return []
        return [shape + [x + 0.5, y + 0.5, 0] for y, x in lit]

    monkeypatch.setattr(teacher, "find_meshes", find_meshes)
    monkeypatch.setattr(teacher, "detect_faces", lambda image: [Face(np.zeros((4, 2)), box, 0.9) for box in boxes])
    found = teacher.label(image)
    assert len(found) == 5
    middles = sorted(one.points.mean(0).round().astype(int).tolist() for one in found)
    assert np.abs(np.array(middles) - sorted(map(list, centres))).max() <= 1
    assert all(one.disagreement < math.inf for one in found)


@pytest.mark.slow
def test_more_drawn_faces_than_the_teacher_sees_at_once_are_all_found():
    faces = [draw_face(seed, 160, yaw=0, pitch=0, roll=0) for seed in range(6)]
    crowd = np.vstack([np.hstack([face.image for face in faces[row : row + 3]]) for row in (0, 3)])
    assert finder.MAX_FACES < 6
    found = [one.points for one in teacher.label(crowd)]
    assert len(found) == 6
    for index, face in enumerate(faces):
        truth = face.points + 160 * np.array([index % 3, index // 3])
        nearest = min(np.linalg.norm(points - truth, axis=1).mean() for points in found)
        assert nearest < 0.2 * SCHEMES["106"].eye_distance(truth)
