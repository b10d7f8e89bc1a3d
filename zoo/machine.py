"""What this machine is, and how much memory this process has needed."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

MB = 2**20


def peak_mb() -> float | None:
    """Returns the most memory this process has held, in MB, or None where the system does not say.

    `getrusage` will not do, since it counts the parent's from before the start.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MB
    return None


def cpu_model() -> str:
    """Returns the processor's name, as far as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> list[int]:
    """Returns the logical cores this process may use, one of each physical core before the second of any."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))

    def siblings(core: int) -> str:
        with contextlib.suppress(OSError):
            return Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text().strip()
        return str(core)

    seen: dict[str, int] = {}
    ranked = []
    for core in sorted(os.sched_getaffinity(0)):
        group = siblings(core)
        ranked.append((seen.get(group, 0), core))
        seen[group] = seen.get(group, 0) + 1
    return [core for _, core in sorted(ranked)]


@contextlib.contextmanager
def pinned_to_one_core() -> Iterator[None]:
    """Keeps this thread, and those that it starts meanwhile, on one core, where the system allows it: so is everything timed on one."""
    kept = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if kept is not None:
        os.sched_setaffinity(0, usable_cores()[:1])
    try:
        yield
    finally:
        if kept is not None:
            os.sched_setaffinity(0, kept)
