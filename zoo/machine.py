"""What this machine is, and how much memory this process has needed."""

from __future__ import annotations

import contextlib
import platform
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
