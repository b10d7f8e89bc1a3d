"""A run is one process's alone, lies inside runs/, and what is read back of it is checked: one line with file and field."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.learning import runs
from training.learning.configuration import Configuration, to_json
from zoo.errors import ZooError

ROOT = Path(__file__).parents[2]


def saved(folder, facts=None, **settings):
    """Writes a run's configuration with some settings replaced by what they may not be."""
    folder.mkdir(parents=True, exist_ok=True)
    values = json.loads(json.dumps(to_json(Configuration("mixed-035-064")))) | settings
    (folder / "config.json").write_text(json.dumps({"configuration": values, **(facts or {})}))
    return folder


def checkpointed(folder, step=3, /, **changes):
    """Writes a checkpoint with some arrays replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    row = {"step": step, "loss": 1.0, "nme_percent": 2.0}
    runs.save_checkpoint(folder, runs.Checkpoint(step, [np.ones(3, np.float32)], [np.ones(2)], [row], 1.5))
    with np.load(folder / "checkpoint.npz") as archive:
        arrays = dict(archive)
    arrays |= changes
    np.savez(folder / "checkpoint.npz", **{key: value for key, value in arrays.items() if value is not None})
    return folder


@pytest.mark.parametrize("name", ["../../x", "a/b", "/tmp/x", "..", ".", "", ".hidden", "a/"])
def test_a_run_stays_inside_its_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZooError, match="cannot be called"):
        runs.new_folder(name)
    assert runs.new_folder("good-1") == Path("runs/good-1")


def test_one_process_trains_in_a_folder_and_a_dead_ones_claim_ends(tmp_path):
    hold = "import sys, time; from pathlib import Path; from training.learning import runs\n"
    hold += "with runs.taken(Path(sys.argv[1]), False): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "run")], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        for resume in (False, True):
            with pytest.raises(ZooError, match="another process trains in .*run"), runs.taken(tmp_path / "run", resume):
                pass
    finally:
        holder.kill()
        holder.communicate()
    with runs.taken(tmp_path / "run", False) as begun:
        assert not begun


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_at_step_0(tmp_path):
    saved(tmp_path / "run")
    with runs.taken(tmp_path / "run", True) as begun:
        assert not begun
    checkpointed(tmp_path / "run")
    with runs.taken(tmp_path / "run", True) as begun:
        assert begun


def test_a_run_stopped_early_says_so(tmp_path):
    saved(tmp_path / "run", steps=5)
    assert not runs.stopped_early(tmp_path / "run")
    assert runs.stopped_early(checkpointed(tmp_path / "run", 3)) == "run was stopped at step 3 of 5"
    assert not runs.stopped_early(checkpointed(tmp_path / "run", 5))


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("steps", "many", "a whole number"), ("steps", 2.5, "a whole number"), ("steps", True, "a whole number"),
        ("seed", None, "a whole number"), ("learning_rate", "fast", "a finite number"),
        ("learning_rate", float("nan"), "a finite number"), ("scale", float("inf"), "a finite number"),
        ("quantized", 1, "true or false"), ("variant", 7, "text"), ("tag", ["open"], "text"),
        ("sources", 3, "not whole"), ("sources", [["a"]], "not whole"), ("sources", [["a", "much"]], "not whole"),
    ],
)  # fmt: skip
def test_a_setting_of_another_kind_is_named_with_its_file(tmp_path, setting, value, words):
    saved(tmp_path / "run", **{setting: value})
    with pytest.raises(ZooError, match=words) as error:
        runs.read_configuration(tmp_path / "run")
    assert "config.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("facts", [{"data": 3}, {"data": [{"source": "a"}]}, {"data": [{"source": "a", "faces": -1}]}, {"parent": 5},
                                   {"device": ["cuda"]}, {"versions": "3"}])  # fmt: skip
def test_a_fact_of_another_kind_is_named_with_its_file(tmp_path, facts):
    saved(tmp_path / "run", facts)
    with pytest.raises(ZooError, match=f"config.json: '{next(iter(facts))}' is"):
        runs.read_facts(tmp_path / "run")


@pytest.mark.parametrize(
    "changes",
    [
        {"step": np.array([1, 2])}, {"step": np.array(1.5)}, {"step": np.array(-1)}, {"step": None}, {"seconds": np.array("long")},
        {"seconds": np.array(np.nan)}, {"history_loss": np.zeros(7)}, {"history_loss": np.array(3)}, {"history_nme_percent": None},
        {"model_0000": np.array([np.nan])}, {"model_0000": np.array(["x"])},
    ],
)  # fmt: skip
def test_a_checkpoint_that_is_none_is_named(tmp_path, changes):
    assert runs.read_checkpoint(checkpointed(tmp_path / "whole")).step == 3
    with pytest.raises(ZooError, match=r"checkpoint\.npz is not a checkpoint") as error:
        runs.read_checkpoint(checkpointed(tmp_path / "run", **changes))
    assert "\n" not in str(error.value)
