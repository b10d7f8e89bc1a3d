"""Nothing is lost when a writer is killed, and nothing but one line comes of a damaged file."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from trials import FORMATS, FULL, KILLS, MUTATIONS, WRITERS, kill, mutate

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", WRITERS)
def test_a_killed_writer_leaves_one_whole_version_and_nothing_else(name, tmp_path):
    assert kill(name, tmp_path, KILLS if FULL else 3).total()


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, tmp_path):
    found = mutate(name, tmp_path, MUTATIONS if FULL else 25)
    assert found["refused"]
