"""What every command shares: one table, JSON for programs, one line for a user's error."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from zoo.errors import ZooError


def format_table(rows: Iterable[dict[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Returns `rows` as aligned text: one column per key, numbers to the right, None as a dash."""
    rows = list(rows)
    if not rows:
        return "(nothing)"
    columns = list(columns or rows[0])
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    numeric = [all(isinstance(row.get(column), int | float) or row.get(column) is None for row in rows) for column in columns]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    lines = [columns, *cells]
    return "\n".join(
        "  ".join(text.rjust(w) if right else text.ljust(w) for text, w, right in zip(line, widths, numeric, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Returns rows as a Markdown table, with a column for each key that any row has; None is a dash."""
    if not rows:
        return "(none yet)"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, ["---"] * len(columns), *([("-" if row.get(key) is None else str(row[key])) for key in columns] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)


def show(rows: Sequence[dict[str, Any]], as_json: bool = False, columns: Sequence[str] | None = None) -> None:
    """Prints rows as one table, or as JSON."""
    print(json.dumps(rows, indent=2, ensure_ascii=False) if as_json else format_table(rows, columns), flush=True)


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Keeps off stderr what C++ libraries write there on import or on opening a file, and no setting switches off."""
    try:
        kept = os.dup(2)
    except OSError:  # a process may have no stderr
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether Ctrl-C or SIGTERM came: work ends between two of its steps. A second one interrupts it."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread alone
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def printable(text: str) -> str:
    """Returns a file's name as text that any terminal and encoding takes; what is no text is written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def run(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command line's `main`; a ZooError ends in one line on stderr and status 1, Ctrl-C and SIGTERM in 130."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow, where a verb needs it, otherwise lists what it did not find
    # Both signals unwind the stack, so that long work can leave a checkpoint, also where a shell started it in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names need not be text; in JSON these escapes are valid
    try:
        return main(argv) or 0
    except ZooError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
