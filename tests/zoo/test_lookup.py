"""A name means the same to every command: published weights, a run, or a file."""

from __future__ import annotations

import json
import shutil

import pytest
from refusals import assert_refused

import zoo
from tflite.__main__ import main as tflite_main
from training.__main__ import main as training_main
from zoo import cards, lookup
from zoo.__main__ import main as zoo_main
from zoo.errors import ZooError
from zoo.lookup import look_up, published_name

OPEN, ONLY_RESEARCH = "mixed-035-128.open", "mixed-035-064"


@pytest.fixture(autouse=True, name="mine")
def make_mine(tmp_path, monkeypatch):
    """Returns the folder of a run called `mine`, exported in int8 alone, in a folder to work in."""
    monkeypatch.chdir(tmp_path)
    folder = lookup.RUNS / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"configuration": {"variant": "mixed-035-128"}}))
    shutil.copy(cards.model_path("mixed-035-128.research", "int8"), folder / "int8.tflite")
    return folder


def test_a_variant_is_its_open_weights_and_a_tag_asks_for_others():
    for given, name in (("mixed-035-128", OPEN), (OPEN, OPEN), ("mixed-035-128.research", "mixed-035-128.research")):
        found = look_up(given)
        assert (found.kind, found.name, found.path) == ("published", name, cards.weights_folder(name))
        assert published_name(given) == name
    assert look_up(OPEN).files() == {precision: cards.model_path(OPEN, precision) for precision in cards.FILES}
    assert look_up(f"{OPEN}:float32").file() == cards.model_path(OPEN, "float32")


def test_a_run_is_found_by_name_and_path_and_a_file_by_its_path(mine):
    for given in ("mine", "runs/mine", str(mine.resolve())):
        found = look_up(given)
        assert (found.kind, found.name) == ("run", "mine") and found.file().samefile(mine / "int8.tflite")
        assert list(found.files()) == ["int8"]
    assert look_up(str(mine / "int8.tflite")).kind == "file"
    with pytest.raises(ZooError, match=r"the run mine has no float32 file yet: python -m tflite export mine"):
        look_up("mine").file("float32")
    (mine / "float32.tflite").touch()
    assert look_up("mine:float32").file() == mine / "float32.tflite"
    assert zoo.load("mine").name == "mine"


def test_a_run_that_is_called_as_published_weights_are_is_mistaken_for_nothing(mine):
    shutil.move(mine, lookup.RUNS / OPEN)  # of a version that allowed it
    for given in (OPEN, f"{OPEN}:int8"):
        with pytest.raises(ZooError, match=f"'{OPEN}' is published and a run as well: rename the run"):
            look_up(given)
    shutil.move(lookup.RUNS / OPEN, lookup.RUNS / "mixed-035-128.own")
    assert look_up("mixed-035-128.own").kind == "run"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (ONLY_RESEARCH, r"mixed-035-064\.open is not published .*; of mixed-035-064 there is mixed-035-064\.research"),
        ("shuffle-100-192", r"shuffle-100-192\.open is not published; published: .*mixed-100-192\.research"),
        ("mixed-035-128.own", "unknown tag 'own'"),
        ("mixd-035-128", r"did you mean 'mixed-035-128\.\w+'\? Possible: .*mine"),
        ("mine.tflite", "there is no file 'mine.tflite'"),
        ("", "Possible: "),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(given, fault):
    with pytest.raises(ZooError, match=fault) as error:
        look_up(given)
    assert "\n" not in str(error.value)


NOTHING = "nothing"
EVERY_COMMAND = [
    (zoo_main, ["predict", "face.png", "--variant", NOTHING]),
    (training_main, ["evaluate", NOTHING]),
    (training_main, ["fit", "mixed-035-128", "--init", NOTHING]),
    (tflite_main, ["export", NOTHING]),
    (tflite_main, ["audit", NOTHING]),
    (tflite_main, ["benchmark", NOTHING]),
    (tflite_main, ["operators", NOTHING]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("main", "words"), EVERY_COMMAND, ids=lambda value: value[0] if isinstance(value, list) else "")
@pytest.mark.parametrize(
    ("name", "fault"), [(NOTHING, "unknown file, run or published weights 'nothing'"), (ONLY_RESEARCH, "there is mixed-035-064.research")]
)
def test_every_command_looks_names_up_alike(main, words, name, fault, capsys):
    assert_refused(main, [name if word == NOTHING else word for word in words], fault, capsys)


@pytest.mark.parametrize("verb", ["precisions", "golden"])
def test_what_takes_published_weights_alone_says_so(verb, capsys):
    assert_refused(tflite_main, [verb, ONLY_RESEARCH], "of mixed-035-064 there is mixed-035-064.research", capsys)


def test_audit_takes_a_name_and_a_run(capsys):
    assert tflite_main(["audit", "mine", "mixed-035-128", "--json"]) == 0
    paths = [report["path"] for report in json.loads(capsys.readouterr().out)]
    assert paths == ["runs/mine/int8.tflite", *(str(cards.model_path(OPEN, precision)) for precision in cards.FILES)]
