"""A run is published under the name that is given, and never takes the place of published weights by accident."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from refusals import assert_refused

from tflite.__main__ import main
from tflite.publish.release import checked_name
from training.learning import runs
from training.learning.configuration import Configuration
from zoo import cards, lookup

PUBLISHED, FREE = "mixed-035-128.open", "shuffle-100-192.open"


@pytest.fixture(name="run")
def make_run(tmp_path, monkeypatch):
    """Returns a function that makes the folder of a run under a name."""
    monkeypatch.setattr(lookup, "RUNS", tmp_path / "runs")

    def made(name: str, variant: str, **changes) -> Path:
        folder = lookup.RUNS / name
        runs.save_configuration(folder, replace(Configuration(variant, quantized=True), **changes), {"parent": "none", "data": []})
        return folder

    return made


def written():
    return {path: path.stat().st_mtime_ns for path in (cards.WEIGHTS, *cards.WEIGHTS.rglob("*"), cards.WEIGHTS.parents[1] / "README.md")}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], f"mine is published under the name that is given: --name {PUBLISHED}"),
        (["--name", PUBLISHED], f"{PUBLISHED} is published: give --replace to put mine in its place"),
        (["--name", "mixed-035-096.open"], f"as 'mixed-035-096.open': its variant and what its data allow make it {PUBLISHED}"),
        (["--name", "mixed-035-128.research", "--replace"], "mine cannot be published as 'mixed-035-128.research'"),
        (["--name", "mine", "--replace"], "mine cannot be published as 'mine'"),
        (["--replace"], "mine is published under the name that is given"),
    ],
)  # fmt: skip
def test_a_published_name_is_not_taken_by_accident(run, words, fault, capsys):
    run("mine", "mixed-035-128")
    before = written()
    assert_refused(main, ["publish", "mine", *words], fault, capsys)
    assert written() == before


def test_a_name_that_is_free_or_given_up_may_be_taken(run):
    free, taken = run("free", "shuffle-100-192"), run("taken", "mixed-035-128")
    assert checked_name(free, FREE, replace=False) == FREE
    assert checked_name(taken, PUBLISHED, replace=True) == PUBLISHED
    assert checked_name(taken, None, replace=False, check=True) == PUBLISHED  # to judge it, no name need be free


def test_what_is_no_variants_network_is_not_published(run, capsys):
    run("float", "shuffle-100-192", quantized=False)
    assert_refused(main, ["publish", "float", "--name", FREE], "float is a float run; publish takes a quantisation-aware one", capsys)
