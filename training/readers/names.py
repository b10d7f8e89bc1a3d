"""Names of pictures as label files have them: checked, and found on disk also where the list was made on another system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from training.readers.problems import NAME, LabelFault

_LONGEST_PART, _LONGEST = 255, 4096  # bytes


def picture_name(value: Any) -> str:
    """Returns the name of a picture as text; bytes are a file's name as it is.

    Raises:
      LabelFault: it is no text, empty, too long for any disk, or holds a NUL.
    """
    name = os.fsdecode(value) if isinstance(value, bytes) else value
    if not isinstance(name, str):
        raise LabelFault(NAME, f"{short(value)} is no text")
    if not name.strip() or name.strip("./\\ ") == "":
        raise LabelFault(NAME, f"{short(name)} names no file")
    if "\0" in name:
        raise LabelFault(NAME, f"{short(name)} holds a NUL")
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        raise LabelFault(NAME, f"{short(name)} is no text that a disk takes") from None
    if len(encoded) > _LONGEST or max(map(len, encoded.replace(b"\\", b"/").split(b"/"))) > _LONGEST_PART:
        raise LabelFault(NAME, f"{short(name)} has {len(encoded)} bytes")
    return name


def picture_path(folders: tuple[Path, ...], name: str) -> Path:
    """Returns where a picture lies: in the first folder that has it, else in the first; `\\` divides folders where no file is called so."""
    names = (name, name.replace("\\", "/")) if "\\" in name else (name,)
    for each in names:
        for folder in folders:
            if (folder / each).is_file():
                return folder / each
    return folders[0] / names[-1]


def own_group(name: str) -> str:
    """Returns the group of a picture that stands alone: its name without the ending, with the folders it is listed in."""
    folder, divider, file = name.replace("\\", "/").rpartition("/")
    return f"{folder}{divider}{Path(file).stem}"


def short(value: Any) -> str:
    """Returns a value of a label file as it is shown in a line: at most 40 characters, none of which breaks the line."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
