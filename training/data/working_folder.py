"""A hidden folder beside a result for what is done on the way: known as ours by a file inside, and nothing else is ever removed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zoo.errors import ZooError

_MARK = ".working-folder"


@contextmanager
def working_folder(out: Path, verb: str) -> Iterator[Path]:
    """Gives the working folder of a result, as the last run left it; when the block fails, it stays with what is done.

    Args:
      out: the result's path; the folder lies beside it as `.NAME.VERB`.
      verb: what makes the result.

    Raises:
      ZooError: something that this program did not make has that name, another run is at work there, or the disk refuses.
    """
    folder = out.parent / f".{out.name}.{verb}"
    with _taken(folder) as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process that holds it
        except BlockingIOError:
            raise ZooError(f"another {verb} of {out} is running; wait for it, or give --out another name") from None
        try:
            yield folder
        except BaseException:
            if os.listdir(folder) == [_MARK]:  # nothing is lost
                remove_marked(folder)
            raise
        remove_marked(folder)


def remove_marked(folder: Path) -> None:
    """Removes a working folder with what lies in it; anything else is left alone."""
    if (folder / _MARK).is_file() and not folder.is_symlink():
        shutil.rmtree(folder)


def _taken(folder: Path) -> BinaryIO:
    """Makes the folder, or sees that it is ours, and returns its mark, opened; a ZooError where it is somebody else's."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            ours = folder.is_dir() and not folder.is_symlink() and ((folder / _MARK).is_file() or not os.listdir(folder))
            if not ours:
                raise ZooError(f"{folder} was not made by this program and is in its way: move it elsewhere") from None
        return open(folder / _MARK, "a+b")
    except OSError as error:
        raise ZooError(f"cannot write {error.filename or folder}: {error.strerror or error}") from None
