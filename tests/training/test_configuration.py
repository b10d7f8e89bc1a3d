"""A configuration survives being saved, refuses what is impossible, and its rates and averages are those it says."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from training.learning import runs
from training.learning.configuration import Configuration, StudyConfiguration, from_json, to_json
from zoo import lookup
from zoo.errors import ZooError


def test_a_configuration_survives_json():
    configuration = Configuration("mixed-035-128", sources=(("a", 1.0), ("b.npz", 0.5)), steps=7, quantized=True, init="x")
    back = from_json(json.loads(json.dumps(to_json(configuration))))
    assert back == configuration and hash(back) == hash(configuration)


def test_only_a_studys_configuration_has_a_studys_settings():
    usual = json.loads(json.dumps(to_json(StudyConfiguration("mixed-035-128", steps=7))))
    assert from_json(usual) == Configuration("mixed-035-128", steps=7) and "laterals" not in usual
    for change in ({"laterals": False}, {"face_scale": 1.08}, {"loss": "mse"}):
        study = StudyConfiguration("mixed-035-128", **change)
        assert from_json(json.loads(json.dumps(to_json(study)))) == study
        with pytest.raises(TypeError):
            Configuration("mixed-035-128", **change)
    # As a run of an earlier version has it, whose configuration held them all.
    assert from_json(asdict(StudyConfiguration("mixed-035-128", steps=7))) == Configuration("mixed-035-128", steps=7)


def test_a_run_folder_gives_back_configuration_and_facts(tmp_path):
    configuration = Configuration("mixed-035-128")
    runs.save_configuration(tmp_path / "run", configuration, {"parent": "x"})
    assert runs.read_configuration(tmp_path / "run") == configuration
    assert runs.read_facts(tmp_path / "run") == {"parent": "x"}


def test_strange_settings_are_refused_by_name():
    values = to_json(Configuration("mixed-035-128"))
    with pytest.raises(ZooError, match=r"unknown setting 'dropout'.*learning_rate"):
        from_json({**values, "dropout": 0.1})
    for missing in ("variant", "sources"):
        with pytest.raises(ZooError, match="not whole"):
            from_json({key: value for key, value in values.items() if key != missing})


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"configuration": 3}'])
def test_a_json_file_that_is_no_runs_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ZooError, match="not of a run"):
        runs.read_configuration(tmp_path)


@pytest.mark.parametrize("change", [{"steps": 0}, {"batch": 0}, {"held_out": 1.0}, {"held_out": -0.1}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ZooError, match=next(iter(change))):
        Configuration("mixed-035-128", **change)


def test_the_learning_rate_warms_up_then_falls_along_a_cosine_to_a_hundredth():
    configuration = Configuration("mixed-035-128", steps=1100, warmup_steps=100, learning_rate=0.02)
    rates = np.array([configuration.rate_at(step) for step in range(1101)])
    assert rates[0] == pytest.approx(0.0002) and rates[99] == pytest.approx(0.02) and rates[100] == pytest.approx(0.02)
    assert rates[600] == pytest.approx(0.02 * 0.505) and rates[1100] == pytest.approx(0.0002)
    assert (np.diff(rates[:100]) > 0).all() and (np.diff(rates[100:]) < 0).all()
    assert replace(configuration, warmup_steps=0).rate_at(0) == 0.02
    assert replace(configuration, steps=50).rate_at(49) == pytest.approx(0.01)  # too short to warm up: no division by nothing


def test_runs_are_found_by_name_or_path_and_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "RUNS", tmp_path)
    with pytest.raises(ZooError, match="no run 'a'; runs here: none"):
        runs.run_folder("a")
    assert runs.new_folder("a") == tmp_path / "a"
    runs.save_configuration(tmp_path / "a", Configuration("mixed-035-128"), {})
    with pytest.raises(ZooError, match=r"there is a run 'a' already: go on with it \(--resume a\), remove .* or give another name"):
        runs.new_folder("a")
    for taken in ("mixed-035-128", "mixed-035-128.open", "shuffle-100-192.research"):
        with pytest.raises(ZooError, match=f"a run cannot be called '{taken}', as published weights may be"):
            runs.new_folder(taken)
    assert runs.run_folder("a") == runs.run_folder(str(tmp_path / "a")) == tmp_path / "a"
    with pytest.raises(ZooError, match="no run 'b'; runs here: a"):
        runs.run_folder("b")
    with pytest.raises(ZooError, match="no weights yet"):
        runs.weights_path(tmp_path / "a")


def test_every_setting_is_documented():
    documented = Configuration.__doc__
    assert not [name for name in asdict(Configuration("x")) if name not in documented]
    assert not [name for name in asdict(StudyConfiguration("x")) if name not in documented + StudyConfiguration.__doc__]


def test_the_average_forgets_the_random_start():
    for steps in (40, 400, 5000):
        momentum = Configuration("mixed-035-128", steps=steps).average_momentum
        assert momentum**steps < 1e-4  # the share of the first weights in the last average
    assert Configuration("mixed-035-128", steps=10**6).average_momentum == Configuration("").average


def test_settings_for_the_study_of_tricks_change_what_they_say():
    plain = StudyConfiguration("mixed-035-096")
    assert all(plain.spec.laterals) and not any(replace(plain, laterals=False).spec.laterals)
    assert replace(plain, laterals=False).spec.stages == plain.spec.stages
    coarse = replace(plain, head_stages=2).spec
    assert (coarse.stages, coarse.laterals, coarse.stride) == (plain.spec.stages[:2], plain.spec.laterals[:2], 2 * plain.spec.stride)
    with pytest.raises(ZooError, match=r"loss 'l1'.*cross-entropy, mse"):
        replace(plain, loss="l1")
