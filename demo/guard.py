"""Who can see the page: it listens to this machine alone, from whatever folder it is started, or says so in one line."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

Option = Callable[[str], Any]
_OURS = frozenset({"localhost", "127.0.0.1", "::1"})
_START = "streamlit run demo/app.py --server.address localhost --browser.gatherUsageStats false"


def refusal(option: Option) -> str:
    """Returns why the page does not begin, or nothing: nobody chose that others on the network see it.

    Args:
      option: gives a setting of the server's by its name.
    """
    if not option("server.address"):
        return f"The page was started without its settings and listens on every interface. Start it with `{_START}`."
    return ""


def exposure(option: Option) -> str:
    """Returns in one line what of the page leaves this machine by the settings that were given, or nothing."""
    address, statistics = option("server.address"), option("browser.gatherUsageStats")
    said = [f"others reach it on the network at {address}"] if address and address not in _OURS else []
    said += ["usage statistics are sent to Streamlit"] if statistics else []
    return f"the page does not stay on this machine, as it was told: {'; '.join(said)}" if said else ""


def say_once(option: Option) -> None:
    """Prints `exposure`, once for each server."""
    _say(exposure(option))


@functools.cache
def _say(line: str) -> None:
    if line:
        print(f"warning: {line}", file=sys.stderr, flush=True)
