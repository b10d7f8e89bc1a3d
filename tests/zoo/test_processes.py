"""A fork never hangs nor breaks the child, whatever other threads do; landmarkers are copied, sent to workers and closed."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import zoo
from training.synthetic.faces import draw_face
from zoo.errors import ZooError
from zoo.forking import UNFORKED
from zoo.landmarker import Landmarker

ROOT = Path(__file__).parents[2]

# Two threads detect while the main one forks; every child detects too and must answer the same.
_FORKING = """
import os, signal, sys, threading
import numpy as np
import zoo
from training.synthetic.faces import draw_face
image = draw_face(5, 200, yaw=0, pitch=0, roll=0).image
find = zoo.load("mixed-035-064.research", threads=int(sys.argv[1]))
expected = find.detect(image)[0].points
stop = threading.Event()
def work():
    while not stop.is_set():
        find.detect(image)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
wrong = 0
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        signal.alarm(60)  # a child that hangs is ended by it, with another status
        os._exit(0 if np.array_equal(find.detect(image)[0].points, expected) else 1)
    wrong += os.waitpid(child, 0)[1] != 0
stop.set()
[thread.join() for thread in threads]
print("wrong", wrong)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_fork_while_other_threads_detect_leaves_a_child_that_works(threads):
    done = subprocess.run([sys.executable, "-c", _FORKING, threads, "8"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["wrong", "0"], done.stderr[-500:]


def test_a_fork_waits_for_those_inside_and_keeps_others_out():
    order, inside, leave = [], threading.Event(), threading.Event()

    def work():
        with UNFORKED, UNFORKED:
            inside.set()
            leave.wait()
            order.append("left")

    def fork():
        UNFORKED.before_fork()
        order.append("forked")
        UNFORKED.in_parent()

    worker, forker = threading.Thread(target=work), threading.Thread(target=fork)
    worker.start()
    inside.wait()
    forker.start()
    forker.join(0.1)
    assert forker.is_alive() and order == []
    leave.set()
    worker.join()
    forker.join()
    assert order == ["left", "forked"]
    with UNFORKED:  # and it is open again, also to a fork from within
        UNFORKED.before_fork()
        UNFORKED.in_parent()


@pytest.fixture(scope="module")
def face():
    return draw_face(5, 200, yaw=0, pitch=0, roll=0)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda find: pickle.loads(pickle.dumps(find))])
def test_a_copy_is_another_landmarker_with_the_same_answers(face, way):
    find = zoo.load("mixed-035-064.research", precision="float32", threads=2)
    expected = find.detect(face.image)[0].points
    other = way(find)
    find.close()
    assert (other.name, other.size) == (find.name, find.size)
    np.testing.assert_array_equal(other.detect(face.image)[0].points, expected)


def test_a_landmarker_of_a_file_is_sent_by_its_whole_path(face, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "zoo" / "weights" / "mixed-035-064.research")
    content = pickle.dumps(zoo.load("int8.tflite"))
    monkeypatch.chdir(tmp_path)
    assert len(pickle.loads(content).detect(face.image)) == 1


def test_one_made_of_a_function_cannot_be_sent_and_says_so():
    with pytest.raises(ZooError, match=r"made of a function.*zoo\.load") as error:
        pickle.dumps(Landmarker(lambda crop: None, 128, "mine"))
    assert "\n" not in str(error.value)


def test_a_closed_landmarker_refuses_in_one_line(face):
    with zoo.load("mixed-035-064.research") as find:
        assert find.detect(face.image)
    find.close()
    five = [[60, 80], [120, 80], [90, 110], [70, 140], [110, 140]]
    with pytest.raises(ZooError, match="closed: load it again") as error:
        find(face.image, five)
    assert "\n" not in str(error.value)
