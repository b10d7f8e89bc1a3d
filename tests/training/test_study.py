"""Studies measure what they say: arms differ in one thing and are made once, words and files follow the numbers."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.evaluation import words
from training.evaluation.faces import drawn_face, samples
from training.evaluation.metrics import Difference
from training.learning import fit as fitting
from training.learning import quantize as quantizing
from training.learning import runs
from training.learning.configuration import StudyConfiguration
from training.studies import arms, decoders, heads, placements, sensitivity, study, trick_arms
from training.studies.options import Options
from zoo import cards
from zoo.errors import ZooError
from zoo.landmarker import Landmarker, load

BASE = StudyConfiguration("mixed-035-096", steps=20, batch=8)
SHIPPED = "mixed-035-128"


@pytest.fixture(scope="module")
def faces():
    return [drawn_face(seed) for seed in range(4)]


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    """Lets runs and studies be written to a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(faces, **changes):
    return Options(BASE, "synthetic", faces, **changes)


# ---- arms -----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stub_fit(somewhere, monkeypatch):
    """Stands for training: leaves what a finished run leaves, or stops halfway if told to; notes each call."""
    calls, stop = [], []

    def fit(configuration, folder, *, resume=False, stop_at=None):
        calls.append((folder.name, resume))
        if not resume:
            facts = {"data": [{"source": name, "faces": 7} for name, _ in configuration.sources], "versions": {}}
            runs.save_configuration(folder, configuration, facts)
        steps = configuration.steps // 2 if stop and not resume else configuration.steps
        runs.save_checkpoint(folder, runs.Checkpoint(steps, [], [], [], 0.1 * steps + 2.0))
        runs.save_weights(folder, {"w": np.zeros(1)})
        if steps < configuration.steps:
            raise KeyboardInterrupt
        return True

    def quantize(configuration, parent, folder, *, resume=False, stop_at=None):
        fit(configuration, folder, resume=resume)
        facts = runs.read_facts(folder)
        runs.save_configuration(folder, configuration, facts | {"parent": str(parent)})
        return True

    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(quantizing, "quantize", quantize)
    return calls, stop


def test_an_arm_is_trained_once_and_gone_on_with_after_a_stop(stub_fit):
    calls, stop = stub_fit
    stop.append(True)
    with pytest.raises(KeyboardInterrupt):
        arms.trained("tricks", "no mirror", replace(BASE, mirror_chance=0.0))
    first = arms.trained("tricks", "no mirror", replace(BASE, mirror_chance=0.0))
    again = arms.trained("sensitivity", "another name", replace(BASE, mirror_chance=0.0))
    assert first == again and calls == [("study-tricks-no-mirror", False), ("study-tricks-no-mirror", True)]
    stop.clear()
    assert arms.trained("tricks", "no mirror", replace(BASE, mirror_chance=0.0, steps=21)).name == "study-tricks-no-mirror-2"
    assert len(calls) == 3


def test_a_quantised_arm_belongs_to_its_parent(stub_fit):
    calls, _ = stub_fit
    parents = [arms.trained("heads", "a", BASE), arms.trained("heads", "b", replace(BASE, seed=1))]
    configuration = arms.quantized_from(BASE, parents[0])
    assert configuration.quantized and configuration.steps == 10 and configuration.warmup_steps == 1
    folders = [arms.trained("heads", "a-int8", configuration, parent) for parent in (*parents, parents[0])]
    assert folders[0] != folders[1] and folders[0] == folders[2] and len(calls) == 4


def test_a_budget_becomes_steps_and_stays_so(stub_fit):
    # The stub's step takes 0.1 s: 2 minutes are 1,200 of them, for two arms and one quantised at a tenth of the steps and twice the time.
    found = arms.steps_within("tricks", 2.0, [BASE, replace(BASE, seed=1)], quantized=1)
    assert found == int(120 / (0.1 * (2 + 0.2)))
    calls = len(stub_fit[0])
    assert calls == 2
    assert arms.steps_within("tricks", 2.0, [BASE, replace(BASE, seed=1)], quantized=1) == found
    assert len(stub_fit[0]) == calls
    assert arms.steps_within("tricks", 4.0, [BASE, replace(BASE, seed=1)], quantized=1) > found
    assert not list(Path("runs").glob("probe*"))


@pytest.mark.parametrize("rows", [sensitivity.ARMS, (*trick_arms.LEFT_OUT, *trick_arms.TRIED)])
def test_arms_are_one_change_each_and_bear_different_names(rows):
    assert len({arm.name for arm in rows}) == len(rows) and rows[0].changes == {}
    changed = [(arm.quantized, arm.times, tuple(sorted(arm.changes.items()))) for arm in rows]
    assert len(set(changed)) == len(rows)
    for arm in rows:
        assert not arms.unknown_settings(arm)
        replace(BASE, **arm.changes)


def test_arms_are_chosen_by_name_with_their_reference():
    assert [arm.name for arm in arms.chosen(trick_arms.LEFT_OUT, ["no mirror"])] == ["all tricks", "no mirror"]
    assert arms.chosen(trick_arms.LEFT_OUT, []) == list(trick_arms.LEFT_OUT)
    with pytest.raises(ZooError, match="did you mean 'no mirror'"):
        arms.chosen(trick_arms.LEFT_OUT, ["no miror"])


def test_label_arms_follow_from_the_sources(faces, tmp_path):
    sources = (("people", 0.4), ("bent/faces.npz", 0.6))
    (tmp_path / "faces.npz").touch()
    given = replace(options(faces), base=replace(BASE, sources=sources), unadapted=tmp_path)
    (human, bare), added = trick_arms.label_arms(given)
    assert not added
    _, (blended,) = trick_arms.label_arms(replace(given, unadapted=None, blended=tmp_path))
    assert blended.changes["sources"] == bare.changes["sources"]
    assert human.changes["sources"] == (("people", 0.4),)
    assert bare.changes["sources"] == (("people", 0.4), (str(tmp_path / "faces.npz"), 0.6))


# ---- outcomes -------------------------------------------------------------------------------------------------------------------------


def test_words_follow_the_numbers():
    assert words.signed(-0.00001) == "+0.00" and words.signed(0.0123) == "+1.23"
    assert words.says(Difference(0.001, -0.002, 0.004, 9, 0.5)) == "+0.10 points (95 % -0.20..+0.40)"
    assert [words.compared(80, 100), words.compared(103, 100, "less")] == ["20 % fewer", "3 % more"]
    assert [words.listed(some) for some in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def read(folder):
    """Returns a study's results after checking that all its files agree."""
    results, page = json.loads((folder / "results.json").read_text()), (folder / "README.md").read_text()
    assert len(results["finding"]) == 3 and " ".join(results["finding"]) in page and "(plot.png)" in page
    lines = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert len(lines) == sum(map(len, results["tables"].values()))
    for title, rows in results["tables"].items():
        mine = [line for line in lines if line["table"] == title]
        assert [line[key] for line in mine for key in rows[0]] == ["" if v is None else str(v) for row in rows for v in row.values()]
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert str(Path.cwd()) not in page and "drawn by the project" in page
    return results


@pytest.fixture
def four_faces(monkeypatch, faces):
    """Lets the verb measure four faces, and find none with the detector."""
    monkeypatch.setattr(study, "samples", lambda source, held_out: faces)
    monkeypatch.setattr(Landmarker, "detect", lambda self, image, **settings: [])


def test_sensitivity_measures_the_shipped_weights_without_training(somewhere, four_faces, capsys):
    assert main(["study", "sensitivity", "--out", "found"]) == 0
    results = read(somewhere / "found")
    curves, compared, ways = results["tables"].values()
    assert len(curves) == 3 + sum(map(len, placements.AMOUNTS.values()))
    assert [row["disturbed by"] for row in compared] == [*placements.AMOUNTS, sensitivity.APART]
    costs = {row["disturbed by"]: row["core12 change"] for row in compared}
    assert costs[sensitivity.APART] == pytest.approx(costs["displacement"] - costs["rotation"], abs=0.002)
    exact = next(row for row in ways if row["crop laid by"] == placements.EXACT)
    assert {row["core12 % of eyes"] for row in curves if row["amount"] == 0} == {exact["core12 % of eyes"]}
    for kind, amounts in placements.AMOUNTS.items():
        worst = next(row for row in curves if (row["disturbed by"], row["amount"]) == (kind, amounts[-1]))
        assert worst["core12 % of eyes"] > exact["core12 % of eyes"]
    missed = next(row for row in ways if row["crop laid by"] == placements.DETECTED)
    assert (missed["missed"], missed["core12 % of eyes"], missed["FR@0.08 %"]) == (4, None, 100)
    assert results["finding"][0] in capsys.readouterr().out
    assert not Path("runs").exists()


def test_curves_are_read_between_the_amounts():
    steps = [("rotation", 0.0), *(("rotation", amount) for amount in placements.AMOUNTS["rotation"])]
    distances = {step: np.array([0.01, 0.02]) * index for index, step in enumerate(steps)}
    errors = {step: np.array([0.02, 0.03]) + 0.001 * index for index, step in enumerate(steps)}
    curves = sensitivity.Curves(errors, errors, {}, {}, distances, np.array(["a", "b"]))
    assert curves.at("rotation", 0.03).tolist() == pytest.approx([0.02 + 0.003, 0.03 + 0.0015])


def shipped_arms(monkeypatch):
    """Lets every trained arm answer with the shipped weights."""
    find = load(SHIPPED)
    monkeypatch.setattr(arms, "find", lambda folder: find)
    return find


def test_tricks_trains_each_arm_and_says_why_others_were_not(stub_fit, four_faces, monkeypatch):
    shipped_arms(monkeypatch)
    assert main(["study", "tricks", "--steps", "20", "--batch", "8", "--variant", "mixed-035-096", "--out", "found"]) == 0
    results = read(Path("found"))
    rows = {row["arm"]: row for row in results["tables"]["Trainings that differ in one trick"]}
    assert set(rows) == {arm.name for arm in (*trick_arms.LEFT_OUT, *trick_arms.TRIED)} | {"no teacher labels", "labels not adapted"}
    for name in ("random start", "no teacher labels", "labels not adapted"):
        assert rows[name]["not trained because"] == "the reference does without it" and rows[name]["core12 % of eyes"] is None
    assert rows["no mirror"]["core12 change"] == 0 and rows["all tricks"]["core12 change"] is None  # the same weights stand for all arms
    configurations = {file.parent.name: runs.read_configuration(file.parent) for file in Path("runs").glob("*/config.json")}
    assert configurations.pop("study-tricks-twice-the-steps").steps == 40
    floats = [c for c in configurations.values() if not c.quantized]
    assert {(c.steps, c.batch, c.sources, c.learning_rate, c.warmup_steps) for c in floats} == {
        (20, 8, BASE.sources, BASE.learning_rate, 2)
    }
    assert [name for name, c in configurations.items() if c.seed != 0] == ["study-tricks-another-seed"]
    for clause in ("cannot tell what is lost with", "added or set otherwise one at a time: the faces cannot tell what is won with"):
        assert clause in results["finding"][1]
    assert "cannot tell what is lost" in results["finding"][1] and "another seed" in results["finding"][2]
    assert results["conditions"]["Training"].startswith("20 steps of 8 crops from random weights, seed 0")


def test_tricks_reads_maps_without_training(somewhere, four_faces):
    assert main(["study", "tricks", "--budget", "0", "--align", "exact", "--out", "found"]) == 0
    results = read(Path("found"))
    assert list(results["tables"]) == ["Reading the same maps"] and results["finding"][1].startswith("No arms were trained")
    errors = {row["read by"]: row["core12 % of eyes"] for row in results["tables"]["Reading the same maps"]}
    assert errors["highest cell"] > errors[decoders.IN_USE]


def test_heads_compares_published_weights_by_their_cards(somewhere, four_faces):
    names = [name for name in cards.published() if name.startswith("mixed-035-128")]
    if len(names) < 2:
        pytest.skip("one set of weights is published")
    assert main(["study", "heads", *(word for name in names for word in ("--weights", name)), "--out", "found"]) == 0
    results = read(Path("found"))
    for row in results["tables"]["Cost"]:
        card = cards.read_card(row["weights"])
        assert row["parameters k"] == round(card["parameters"] / 1e3) and row["int8 KB"] == round(
            card["files"]["int8.tflite"]["bytes"] / 1024
        )
        times = [r for r in card["latency"]["rows"] if r["model"] == "int8" and r["threads"] == 1 and r["xnnpack"] == "on"]
        assert row["int8 ms"] == pytest.approx(times[0]["median_ms"], abs=1e-3) and row["int8 delegated"] == times[0]["delegated"]
    assert [row["float core12 % of eyes"] for row in results["tables"]["Accuracy"]]
    assert "each set against MediaPipe's mesh in a run of its own" in results["finding"][1]
    assert "were not trained alike" in results["finding"][0]  # open and research: other data, whatever the steps


def test_heads_trains_three_heads_alike(stub_fit, four_faces, monkeypatch):
    find = shipped_arms(monkeypatch)
    monkeypatch.setattr(heads, "landmarker", lambda model: find)
    assert main(["study", "heads", "--steps", "20", "--batch", "8", "--out", "found"]) == 0
    results = read(Path("found"))
    configurations = [runs.read_configuration(file.parent) for file in sorted(Path("runs").glob("study-heads-*/config.json"))]
    assert [c.variant for c in configurations if c.quantized] == ["deconv-035-128", "mixed-035-128", "shuffle-035-128"]
    assert len({replace(c, variant="", init="") for c in configurations if not c.quantized}) == 1
    assert all(row["int8 less float: core12 change"] == 0 for row in results["tables"]["Accuracy"])
    assert results["finding"][1].endswith("times of both have not been measured.") and "within chance" in results["finding"][0]
    assert ", trained alike;" in results["finding"][0]
    costs = {row["weights"].split("-")[2]: row for row in results["tables"]["Cost"]}
    assert costs["shuffle"]["MMAC"] < costs["mixed"]["MMAC"] < costs["deconv"]["MMAC"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["heads", "--budget", "-1"], "0 minutes or more"),
        (["tricks", "--steps", "0"], "at least 1"),
        (["sensitivity", "--weights", "nothing"], "unknown file, run or published weights 'nothing'"),
        (["tricks", "--variant", "mixd-035-128"], "did you mean"),
        (["tricks", "--steps", "5", "--train", "faces", "--source", "faces"], "is trained on"),
        (["tricks", "--align", "detector", "--budget", "0"], "--align noisy and exact are possible"),
        (["tricks", "--steps", "5", "--arms", "no miror"], "unknown arm 'no miror'"),
        (["heads", "--steps", "5", "--variant", "mixed-035-096"], "one head of 035-096"),
        (["heads", "--steps", "5", "--arms", "mixed"], "two heads or more"),
        (["heads", "--budget", "0"], "nothing to measure"),
        (["heads", "--latency", "none.json"], "no file or folder 'none.json'"),
        (["sensitivity", "--source", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_studied_is_refused_in_one_line(arguments, message, somewhere, four_faces, monkeypatch):
    if "nowhere" in arguments:
        monkeypatch.setattr(study, "samples", samples)
    with pytest.raises(ZooError, match=message) as caught:
        main(["study", *arguments])
    assert len(str(caught.value).splitlines()) == 1 and not Path("runs").exists()


@pytest.mark.slow
def test_sensitivity_trains_its_arms_in_earnest_and_finds_them_again(somewhere, four_faces, monkeypatch, faces):
    from training.synthetic import packs

    monkeypatch.setattr(study, "samples", lambda source, held_out: faces[:2])
    monkeypatch.setattr(packs, "_FACES", 12)
    command = [
        "study",
        "sensitivity",
        "--steps",
        "4",
        "--batch",
        "2",
        "--variant",
        "mixed-035-096",
        "--arms",
        "no rotation",
        "--out",
        "found",
    ]
    assert main(command) == 0
    results = read(Path("found"))
    assert results["conditions"]["Models"] == [*sensitivity.DEFAULT_WEIGHTS, "trained with all jitter", "trained with no rotation"]
    assert "leaving the same kind out of training" in results["finding"][0]
    first = (Path("found") / "README.md").read_bytes()
    weights = {file: file.stat().st_mtime_ns for file in Path("runs").glob("*/weights.npz")}
    assert len(weights) == 2
    assert main(command) == 0
    assert (Path("found") / "README.md").read_bytes() == first
    assert {file: file.stat().st_mtime_ns for file in Path("runs").glob("*/weights.npz")} == weights
