"""The study of the detector finds what is there, at the place where it put it, and its sentences follow from the numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from refusals import assert_refused

from training.__main__ import main
from training.studies import detection
from training.studies.detection import Placed
from training.synthetic.faces import draw_face
from zoo.landmarker import Prediction

FACE = draw_face(11, 200, yaw=0, pitch=0, roll=0)
PLACED = Placed(FACE.image, FACE.points, np.ones(106, bool), "106")


def prediction(points):
    return Prediction(points, np.ones(106, np.float32), points[:5])


@pytest.mark.parametrize("degrees", [0, 30, 90, 225])
def test_a_rotated_picture_holds_all_of_it_with_its_points(degrees):
    turned = detection.rotated(PLACED, degrees)
    back = detection.rotated(turned, -degrees)
    offset = (np.array(back.image.shape[1::-1]) - FACE.image.shape[1::-1]) / 2
    np.testing.assert_allclose(back.points, FACE.points + offset, atol=1e-6)
    x, y = np.round(offset).astype(int)
    again = back.image[y : y + 200, x : x + 200].astype(int)
    assert np.abs(again - FACE.image)[20:180, 20:180].mean() < 12


def test_the_nearest_face_counts_and_a_missed_one_is_infinite():
    eyes = np.linalg.norm(FACE.points[66] - FACE.points[79])
    near, far = prediction(FACE.points + [0.05 * eyes, 0]), prediction(FACE.points + 90)
    assert detection.error([far, near], PLACED) == pytest.approx(0.05)
    assert detection.error([], PLACED) == np.inf


def test_small_faces_lie_where_their_points_say_and_apart():
    for scene in detection._scenes([PLACED] * 5, 448, 448, 20, 0):
        assert 1 <= len(scene) <= 2
        for face in scene:
            left, right = (face.points[i : i + 8].mean(0) for i in (66, 75))
            assert np.linalg.norm(left - right) == pytest.approx(20, rel=0.05)
            assert (face.points > 0).all() and (face.points < 448).all()
        if len(scene) == 2:
            assert np.linalg.norm(scene[0].points.mean(0) - scene[1].points.mean(0)) > 40


def test_sentences_follow_from_the_numbers():
    turned = ((0, 100, 4.0), (15, 98, 4.2), (30, 99, 4.4))
    rotation = [{"degrees": d, "found %": found, "nme %": nme, "error of upright's": nme / 4} for d, found, nme in turned]
    sizes = ((9, 4.0, 10, 60), (20, 9.0, 90, 100))
    small = [{"picture": "a", "eyes px": e, "face %": s, "fast found %": f, "thorough found %": t} for e, s, f, t in sizes]
    first, second, third = detection.findings(rotation, small, [])
    assert "at least 98 % (at 15 degrees)" in first and "1.10 times the error (at 30 degrees)" in first
    assert "fast search finds 90.0 %" in second and "thorough one finds 80.0 %" in second and third == "Nothing was timed."


@pytest.mark.slow
def test_the_study_runs_and_writes_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(detection, "ANGLES_DEG", (0, 90))
    monkeypatch.setattr(detection, "CANVASES", {(448, 448): (20,)})
    assert main(["study", "detection", "--faces", "2", "--rounds", "0", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["degrees"] for row in found["tables"]["Rotation"]] == [0, 90] and "Speed" not in found["tables"]
    assert all(row["found %"] == 100 for row in found["tables"]["Rotation"])
    assert (tmp_path / "plot.png").is_file() and "study detection" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "fault"), [(["--faces", "1"], "2 faces"), (["--rounds", "-1"], "0 rounds"), (["--weights", "none"], "none")]
)
def test_what_cannot_be_measured_is_refused_in_one_line(words, fault, capsys):
    assert_refused(main, ["study", "detection", *words], fault, capsys)
