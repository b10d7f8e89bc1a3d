"""`python -m zoo`: quick tables without heavy imports, and predictions that survive bad pictures and say what became of each."""

import csv
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import cards
from zoo.__main__ import main
from zoo.errors import ZooError
from zoo.images import read_image, write_image
from zoo.landmarker import Prediction
from zoo.predict import collect, overlay_paths
from zoo.schemes import get_scheme, scores_as_scheme, to_scheme
from zoo.terminal import run
from zoo.uncertainty import raw

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "tf_keras", "mediapipe", "matplotlib", "streamlit")
# An interpreter's start, numpy and OpenCV included; measured 0.4 s on an idle machine, here with room for a busy one.
LIST_SECONDS = 5


PORTRAIT = cards.weights_folder("mixed-035-128.open") / "golden.npz"


class FakeLandmarker:
    """Finds one face per 100 pixels of width, its points spread over the box; a black picture has none."""

    name = "fake"
    uncertainty = replace(raw(106, 4), fitted_on=("a", "b"))

    def __init__(self):
        self.calls = []

    def detect(self, image, *, range="short", min_score=0.5, search="fast"):
        self.calls.append((range, min_score, search))
        if not image.any():
            return []
        rng = np.random.default_rng(0)
        faces = []
        for left in np.arange(0, image.shape[1] - 99, 100):
            points = np.array([left, 0]) + rng.uniform(10, 90, (106, 2))
            scores = np.linspace(0, 1, 106, dtype=np.float32)
            box = (left + 5.0, 5.0, left + 95.0, 95.0)
            faces.append(Prediction(points, scores, points[:4], box, np.linspace(0.5, 3, 106), 1 - scores.astype(np.float64)))
        return faces


@pytest.fixture
def landmarker(monkeypatch):
    fake, asked = FakeLandmarker(), []
    fake.asked = asked
    monkeypatch.setattr(zoo, "load", lambda *args, **options: asked.append((args, options)) or fake)
    return fake


@pytest.fixture
def album(tmp_path):
    """A folder with two pictures of one face, one of two, one without, and two that cannot be read."""
    folder = tmp_path / "album"
    bright = np.full((100, 120, 3), 200, np.uint8)
    write_image(folder / "one.png", bright)
    write_image(folder / "deep" / "one.png", bright)
    write_image(folder / "two.jpg", np.full((100, 200, 3), 200, np.uint8))
    write_image(folder / "none.png", np.zeros((50, 60, 3), np.uint8))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("not a picture")
    return folder


def python_m_zoo(*arguments):
    return subprocess.run([sys.executable, "-m", "zoo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_list_is_quick_and_imports_nothing_heavy():
    code = (
        f"import sys, zoo.__main__; zoo.__main__.main(['list', '--json']); print([n for n in {HEAVY} if n in sys.modules], file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < LIST_SECONDS
    assert done.stderr.strip() == "[]"
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == zoo.names()
    assert all(row["parameters"] > 0 and row["macs"] > 0 and row["points"] == 106 for row in rows)
    assert all(row["input"] == zoo.get(row["name"]).size and row["grid"] == zoo.get(row["name"]).grid for row in rows)


def test_list_names_the_tags_that_are_published(monkeypatch, capsys):
    monkeypatch.setattr(cards, "published", lambda: ["mixed-035-128.open", "mixed-035-128.research"])
    assert main(["list", "--json"]) == 0
    weights = {row["name"]: row["weights"] for row in json.loads(capsys.readouterr().out)}
    assert weights["mixed-035-128"] == ["open", "research"] and weights["mixed-035-096"] == []
    assert main(["list"]) == 0
    assert "open, research" in capsys.readouterr().out


def test_show_prints_the_row_the_head_and_the_cards_figures(monkeypatch, capsys):
    card = {"accuracy": {"nme_inter_ocular": 0.0415}, "history": [{"epoch": 1}]}
    monkeypatch.setattr(cards, "read_card", lambda name: card if name == "mixed-035-128.open" else None)
    assert main(["show", "mixed-035-128"]) == 0
    text = capsys.readouterr().out
    for expected in ("deconv 128", "block_13_expand_relu", "mixed-035-128.open", "accuracy.nme_inter_ocular", "0.0415", "(1 entries)"):
        assert expected in text
    assert main(["show", "mixed-035-128.research", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["weights"] == {} and record["stages"][0] == "deconv 128"


def test_unknown_names_suggest_the_nearest(capsys):
    assert run(main, ["show", "mixd-035-128"]) == 1
    assert run(main, ["predict", "x.jpg", "--variant", "mixed-035-128.opn"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "did you mean 'mixed-035-128'" in errors[0] and "did you mean 'open'" in errors[1]


def test_table_prints_all_cards(monkeypatch, capsys):
    monkeypatch.setattr(cards, "table_rows", lambda: [{"weights": "mixed-035-128.open", "NME %": 4.15}], raising=False)
    assert main(["table"]) == 0
    assert "mixed-035-128.open" in capsys.readouterr().out
    monkeypatch.setattr(cards, "table_rows", list, raising=False)
    assert main(["table"]) == 0
    assert "no weights are published" in capsys.readouterr().out


def test_wrong_command_lines_exit_with_2(capsys):
    for arguments in (["predict", "a.jpg", "--threads", "0"], ["predict", "a.jpg", "--min-score", "2"], ["predict", "--json", "--csv"], []):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "whole number" in capsys.readouterr().err


def test_predict_without_pictures_is_one_clear_line():
    done = python_m_zoo("predict")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "no picture given" in done.stderr


def test_every_verb_has_help_and_predict_states_the_convention():
    text = python_m_zoo("--help").stdout
    for verb in ("list", "show", "predict", "table"):
        assert verb in text
    assert "edge-based" in " ".join(python_m_zoo("predict", "--help").stdout.split())


def test_bad_pictures_are_named_at_the_end_and_do_not_stop_the_rest(landmarker, album, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["predict", str(album), str(album / "missing.jpg"), "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert "no face found" in printed.out
    assert "7 pictures: 4 faces, 1 without a face, 3 failed" in printed.err
    failures = [line for line in printed.err.splitlines() if line.startswith("failed: ")]
    assert [next(name for name in ("empty.jpg", "text.png", "missing.jpg") if name in line) for line in failures] == [
        "empty.jpg", "text.png", "missing.jpg"
    ]  # fmt: skip
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert written == ["deep/one.png", "none.png", "one.png", "two.jpg"]
    assert (read_image(out / "one.png") != 200).any() and (read_image(album / "one.png") == 200).all()


def test_a_picture_without_a_face_is_no_failure(landmarker, album, tmp_path):
    assert main(["predict", str(album / "none.png"), "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("scheme", ["106", "98", "68"])
def test_json_gives_every_face_in_image_pixels(landmarker, album, tmp_path, capsys, scheme):
    main(["predict", str(album), "--json", "--scheme", scheme, "--out", str(tmp_path / "out")])
    value = json.loads(capsys.readouterr().out)
    assert "edge-based" in value["coordinates"] and value["scheme"] == scheme and value["names"] == list(get_scheme(scheme).names)
    pictures = {Path(picture["picture"]).name: picture for picture in value["pictures"]}
    two = pictures["two.jpg"]
    assert (two["width"], two["height"], len(two["faces"])) == (200, 100, 2)
    expected = landmarker.detect(np.ones((100, 200, 3), np.uint8))
    for face, truth in zip(two["faces"], expected, strict=True):
        assert face["box"] == list(truth.box)
        np.testing.assert_allclose(face["points"], to_scheme(truth.points, scheme), atol=0.005)
        np.testing.assert_allclose(face["scores"], scores_as_scheme(truth.scores, scheme), atol=0.0005)
        np.testing.assert_allclose(face["sigmas"], scores_as_scheme(truth.sigmas, scheme), atol=0.005)
        np.testing.assert_allclose(face["visible"], scores_as_scheme(truth.visible, scheme), atol=0.0005)
    assert "68 of 100" in value["sureness"] and "fitted on a, b" in value["sureness"]
    assert pictures["none.png"]["faces"] == []
    assert {Path(failure["picture"]).name for failure in value["failed"]} == {"empty.jpg", "text.png"}
    assert all(failure["reason"] for failure in value["failed"])


def test_csv_has_a_row_per_point(landmarker, album, capsys, tmp_path):
    out = tmp_path / "out"
    assert main(["predict", str(album / "two.jpg"), str(album / "none.png"), "--csv", "--no-overlays", "--out", str(out)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 2 * 106 + 1
    assert [rows[i]["face"] for i in (0, 105)] == ["1", "1"]  # counted from 1, as on the page
    assert (rows[106]["face"], rows[106]["point"], rows[106]["name"]) == ("2", "0", get_scheme("106").names[0])
    assert [float(rows[0][key]) for key in ("score", "sigma", "visible")] == [0, 0.5, 1]
    assert [float(rows[105][key]) for key in ("score", "sigma", "visible")] == [1, 3, 0]
    assert rows[-1]["picture"].endswith("none.png") and rows[-1]["face"] == ""
    assert not out.exists()


def test_options_reach_the_landmarker(landmarker, album, tmp_path):
    options = ["--variant", "own.tflite", "--precision", "float32", "--threads", "2", "--range", "full", "--min-score", "0.7"]
    options += ["--search", "fast"]
    main(["predict", str(album / "one.png"), *options, "--out", str(tmp_path / "out")])
    assert landmarker.asked == [(("own.tflite", "float32"), {"threads": 2})]
    assert landmarker.calls == [("full", 0.7, "fast")]


def test_a_failure_while_finding_is_told_and_the_next_picture_goes_on(landmarker, album, tmp_path, monkeypatch, capsys):
    find = landmarker.detect
    monkeypatch.setattr(landmarker, "detect", lambda image, **options: find(image, **options) if image.shape[1] == 200 else fail())

    def fail():
        raise ZooError("the points lie outside")

    assert main(["predict", str(album / "one.png"), str(album / "two.jpg"), "--out", str(tmp_path / "out")]) == 1
    assert "2 pictures: 2 faces, 0 without a face, 1 failed" in capsys.readouterr().err


def test_overlays_of_equal_names_do_not_replace_one_another(tmp_path):
    images = [
        tmp_path / "a" / "1.jpg",
        tmp_path / "b" / "1.jpg",
        tmp_path / "b" / "1.JPG",
        tmp_path / "b" / "1.gif",
        tmp_path / "b" / "1.png",
    ]
    out = tmp_path / "out"
    targets = overlay_paths(images, out)
    assert list(targets) == images
    assert len({str(target).casefold() for target in targets.values()}) == len(images)
    assert targets[images[0]] == out / "a" / "1.jpg" and targets[images[3]] == out / "b" / "1.gif.png"
    assert overlay_paths([tmp_path / "a" / "1.jpg"], out) == {tmp_path / "a" / "1.jpg": out / "1.jpg"}


def test_overlays_never_replace_the_pictures(landmarker, album, capsys):
    before = {path: path.read_bytes() for path in album.rglob("*.png")}
    assert run(main, ["predict", str(album), "--out", str(album)]) == 1
    assert "would replace" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in album.rglob("*.png")} == before


def test_overlays_of_an_earlier_run_are_not_taken_for_pictures(album, monkeypatch):
    write_image(album / "out" / "one.png", np.zeros((9, 9, 3), np.uint8))
    monkeypatch.chdir(album)
    images, failed = collect(["."], Path("out"))
    assert not failed and len(images) == 6 and not any("out" in image.parts for image in images)
    # Named by the user, they are pictures like others.
    assert collect(["out/one.png"], Path("out"))[0] == [Path("out/one.png")]


def test_a_file_given_twice_is_predicted_once(landmarker, album, tmp_path, capsys):
    main(["predict", str(album / "one.png"), os.fspath(album / "one.png"), "--out", str(tmp_path / "out"), "--json"])
    assert len(json.loads(capsys.readouterr().out)["pictures"]) == 1


def test_five_given_points_take_the_detectors_place(tmp_path, monkeypatch, capsys):
    golden = np.load(PORTRAIT)
    write_image(tmp_path / "face.png", golden["image"])
    monkeypatch.setattr("zoo.landmarker.detect_faces", lambda *_: pytest.fail("the detector was asked"))
    five = ",".join(map(str, golden["five"].ravel().tolist()))
    assert main(["predict", str(tmp_path / "face.png"), "--five", five, "--json", "--no-overlays"]) == 0
    (face,) = json.loads(capsys.readouterr().out)["pictures"][0]["faces"]
    assert face["box"] is None
    np.testing.assert_allclose(face["points"], golden["image_points"], atol=0.06)  # printed to a hundredth; the kernels' own step beside it


@pytest.mark.parametrize("text", ["1,2,3", "", "1,2,3,4,5,6,7,8,9,ten", "1,2,3,4,5,6,7,8,9,10,11"])
def test_what_are_no_five_points_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        main(["predict", "face.png", "--five", text])
    assert f"ten numbers x,y,x,y,... are needed, received {text!r}" in capsys.readouterr().err


def test_five_points_are_of_one_picture(album, landmarker, tmp_path):
    with pytest.raises(ZooError, match="--five gives the points of one picture's face; 6 pictures are named"):
        main(["predict", str(album), "--five", "1,2,3,4,5,6,7,8,9,10", "--out", str(tmp_path / "out")])
