"""`make` sets the environment up once, and again when it is not the one that the checkout asks for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Stands for Python: makes an environment whose interpreter is this script again, and does nothing else.
PYTHON = """#!/bin/sh
if [ "$2" = venv ]; then rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi
"""
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return folder


def make(folder, failing=""):
    """Runs `make quick`; returns whether an environment was made, and what was said."""
    (folder.parent / "python").write_text(PYTHON + failing)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "quick", f"PYTHON={folder.parent / 'python'}"], cwd=folder, env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode == 0) == (not failing), done.stderr
    return "-m venv" in done.stdout, done.stdout


def test_an_environment_is_made_once_and_how_to_use_it_is_said(clone):
    made, said = make(clone)
    assert made and "source .venv/bin/activate" in said and "made anew" not in said
    assert make(clone)[0] is False


@pytest.mark.parametrize("file", ["requirements.txt", "constraints.txt"])
def test_other_requirements_make_it_anew_whatever_their_date(file, clone):
    make(clone)
    (clone / ".venv" / "left over").touch()
    (clone / file).write_text((clone / file).read_text() + "another==1.0\n")
    os.utime(clone / file, (0, 0))
    made, said = make(clone)
    assert made and "made anew" in said and not (clone / ".venv" / "left over").exists()
    assert make(clone)[0] is False


def test_an_older_checkouts_is_made_anew(clone):
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()  # as it was marked once
    assert make(clone)[0] is True and not (clone / ".venv" / ".installed").exists()


def test_one_that_was_moved_is_made_anew(clone):
    make(clone)
    moved = clone.rename(clone.parent / "moved")
    assert make(moved)[0] is True


def test_one_that_is_half_installed_is_made_anew(clone):
    assert make(clone, failing='[ "$2" != pip ]\n')[0] is True
    assert make(clone)[0] is True
    assert make(clone)[0] is False
