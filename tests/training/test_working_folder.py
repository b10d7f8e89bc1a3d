"""What a run does on the way lies in a hidden folder of its own; a user's file or folder is never removed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from refusals import assert_refused

from training.__main__ import main
from training.data.working_folder import remove_marked, working_folder
from training.teacher import label
from zoo.errors import ZooError
from zoo.images import write_image


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_it_goes_when_all_is_done_and_stays_with_what_is_done_otherwise(tmp_path):
    with pytest.raises(RuntimeError), working_folder(tmp_path / "x.npz", "label") as folder:
        assert folder.name.startswith(".") and folder.parent == tmp_path
        (folder / "part").write_text("an hour's work")
        raise RuntimeError
    with working_folder(tmp_path / "x.npz", "label") as again:
        assert (again / "part").read_text() == "an hour's work"
    assert not contents(tmp_path)


def test_nothing_stays_where_nothing_was_done(tmp_path):
    with pytest.raises(RuntimeError), working_folder(tmp_path / "x.npz", "label"):
        raise RuntimeError
    assert not contents(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_not_ours_is_refused_and_stays(tmp_path, kind):
    theirs, name = tmp_path / "theirs", tmp_path / ".x.npz.label"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("dear")
    (theirs / ".working-folder").touch()  # even so: a link leads elsewhere
    if kind == "folder":
        name.mkdir()
        (name / "letter.txt").write_text("dear")
    elif kind == "file":
        name.write_text("dear")
    else:
        name.symlink_to(theirs)
    before = contents(tmp_path)
    with pytest.raises(ZooError, match="was not made by this program"), working_folder(tmp_path / "x.npz", "label"):
        pass
    remove_marked(name)
    assert contents(tmp_path) == before


def test_two_runs_with_one_result_are_not_let_at_work_together(tmp_path):
    with working_folder(tmp_path / "x.npz", "label") as folder:
        (folder / "part").touch()
        with pytest.raises(ZooError, match="another label of .* is running"), working_folder(tmp_path / "x.npz", "label"):
            pass
        assert (folder / "part").exists()
        with working_folder(tmp_path / "y.npz", "label"):
            pass


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match="cannot write"), working_folder(tmp_path / "file" / "x.npz", "label"):
        pass


def test_label_keeps_a_folder_of_pictures_whose_name_is_like_the_results(tmp_path, monkeypatch):
    """`label pics.parts --out pics.npz`: the pictures lay where the working folder used to."""
    monkeypatch.chdir(tmp_path)
    write_image("pics.parts/a.png", np.zeros((20, 30, 3), np.uint8))
    monkeypatch.setattr(label, "identity", lambda teacher: {})
    monkeypatch.setattr(label, "_open", lambda pool, teacher, needed: None)
    monkeypatch.setattr(label, "label_chunk", None)  # nothing is asked: only what becomes of the folders matters
    monkeypatch.setattr(label, "worker_pool", FakePool)
    monkeypatch.setattr(label, "merge", lambda root, parts, out, *rest: {"kept": 1, "left out": {}})
    assert main(["label", "pics.parts", "--out", "pics.npz"]) == 0
    assert contents(tmp_path) == {"pics.parts", "pics.parts/a.png"}


class FakePool:
    """A pool that does nothing."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, *_):
        return []


def test_label_of_an_empty_folder_removes_nothing(tmp_path, monkeypatch, capsys):
    """An empty folder of pictures with `--out w.npz`: an existing `w.parts` was deleted with what lay in it."""
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for name in ("w.parts", ".w.npz.parts"):
        Path(name).mkdir()
        Path(name, "letter.txt").write_text("dear")
    before = contents(tmp_path)
    assert_refused(main, ["label", "empty", "--out", "w.npz"], "holds no picture", capsys)
    assert contents(tmp_path) == before
