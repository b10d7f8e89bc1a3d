"""A teacher is chosen by name, in every worker alike; a file that is none is refused in one line before any work."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_refused

from training.__main__ import main
from training.evaluation.models import resolve
from training.readers.sample import MESH_COUNT
from training.synthetic.faces import draw_face
from training.teacher import finder, labelling
from training.teacher import mesh as teacher
from training.teacher.mesh_mirror import mirrored_mesh
from training.teacher.task_file import read_task
from zoo.errors import ZooError
from zoo.files import sha256
from zoo.images import write_image
from zoo.runtime.graph import pack
from zoo.schemes import SCHEMES

GOOGLES = Path(__file__).parents[3] / "shared" / "data" / "teacher" / "face_landmarker.task"
# In eye distances. The mesh was made for photographs, so on drawn faces only a wrong frame or order of vertices would exceed this.
ON_DRAWINGS = 0.2


def network(*shape: int) -> bytes:
    """A network without operators, which gives a tensor of this shape."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph, tensor = schema.ModelT(), schema.SubGraphT(), schema.TensorT()
    tensor.shape, tensor.name, tensor.buffer = list(shape), b"Identity", 0
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], []
    return pack(model)


def bundle(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.tflite", content)
    return path


def whole(path: Path) -> Path:
    return bundle(path, face_detector=network(1, 896, 16), face_landmarks_detector=network(1, 1, 1, 3 * MESH_COUNT))


def no_file(path: Path) -> None:
    pass


def cut_short(path: Path) -> None:
    content = whole(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def one_byte_changed(path: Path) -> None:
    content = bytearray(whole(path).read_bytes())
    content[content.index(b"Identity")] ^= 1
    path.write_bytes(content)


BAD = {
    "missing": (no_file, "there is no file"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "text": (lambda path: path.write_text("a letter " * 99), "is no MediaPipe task"),
    "one network": (lambda path: path.write_bytes(network(1, 3 * MESH_COUNT)), "is a single network"),
    "cut short": (cut_short, "is damaged or cut short"),
    "one byte changed": (one_byte_changed, "face_detector.tflite is not as it was packed"),
    "of hands": (lambda path: bundle(path, hand_detector=b"", hand_landmarks_detector=b""), "has no face_detector.tflite"),
    "without a mesh": (lambda path: bundle(path, face_detector=network(1, 896, 16)), "has no face_landmarks_detector.tflite"),
    "an older mesh": (
        lambda path: bundle(path, face_detector=network(1, 896, 16), face_landmarks_detector=network(1, 3 * 468)),
        "gives no mesh of 478 vertices",
    ),
    "no network": (lambda path: bundle(path, face_detector=b"", face_landmarks_detector=b"x" * 99), "no whole network"),
    "empty bundle": (lambda path: bundle(path), "is no MediaPipe task"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_face_landmarker_is_refused_before_any_work(tmp_path, capsys, kind):
    make, said = BAD[kind]
    write_image(tmp_path / "pictures" / "a.png", np.zeros((20, 30, 3), np.uint8))
    make(tmp_path / "some.task")
    words = ["label", str(tmp_path / "pictures"), "--out", str(tmp_path / "out.npz"), "--teacher", str(tmp_path / "some.task")]
    assert_refused(main, words, said, capsys)
    assert {path.name for path in tmp_path.iterdir()} <= {"pictures", "some.task"}
    with pytest.raises(ZooError, match=said):
        resolve(str(tmp_path / "some.task"))


def test_a_bundle_with_both_networks_and_the_mesh_passes(tmp_path):
    path = whole(tmp_path / "some.task")
    assert read_task(path) == path.read_bytes()
    assert finder.identity(str(path)) == {"teacher": "some.task", "teacher_sha256": sha256(path)}
    assert finder.identity(finder.MESH)["teacher"] == "mesh" and len(finder.identity(finder.MESH)["teacher_sha256"]) == 64


def test_what_is_done_by_one_teacher_is_not_taken_for_anothers(tmp_path):
    write_image(tmp_path / "pictures" / "a.png", np.zeros((20, 30, 3), np.uint8))
    first, second = whole(tmp_path / "first.task"), tmp_path / "second.task"
    bundle(second, face_detector=network(1, 2), face_landmarks_detector=network(1, 3 * MESH_COUNT))
    outs = set()
    for by in (finder.MESH, str(first), str(second)):
        _, (chunk,) = labelling.list_chunks(tmp_path / "pictures", tmp_path, "skip", by)
        assert chunk.teacher == by
        outs.add(chunk.out)
    assert len(outs) == 3


def test_a_chunk_is_labelled_by_its_teacher(tmp_path, monkeypatch):
    mesh = np.random.default_rng(0).uniform(20, 180, (MESH_COUNT, 3))
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[:, :20] = 255  # told from its mirror image by the side that is bright
    across = mirrored_mesh(mesh, 200) + [1, 0, 0]

    def find(name, confidence):
        assert name == str(task)
        return lambda image: [(across if image[150, 240].any() else mesh) + [50, 50, 0]]  # the border is a quarter of the side

    monkeypatch.setattr(finder, "finder", find)
    write_image(tmp_path / "pictures" / "a.png", picture)
    task = whole(tmp_path / "some.task")
    _, (chunk,) = labelling.list_chunks(tmp_path / "pictures", tmp_path, "skip", str(task))
    labelling.label_chunk(chunk)
    with np.load(chunk.out, allow_pickle=False) as found:
        assert found["state"].tolist() == ["face"] and found["faces"].tolist() == [1]
        np.testing.assert_allclose(found["mesh"][0], mesh - [0.5, 0, 0], atol=1e-3)  # to the right in the mirror is to the left
        np.testing.assert_allclose(found["points"][0], teacher.mesh_to_106(mesh) - [0.5, 0], atol=1e-3)


def test_a_teacher_is_asked_again_with_less_confidence_where_it_sees_nothing(monkeypatch):
    asked = []

    def find(name, confidence):
        def answer(image):
            asked.append((image.shape[0] - 100, confidence))
            return [np.zeros((MESH_COUNT, 3))] if confidence < 0.1 and image.shape[0] == 120 else []

        return answer

    monkeypatch.setattr(finder, "finder", find)
    picture = np.zeros((100, 100, 3), np.uint8)
    assert not finder.find_meshes(picture, finder.MESH) and asked == [(50, 0.3)]
    asked.clear()
    (mesh,) = finder.find_meshes(picture, "some.task")
    assert asked == [(50, 0.3), (50, 0.05), (20, 0.05)]
    np.testing.assert_array_equal(mesh, np.full((MESH_COUNT, 3), [-10, -10, 0]))  # without the border
    asked.clear()
    assert not finder.find_meshes(picture, "some.task", sure=True) and len(asked) == 1


@pytest.mark.skipif(not GOOGLES.is_file(), reason="the Face Landmarker's file is not here: see docs/sources.md")
def test_googles_face_landmarker_marks_a_drawn_face(capfd):
    face = draw_face(0, 256, yaw=0, pitch=0, roll=0)
    (label,) = teacher.label(face.image, str(GOOGLES))
    eyes = SCHEMES["106"].eye_distance(face.points)
    assert np.linalg.norm(label.points - face.points, axis=1).mean() / eyes < ON_DRAWINGS
    assert label.disagreement < 0.08
    assert capfd.readouterr().err == ""  # of MediaPipe's noise
