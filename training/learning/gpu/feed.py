"""Batches drawn by many processes into shared memory: one thread draws a tenth of what a GPU eats."""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import RawArray

import numpy as np

from training.data.packs import Pack
from training.data.workers import worker_pool
from training.learning.batches import Batch, drawn_rows, make_batch
from training.learning.configuration import Configuration

# Batches drawn ahead for each process.
_AHEAD = 3

# What the processes inherit: packs are mapped files, which a fork shares and a pickle would copy.
_inherited: tuple[Configuration, Sequence[Pack], Sequence[np.ndarray], Sequence[Batch]] | None = None


@contextmanager
def feeding(c: Configuration, packs: Sequence[Pack], workers: int | None = None) -> Iterator[Callable[..., Iterator[Batch]]]:
    """Gives a function to draw with, as `learning.loop.train` takes it, whose batches are those of `learning.batches.batches`.

    The processes are forked now: enter before CUDA is started, which does not survive a fork.

    Args:
      workers: processes; one less than there are cores if None.
    """
    global _inherited
    workers = workers or max(1, len(os.sched_getaffinity(0)) - 1)
    slots = [_shared_batch(c) for _ in range(_AHEAD * workers)]
    _inherited = (c, packs, drawn_rows(c, packs), slots)

    def draw(c: Configuration, packs: Sequence[Pack], first_step: int) -> Iterator[Batch]:
        free, waiting, ahead = deque(range(len(slots))), deque(), first_step
        for _ in range(first_step, c.steps):
            while free and ahead < c.steps:
                waiting.append(pool.submit(_draw, ahead, free.popleft()))
                ahead += 1
            slot = waiting.popleft().result()
            yield slots[slot]
            free.append(slot)

    try:
        with worker_pool(workers, "fork") as pool:
            for one in [pool.submit(os.getpid) for _ in range(workers)]:  # forks them all
                one.result()
            yield draw
    finally:
        _inherited = None


def _shared_batch(c: Configuration) -> Batch:
    crops, targets = (c.batch, c.spec.size, c.spec.size, 3), (c.batch, c.spec.points, 4)
    return Batch(
        np.frombuffer(RawArray(ctypes.c_uint8, int(np.prod(crops))), np.uint8).reshape(crops),
        np.frombuffer(RawArray(ctypes.c_float, int(np.prod(targets))), np.float32).reshape(targets),
    )


def _draw(step: int, slot: int) -> int:
    c, packs, rows, slots = _inherited
    batch = make_batch(c, packs, rows, step)
    slots[slot].crops[:], slots[slot].targets[:] = batch.crops, batch.targets
    return slot
