"""What every command does with input it cannot use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoo import terminal


def assert_refused(main: Callable[[Sequence[str]], int], words: Sequence[str], fault: str, capsys) -> None:
    """Asserts that a command ends with 1, and says in one line what is wrong."""
    assert terminal.run(main, list(words)) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and fault in said[0]
