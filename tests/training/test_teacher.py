"""The teacher's mesh becomes the right points, and the adapter learns what it is fitted on and no more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.data.provenance import KNOWN, check_tag, provenance
from training.readers.sample import MESH_COUNT
from training.synthetic.faces import draw_face
from training.teacher import adapter as adapters
from training.teacher import mesh as teacher
from training.teacher.mesh import mesh_to_106
from training.teacher.outline import LEFT_JAW, RIGHT_JAW, seen_jaw
from zoo.errors import ZooError
from zoo.images import write_image
from zoo.schemes import SCHEMES, to_scheme

# In eye distances. The mesh was made for photographs, so on drawn faces only a wrong order of points would exceed this.
TEACHER_ON_DRAWINGS = 0.2


def run_through(point: int) -> tuple[int, ...]:
    """Returns the vertices along which one of the 106 points lies."""
    return next(vertices for vertices, shares in teacher._RUNS if point in shares)


def random_meshes(count: int, seed: int = 0) -> np.ndarray:
    """Random clouds, with eyes, nose and mouth where a face has them: enough where only the bookkeeping of vertices matters."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 100, (MESH_COUNT, 3))
    for vertices, centre in (
        (run_through(67), (30, 40)), (run_through(76), (70, 40)), ((4,), (50, 58)), ((61,), (36, 78)), ((291,), (64, 78)),
    ):  # fmt: skip
        base[list(vertices), :2] = np.add(centre, rng.uniform(-4, 4, (len(vertices), 2)))
    for vertices, centre in ((run_through(71), (30, 42)), (run_through(80), (70, 42))):
        base[list(vertices[1:-1]), :2] = np.add(centre, rng.uniform(-4, 4, (len(vertices) - 2, 2)))
    return base + rng.normal(0, 1, (count, MESH_COUNT, 3))


def test_remap_moves_with_the_mesh():
    mesh = random_meshes(1)[0]
    np.testing.assert_allclose(mesh_to_106(2 * mesh + 5), 2 * mesh_to_106(mesh) + 5)


def test_runs_are_evenly_spaced_and_share_their_ends():
    points = mesh_to_106(random_meshes(1)[0])
    mesh = random_meshes(1)[0][:, :2]
    np.testing.assert_allclose(seen_jaw(mesh, LEFT_JAW)[-1], seen_jaw(mesh, RIGHT_JAW)[0])
    np.testing.assert_allclose(points[[66, 70, 75, 79]], mesh[[33, 133, 362, 263]])
    np.testing.assert_allclose(points[[84, 87, 90, 93]], mesh[[61, 0, 291, 17]])


def test_straight_run_is_divided_evenly():
    mesh = np.zeros((MESH_COUNT, 3))
    start = -0.4 / 0.6  # so that the contour, which starts 0.4 along the first edge, starts at 0
    mesh[list(LEFT_JAW), 0] = [start, 1, 1.5, 2, 5, 7, 8, 9, 10, 11, 12, 14, 16]
    np.testing.assert_allclose(mesh_to_106(mesh)[:17, 0], np.arange(17), atol=1e-9)


def test_adapter_recovers_a_planted_offset():
    """One of whole curves, and one of each point alone, of which the brows' ends, beyond the 106's, cannot be told."""
    meshes = random_meshes(60)
    alone, together = np.random.default_rng(1).normal(0, 0.4, (68, 2)), np.zeros((68, 2))
    for part, shift in zip(SCHEMES["68"].parts.values(), alone, strict=False):
        together[list(part.indices)] = shift
    told = np.setdiff1d(np.arange(68), [17, 21, 22, 26])
    for offset, left in ((together, 0.02), (alone, 0.2)):
        human = np.array([to_scheme(mesh_to_106(mesh), "68") + offset for mesh in meshes])
        adapter, used = adapters.fit(meshes[:40], human[:40])
        assert used == 40
        before = np.mean([np.linalg.norm(to_scheme(mesh_to_106(m), "68") - h) for m, h in zip(meshes[40:], human[40:], strict=True)])
        bent = [to_scheme(adapter.adapt(m), "68") for m in meshes[40:]]
        after = np.mean([np.linalg.norm((b - h)[told]) for b, h in zip(bent, human[40:], strict=True)])
        assert after < left * before


def test_adapter_leaves_a_perfect_teacher_alone():
    meshes = random_meshes(30)
    adapter, _ = adapters.fit(meshes, np.array([to_scheme(mesh_to_106(mesh), "68") for mesh in meshes]))
    points = mesh_to_106(meshes[0])
    np.testing.assert_allclose(adapter.adapt(meshes[0]), points, atol=1e-6)


def test_the_gain_is_measured_on_people_the_adapter_has_not_seen():
    meshes = random_meshes(120)
    offset = np.random.default_rng(1).normal(0, 0.4, (68, 2))
    human = np.array([to_scheme(mesh_to_106(mesh), "68") + offset for mesh in meshes])
    groups = [f"person{i // 2}" for i in range(120)]
    rows = adapters.gain(meshes, human, groups)
    assert {row["part"] for row in rows} == {"core12", "all 68", *SCHEMES["68"].parts}
    assert all(5 < row["held-out faces"] < 60 and row["bent %"] < row["mesh %"] for row in rows)
    assert rows[1]["bent %"] < 0.25 * rows[1]["mesh %"]
    noise = np.random.default_rng(2).normal(0, 0.4, human.shape)  # of each face alone: nothing to be learnt
    assert all(row["bent %"] > 0.8 * row["mesh %"] for row in adapters.gain(meshes, human - offset + noise, groups))
    assert adapters.gain(meshes, human, ["one person"] * 120) == []


def test_adapter_needs_faces_that_agree():
    with pytest.raises(ZooError, match="at least 20 faces"):
        adapters.fit(random_meshes(30), np.random.default_rng(0).uniform(0, 1e4, (30, 68, 2)))


def test_residuals_are_carried_alike_on_both_sides():
    carry = adapters._carry()
    np.testing.assert_allclose(carry[SCHEMES["106"].mirror][:, SCHEMES["68"].mirror], carry, atol=1e-9)
    moved = carry.sum(1)
    assert set(np.round(moved, 9)) == {0.0, 1.0}
    assert set(np.flatnonzero(moved.round(9) == 0)) == {55, 56, 57, 63, 64, 65, 74, 83, 104, 105}  # nobody says where they should lie


def write_labels(path: Path, root: Path, **extra) -> str:
    np.savez(path, root=np.array(str(root)), names=np.array(["a.png"]), points=np.zeros((1, 106, 2)), weights=np.ones((1, 106)), **extra)
    return str(path)


def test_labels_carry_the_licence_of_what_they_were_bent_by(tmp_path):
    plain = write_labels(tmp_path / "x.npz", tmp_path / "fairface")
    bent = write_labels(tmp_path / "y.npz", tmp_path / "fairface", adapted_to=np.array("wild_68_train"))
    assert provenance(plain).tag == "open" and provenance(bent).tag == "research"
    by_task = write_labels(tmp_path / "z.npz", tmp_path / "fairface", teacher=np.array("some.task"), teacher_sha256=np.array("ab" * 32))
    assert "Face Landmarker (Apache-2.0, SHA-256 abababababab)" in provenance(by_task).labels and provenance(by_task).tag == "open"
    assert "refined face mesh" in provenance(plain).labels and "Landmarker" not in provenance(plain).labels
    check_tag(((plain, 1.0),), "open")
    check_tag(((bent, 1.0),), "research")
    with pytest.raises(ZooError, match="only weights tagged research"):
        check_tag(((bent, 1.0),), "open")


def test_labels_name_every_set_their_adapter_was_fitted_on(tmp_path):
    task = {"teacher": np.array("some.task"), "teacher_sha256": np.array("ab" * 32), "mesh": np.zeros((1, MESH_COUNT, 3))}
    both = np.array("wild_68_train, lfpw_68_train")
    by_two = provenance(write_labels(tmp_path / "a.npz", tmp_path / "fairface_more", adapted_to=both, **task))
    assert by_two.tag == "research" and "labels: as wild_68_train and lfpw_68_train" in by_two.licence and "CC BY 4.0" in by_two.licence
    assert by_two.labels.startswith("MediaPipe's Face Landmarker (Apache-2.0, SHA-256 abababababab)")
    assert by_two.labels.endswith("fitted on wild_68_train and lfpw_68_train (300-W annotations by people)")
    over = provenance(write_labels(tmp_path / "b.npz", tmp_path / "lfpw_68_train", adapted_to=both, **task))
    assert "fitted on wild_68_train" in over.labels and over.labels.endswith("; over it 300-W annotations by people")
    strict = provenance(write_labels(tmp_path / "c.npz", tmp_path / "utkface", adapted_to=np.array("webmorph_189")))
    assert strict.tag == "research"  # pictures for research stay so, whoever corrects their labels
    unknown = provenance(write_labels(tmp_path / "d.npz", tmp_path / "fairface", adapted_to=np.array("webmorph_189, mine")))
    assert unknown.tag == "research" and "labels of its own" in unknown.labels


@pytest.mark.parametrize(
    ("name", "tag"), [("fairface_more", "open"), ("lfpw_68_train", "research"), ("aflw_pose_train", "research"), ("jd_106_val", "research")]
)
def test_every_set_of_the_trainings_is_known(name, tag):
    assert provenance(f"somewhere/{name}").tag == tag and KNOWN[name].for_choosing == name.endswith("val")


def test_sets_for_choosing_are_never_trained_on(tmp_path):
    check_tag((("somewhere/wild_68_train", 1.0),), "research")
    renamed = write_labels(tmp_path / "innocent.npz", tmp_path / "wild_68_val")
    changed = {key: np.array("mixed-035-128.open" if key == "blended_with" else "wild_68_train") for key in ("adapted_to", "blended_with")}
    marked = [write_labels(tmp_path / f"{key}.npz", tmp_path / "jd_106_val", **{key: value}) for key, value in changed.items()]
    for source in (renamed, *marked, "somewhere/jd_106_val"):
        for tag in ("open", "research"):
            with pytest.raises(ZooError, match="never trained on"):
                check_tag(((source, 1.0),), tag)


@pytest.mark.slow
def test_label_marks_drawn_faces_and_says_why_it_left_some_out(tmp_path, capsys):
    faces = {f"face_{seed}.png": draw_face(seed, 256, yaw=0, pitch=0, roll=0) for seed in range(3)}
    for name, face in faces.items():
        write_image(tmp_path / "pictures" / name, face.image)
    write_image(tmp_path / "pictures" / "empty.png", np.full((120, 120, 3), 90, np.uint8))
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    out = tmp_path / "labels.npz"
    assert main(["label", str(tmp_path / "pictures"), "--out", str(out), "--workers", "1", "--max-disagreement", "0.2", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)[0]
    assert summary["pictures"] == 5 and summary["no face"] >= 1 and summary["unreadable"] == 1 and summary["kept"] >= 2
    assert not out.with_suffix(".parts").exists()
    with np.load(out) as labels:
        for name, points in zip(labels["names"], labels["points"], strict=True):
            truth = faces[str(name)].points
            eyes = np.linalg.norm(np.subtract(*truth[list(SCHEMES["106"].outer_eyes)]))
            assert np.linalg.norm(points - truth, axis=1).mean() / eyes < TEACHER_ON_DRAWINGS, name


def test_a_folder_called_images_is_known_by_the_one_above(tmp_path):
    labels = write_labels(tmp_path / "x.npz", tmp_path / "utkface" / "images")
    assert provenance(labels).title == "UTKFace"
    with pytest.raises(ZooError, match="only weights tagged research"):
        check_tag(((labels, 1.0),), "open")
