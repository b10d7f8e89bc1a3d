"""Worker processes that end with whoever started them: a pool's own workers would wait for ever for work that cannot come."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Any

from zoo.errors import ZooError


@contextmanager
def worker_pool(
    workers: int | None = None, method: str = "spawn", start: Callable[..., None] | None = None, args: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Gives a pool whose processes end within a moment when this one does, however it ends; what waits is dropped on leaving.

    Args:
      workers: how many processes; one per core if None.
      method: "spawn", or "fork" where no library at work has started threads, which a fork does not survive.
      start: called in every process before its first task, with `args`.

    Raises:
      ZooError: a process was killed, or crashed.
    """
    pool = ProcessPoolExecutor(max(1, workers or os.cpu_count() or 1), get_context(method), _begin, (start, args))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise ZooError("a worker process was killed or crashed; with more memory, or fewer processes, try again") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(start: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if start is not None:
        start(*args)


def _end_with_parent() -> None:
    """Waits for the parent's end by the pipe that it holds open, and ends this process, whatever that is doing."""
    parent_process().join()
    os._exit(1)
