"""Weights carry what they descend from: research stays research through any chain of starts, and nobody's credit is lost on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.learning import ancestors, lineage, runs
from training.learning.configuration import Configuration
from zoo import cards, lookup
from zoo.errors import ZooError
from zoo.files import sha256

OPEN = "mixed-035-128.open"
RESEARCH = "mixed-035-128.research"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_run(
    name: str, tag: str = "open", init: str = "", sources: tuple[str, ...] = ("synthetic",), record: bool = True, **changes
) -> Path:
    """Writes a run as `fit` leaves it, but for its checkpoint; the weights are of no network."""
    folder = lookup.RUNS / name
    configuration = Configuration("mixed-035-064", tag, tuple((source, 1.0) for source in sources), steps=7, init=init, **changes)
    facts = {"data": [{"source": source, "faces": 5} for source in sources]}
    if record:
        facts |= lineage.recorded(lineage.of_init(init))
    runs.save_configuration(folder, configuration, facts)
    runs.save_weights(folder, {"a/kernel": np.full(3, len(name) + len(init), np.float32)})
    return folder


def refused(init: str, message: str) -> None:
    """Checks that open weights cannot start there: refused in one line that says why, with nothing begun."""
    before = sorted(lookup.RUNS.glob("*"))
    with pytest.raises(ZooError, match=message) as error:
        main(["fit", "mixed-035-064", "--tag", "open", "--init", init, "--steps", "1"])
    assert "\n" not in str(error.value) and "only weights tagged research" in str(error.value)
    assert sorted(lookup.RUNS.glob("*")) == before
    lineage.check_ancestors(lineage.of_init(init), "research")


@pytest.mark.parametrize("words", ["", lineage.BACKBONE])
def test_published_research_weights_start_no_open_ones(words):
    refused(f"{RESEARCH}{words}", rf"start '{RESEARCH}' is research")
    for name in (OPEN, OPEN.removesuffix(".open")):
        lineage.check_ancestors(lineage.of_init(f"{name}{words}"), "open")


def test_research_runs_start_no_open_ones_through_any_chain():
    make_run("first", "research", sources=("somewhere/wild_68_train",))
    refused("first", r"start 'first' is research \(trained on wild_68_train\)")
    make_run("second", "open", init="first")  # as could be made before starts were looked at
    make_run("third", "open", init=f"second{lineage.BACKBONE}")
    refused("third", r"start 'first', which third descends from, is research")
    refused(f"runs/third{lineage.BACKBONE}", r"start 'first', which third descends from")
    make_run("published", "open", init=RESEARCH, record=False)
    refused("published", rf"start '{RESEARCH}', which published descends from")


@pytest.mark.parametrize("of", ["published", "run", "earlier"])
def test_a_file_is_known_by_what_is_in_it_whatever_its_name(place, monkeypatch, of):
    source = cards.weights_folder(RESEARCH) / "float.npz" if of == "published" else make_run("first", "research") / "weights.npz"
    shutil.copy(source, "innocent.npz")
    if of == "earlier":
        entry = {"name": RESEARCH, "date": "", "tag": "research", "steps": 1, "init": "", "init_sha256": None, "sources": []}
        monkeypatch.setattr(lineage, "_history", lambda: {"sources": {}, "weights": {sha256("innocent.npz"): entry}})
        shutil.rmtree(lookup.RUNS)
    refused("innocent.npz", "is research")


def test_an_unknown_file_is_named_as_such(place):
    np.savez("some.npz", a=np.zeros(3))
    (found,) = lineage.of_init("some.npz")
    assert found == lineage.Ancestor("some.npz", sha256("some.npz"), "", note=lineage.UNKNOWN)
    lineage.check_ancestors([found], "open")


def test_imagenet_is_the_end_of_a_chain(place, monkeypatch):
    assert lineage.of_init("") == [] and lineage.of_init("imagenet") == [lineage.IMAGENET]
    np.savez("google.npz", a=np.zeros(3))
    monkeypatch.setattr(lineage, "_IMAGENET_FILES", {sha256("google.npz"): "mobilenet.npz"})
    (found,) = lineage.of_init("google.npz")
    assert (found.name, found.tag) == ("mobilenet.npz", "open") and "ImageNet" in found.sources[0]["title"]


def test_a_start_that_is_not_there_is_refused_as_before():
    with pytest.raises(ZooError, match="--init 'nothing' is not known: imagenet, a .npz file, published weights or a run are possible"):
        lineage.of_init("nothing")


def test_a_run_records_its_start_and_keeps_it_when_that_is_gone():
    first = make_run("first", init=OPEN)
    second = make_run("second", init="first")
    chain = lineage.of_run(second)
    assert (chain[0].name, chain[0].sha256, chain[0].steps) == ("first", sha256(first / "weights.npz"), 7)
    assert chain[0].sources[0]["title"] == "faces drawn by this project" and "labels" not in chain[0].sources[0]
    published = cards.weights_folder(OPEN) / "float.npz"
    assert (chain[1].name, chain[1].sha256, chain[1].tag) == (OPEN, sha256(published), "open") and len(chain) > 2
    shutil.rmtree(first)
    assert lineage.of_run(second) == chain
    assert [lineage.from_dict(entry) for entry in lineage.recorded(chain)["ancestors"]] == chain
    json.dumps(lineage.recorded(chain))
    make_run("second-int8", init="second", quantized=True, record=False)
    facts = json.loads((lookup.RUNS / "second-int8" / "config.json").read_text())
    (lookup.RUNS / "second-int8" / "config.json").write_text(json.dumps(facts | {"parent": str(second)}))
    assert lineage.of_run(lookup.RUNS / "second-int8") == chain


def test_a_run_of_before_started_from_the_newest_version_of_before(monkeypatch):
    entry = {"name": OPEN, "date": "", "tag": "open", "steps": 1, "init": "imagenet", "init_sha256": None, "sources": []}
    monkeypatch.setattr(lineage, "_history", lambda: {"sources": {}, "weights": {"old": entry, "new": entry | {"init_sha256": "old"}}})
    for init in (OPEN, OPEN.removesuffix(".open"), f"{OPEN}{lineage.BACKBONE}"):
        chain = lineage.of_run(make_run("before", init=init, record=False))
        assert [one.sha256 for one in chain] == ["new", "old", None] and chain[-1].name == "imagenet"
        assert [one.note for one in chain] == [lineage.NOT_RECORDED, "", ""]
    gone = make_run("gone", init="a run that is gone", record=False)
    assert lineage.of_run(gone) == [lineage.Ancestor("a run that is gone", None, "", note=lineage.BY_NAME)]


# ---- what is published -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cards.published())
def test_published_weights_have_a_chain_and_open_ones_an_open_one(name):
    itself, *chain = lineage.of_init(name)
    assert itself.name == name and itself.sources and itself.steps
    lineage.check_ancestors([itself, *chain], itself.tag)
    if itself.tag == "open":
        assert all(one.tag == "open" for one in chain)
        assert all(one.sha256 and one.steps and not one.note.startswith(lineage.BY_NAME) for one in chain[:-1])
        assert "imagenet" in chain[-1].name  # known from end to end


def test_the_history_names_every_ancestor_that_it_refers_to():
    history = json.loads(lineage.HISTORY.read_text())
    weights = history["weights"]
    order = list(weights)
    for digest, entry in weights.items():
        assert len(digest) == 64 and entry["sources"] and all(key in history["sources"] for key, _ in entry["sources"])
        if entry["init_sha256"]:
            assert order.index(entry["init_sha256"]) < order.index(digest)
        lineage.check_ancestors(lineage._of_history(digest), entry["tag"])


def test_the_history_is_read_from_the_repository(place):
    if not shutil.which("git"):
        pytest.skip("git is missing")

    def publish(name: str, digest: str, init: str, minutes: float = 1.0, **more) -> None:
        folder = place / "zoo" / "weights" / name
        folder.mkdir(parents=True, exist_ok=True)
        training = {"float": {"minutes": minutes, "configuration": {"init": init, "steps": 9}}}
        data = [{"source": "fairface", "faces": 3, "title": "F", "labels": "l", "licence": "CC", "tag": "open"}]
        card = {"name": name, "tag": name.rpartition(".")[2], "date": "2026", "data": data, "training": training}
        (folder / "card.json").write_text(json.dumps(card | {"files": {"float.npz": {"sha256": digest}}} | more))
        git("add", ".")
        git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", digest)

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)

    git("init", "-q")
    publish("a.open", "one", "imagenet")
    publish("a.research", "two", "a")
    publish("a.open", "three", "a.open:backbone", minutes=2.0)
    publish("a.open", "three stored again", "a.open:backbone", minutes=2.0)
    publish("b.research", "four", "a.open", minutes=3.0)
    publish("b.research", "five", "some run", minutes=4.0)
    publish("b.research", "six", "b.research", minutes=5.0, ancestors=[])
    found = ancestors.history(place)
    assert {digest: entry["init_sha256"] for digest, entry in found["weights"].items()} == {
        "one": None, "two": "one", "three": "one", "three stored again": "one", "four": "three stored again", "five": None,
    }  # fmt: skip
    assert found["sources"] == {"fairface": {"source": "fairface", "title": "F", "licence": "CC", "tag": "open"}}
    assert json.loads(ancestors.as_text(found)) == found
    with pytest.raises(ZooError, match="is no clone of this repository"):
        ancestors.history(place / "zoo" / "none")
