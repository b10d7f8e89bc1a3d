"""The table of precisions is of files that are what they are called, and its sentences follow from the errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_refused

from tflite.__main__ import main
from tflite.measure import precisions
from tflite.measure.precisions import AFTER, AWARE, FLOAT, Measured, representative_crops
from training.evaluation.faces import drawn_face
from training.evaluation.measure import Evaluation
from zoo.cards import model_path
from zoo.landmarker import load
from zoo.runtime.graph import read_graph
from zoo.runtime.interpreter import open_model

NAME = "mixed-035-096.research"
FACES = [drawn_face(seed) for seed in range(6)]


@pytest.mark.slow
def test_every_file_is_of_its_precision_and_finds_the_same_face(tmp_path):
    files = precisions.make_files(NAME, tmp_path, FACES)
    models = {precision: open_model(path) for precision, path in files.items()}
    assert tuple(files) == precisions.WAYS
    assert {key: model.input.dtype for key, model in models.items()} == {
        key: "int8" if key in (AFTER, AWARE) else "float32" for key in files
    }
    assert models["float16"].precision == "float16" and models["dynamic range"].precision == "int8 weights"
    assert (models[AFTER].input.scale, models[AFTER].input.zero_point) == (1 / 128, 0)
    kinds = {tensor.dtype for tensor in read_graph(files[AFTER].read_bytes()).tensors}
    assert "float32" not in kinds
    assert files["dynamic range"].stat().st_size < files["float16"].stat().st_size < files[FLOAT].stat().st_size
    sample, image = FACES[0]
    points = {key: load(path)(image, sample.five).points for key, path in files.items()}
    eyes = np.linalg.norm(sample.five[0] - sample.five[1])
    for key, some in points.items():
        assert np.linalg.norm(some - points[FLOAT], axis=1).mean() < 0.02 * eyes, key


def test_representative_crops_are_the_size_of_the_input():
    crops = representative_crops(FACES, 96, 4)
    assert crops.shape == (4, 96, 96, 3) and crops.dtype == np.uint8 and crops.std() > 10
    assert len(representative_crops(FACES, 96, 100)) == len(FACES)


def measured(precision: str, errors: np.ndarray, size_bytes: int = 1000, ms: float | None = None) -> Measured:
    count = len(errors)
    names = tuple(f"{i}.png" for i in range(count))
    nothing = np.zeros(count)
    result = Evaluation(precision, "set", "106", names, names, errors, errors, errors, errors, {}, nothing, np.zeros((count, 106, 2)))
    times = {} if ms is None else {(1, "on"): ms, (1, "off"): 2 * ms}
    return Measured(precision, result, size_bytes, times)


def family(after: float, aware: float, timed: bool = False) -> list[Measured]:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.02, 0.04, 60)
    errors = {FLOAT: 0.0, "float16": 0.0, "dynamic range": 0.0, AFTER: after, AWARE: aware}
    return [measured(key, base + change + rng.normal(0, 1e-4, 60), 1000, 1.0 if timed else None) for key, change in errors.items()]


@pytest.mark.parametrize(("after", "aware", "verdict"), [(0.01, 0.001, "better"), (0.001, 0.01, "worse"), (0.001, 0.001, "do not tell")])
def test_the_sentence_says_what_the_training_buys(after, aware, verdict):
    (said,) = precisions.findings({"x": family(after, aware)})
    assert verdict in said and f"{100 * after:+.2f} points" in said and "of float's time" not in said


def test_rows_have_what_was_measured_and_only_that():
    plain, timed = precisions.rows(family(0.01, 0.001)), precisions.rows(family(0.01, 0.001, timed=True))
    assert [row["precision"] for row in plain] == list(precisions.WAYS) and not any("ms" in key for key in plain[0])
    assert timed[0]["ms, 1 thread"] == 1.0 and timed[0]["ms, 1 thread, plain"] == 2.0
    assert plain[0]["change"] is None and plain[3]["change"].startswith("+0.99")
    said = precisions.findings({"x": family(0.01, 0.001, timed=True)})[0]
    assert "takes 1.00 of float's time" in said


@pytest.mark.slow
def test_the_command_writes_its_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(precisions, "samples", lambda source: FACES)
    monkeypatch.setattr(precisions, "make_files", lambda name, folder, faces: copies(name, folder))
    target = tmp_path / "page.md"
    assert main(["precisions", NAME, "--rounds", "1", "--page", str(target), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    text = target.read_text()
    assert printed[0]["weights"] == NAME and printed[-1]["findings"][0] in text and "| int8 aware |" in text
    assert target.with_suffix(".png").read_bytes()[:4] == b"\x89PNG" and "page.png" in text


def copies(name: str, folder: Path) -> dict[str, Path]:
    files = {}
    for key in precisions.WAYS:
        source = model_path(name, "int8" if key.startswith("int8") else "float32")
        files[key] = folder / f"{key.replace(' ', '-')}.tflite"
        files[key].write_bytes(source.read_bytes())
    return files


@pytest.mark.parametrize(
    ("words", "fault"),
    [(["nobody"], "nobody"), ([NAME, "--rounds", "-1"], "--rounds is -1"), ([NAME, "--page", "a.txt"], "must end in .md"),
     ([NAME, "--source", "nowhere"], "nowhere")],
)  # fmt: skip
def test_bad_input_is_one_line(words, fault, capsys):
    assert_refused(main, ["precisions", *words], fault, capsys)
