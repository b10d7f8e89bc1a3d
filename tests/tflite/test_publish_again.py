"""Published weights can be measured anew on another machine; what does not pass the gates stays as it was."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tflite.__main__ import main
from tflite.publish import model_cards
from tflite.publish import release as publish
from training.learning import lineage
from zoo import cards, terminal
from zoo.files import sha256
from zoo.runtime import graph as graphs

NAME = "mixed-035-096.research"
pytestmark = pytest.mark.slow


@pytest.fixture(name="folder")
def make_folder(tmp_path, monkeypatch):
    folder = tmp_path / NAME
    shutil.copytree(cards.weights_folder(NAME), folder)
    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    monkeypatch.setattr(model_cards, "write_readme_table", lambda: "README.md")
    return folder


def hashes(folder):
    return {path.name: sha256(path) for path in folder.iterdir()}


def constants(folder):
    """Returns the values of the float file's kernels and biases, the least first."""
    graph = graphs.read_graph((folder / cards.FILES["float32"]).read_bytes())
    values = [tensor.values() for tensor in graph.tensors if tensor.dtype == "float16"]
    return np.sort(np.concatenate([some for some in values if some is not None]).astype(np.float64))


def test_measured_again_the_card_has_new_figures_and_the_same_weights(folder):
    before, files, published = cards.read_card(NAME), hashes(folder), constants(folder)
    network = graphs.read_graph((folder / "int8.tflite").read_bytes())
    (folder / cards.FILES["float32"]).unlink()
    assert terminal.run(main, ["publish", "--again", NAME, "--rounds", "1"]) == 0
    after = cards.read_card(NAME)
    assert {row["source"] for row in after["accuracy"]} == {"synthetic"}
    assert {row["model"] for row in after["latency"]["rows"]} == {*cards.FILES, "MediaPipe face_landmark"}
    assert [row["source"] for row in after["mesh"]] == ["synthetic"] and after["mesh"][0]["core12 %"] < 10
    assert [row["weights"] for row in cards.table_rows()] == [NAME, "MediaPipe's face mesh"]
    for key in ("training", "data", "audit", "date", "macs"):
        assert after[key] == before[key], key
    renewed = hashes(folder)
    may_change = {"card.json", "README.md", "golden.npz", "reliability.png", *cards.FILES.values()}
    assert {name for name in files if renewed[name] != files[name]} <= may_change
    assert graphs.read_graph((folder / "int8.tflite").read_bytes()) == network  # but for what the metadata says of uncertainty
    # Files that were published before folding was done in NumPy carry what TensorFlow's kernels made of it on one processor.
    np.testing.assert_allclose(constants(folder), published, rtol=2**-10, atol=2**-24)
    assert after["files"] == {name: {"bytes": (folder / name).stat().st_size, "sha256": renewed[name]} for name in before["files"]}
    assert (folder / "README.md").read_text() == model_cards.model_card(after)


def test_what_loses_too_much_stays_as_it_was(folder, monkeypatch, capsys):
    monkeypatch.setattr(publish, "MAX_LOSS", -1.0)
    files = hashes(folder)
    assert terminal.run(main, ["publish", "--again", NAME, "--rounds", "1"]) == 1
    assert f"{NAME} stays as it is: int8 loses" in capsys.readouterr().err
    assert hashes(folder) == files and {path.name for path in folder.parent.iterdir()} == {NAME}


def test_timed_again_only_the_times_change(folder, monkeypatch):
    monkeypatch.setattr(publish, "_timed", lambda out, rounds: {"machine": "another", "rows": [{"rounds": rounds}]})
    monkeypatch.setattr(model_cards, "model_card", lambda card: "card")
    before, files = cards.read_card(NAME), hashes(folder)
    assert terminal.run(main, ["publish", "--times", NAME, "--rounds", "3"]) == 0
    after = cards.read_card(NAME)
    assert after == before | lineage.recorded(lineage.of_init(NAME)[1:]) | {"latency": {"machine": "another", "rows": [{"rounds": 3}]}}
    assert {name for name, digest in hashes(folder).items() if digest != files[name]} == {"card.json", "README.md"}


@pytest.mark.parametrize("option", ["--meshes", "--peer"])
def test_a_file_that_is_missing_is_told_before_anything_is_measured(option, folder, capsys):
    assert terminal.run(main, ["publish", "--again", NAME, option, "nowhere.npz"]) == 1
    assert "there is no file 'nowhere.npz'" in capsys.readouterr().err


def test_what_is_not_published_is_not_measured(capsys):
    assert terminal.run(main, ["publish", "--again", "nothing"]) == 1
    assert "unknown variant 'nothing'" in capsys.readouterr().err
