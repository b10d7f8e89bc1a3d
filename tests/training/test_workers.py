"""Worker processes end with the process that started them, however that ends, and a worker's death is said in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from training.data.workers import worker_pool
from zoo.errors import ZooError

ROOT = Path(__file__).parents[2]
# A worker polls nothing: it is woken by the pipe's end. This is how long a busy machine may take.
PATIENCE_S = 20
PARENT = """
import os, sys, time
from training.data.workers import worker_pool

def work(_):
    print(os.getpid(), flush=True)
    time.sleep(300)

if __name__ == "__main__":
    with worker_pool(2, sys.argv[1]) as pool:
        list(pool.map(work, range(2)))
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_is_killed(tmp_path, method, end):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script), method], stdout=subprocess.PIPE, env=environment, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    assert all(map(alive, workers))
    parent.send_signal(end)
    parent.wait(PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.1)
    left = [pid for pid in workers if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_a_pools_processes_are_started_before_their_first_task():
    with worker_pool(1, start=os.chdir, args=("/",)) as pool:
        assert pool.submit(os.getcwd).result() == "/"


def test_a_worker_that_is_killed_ends_the_work_in_one_line():
    with pytest.raises(ZooError, match="a worker process was killed"), worker_pool(1) as pool:
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def test_every_pool_of_processes_is_one_of_these():
    makers = ("ProcessPoolExecutor(", ".Pool(", "get_context(")
    found = {file.name for package in ("zoo", "training", "tflite", "demo") for file in (ROOT / package).rglob("*.py")
             if any(maker in file.read_text(encoding="utf-8") for maker in makers)}  # fmt: skip
    assert found == {"workers.py"}
