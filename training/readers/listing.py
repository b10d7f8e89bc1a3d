"""What lies in a folder, sorted, without a Python object for each of a million names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.images import SUFFIXES

PICTURES = tuple(sorted(SUFFIXES, key=lambda suffix: (suffix not in (".jpg", ".png"), suffix)))
_BLOCK = 4096
_MAX_DEPTH = 6


def names(folder: Path, endings: tuple[str, ...]) -> Iterator[str]:
    """Yields the names of the files in a folder that end so (in lower case), in the order of their bytes; hidden ones are passed over.

    The names are packed into one array of bytes while they are sorted: about 40 bytes for each.
    """
    packed, block = [], []
    with _scan(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(endings) and not entry.name.startswith(".") and not entry.is_dir():
                block.append(os.fsencode(entry.name))
                if len(block) == _BLOCK:
                    packed.append(np.array(block))
                    block = []
    packed += [np.array(block)] if block else []
    if not packed:
        return
    found = np.concatenate(packed)
    packed.clear()
    found.sort()
    for start in range(0, len(found), _BLOCK):
        yield from map(os.fsdecode, found[start : start + _BLOCK].tolist())


def folders(root: Path, depth: int = _MAX_DEPTH) -> Iterator[Path]:
    """Yields a folder and those within it, to a depth, sorted; hidden ones are passed over."""
    yield root
    if depth == 0:
        return
    with _scan(root) as entries:
        inner = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    for name in inner:
        yield from folders(root / name, depth - 1)


def picture_of(folders_to_try: tuple[Path, ...], stem: str) -> Path:
    """Returns the picture called `stem`, or so with any of the usual suffixes; where there is none, what it should be in the first folder.

    A stem that is a picture's whole name goes before another picture of that name (`a.png` before `a.jpg`).
    """
    if stem.lower().endswith(PICTURES):
        exact = next((folder / stem for folder in folders_to_try if (folder / stem).is_file()), None)
        other = exact or picture_of(folders_to_try, Path(stem).stem)
        return other if other.is_file() else folders_to_try[0] / stem
    for folder in folders_to_try:
        for suffix in (*PICTURES, *(suffix.upper() for suffix in PICTURES)):
            path = folder / f"{stem}{suffix}"
            if path.is_file():
                return path
    return folders_to_try[0] / f"{stem}.jpg"


def inner_folders(folder: Path) -> dict[str, Path]:
    """Returns the folders right within a folder by their names in lower case; of two that differ in case alone the lower one."""
    with _scan(folder) as entries:
        found = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return {name.lower(): folder / name for name in found}


def named(folder: Path, name: str) -> Path:
    """Returns the file of this name in a folder, in upper or lower case; the name as it is where there is none."""
    if not (folder / name).is_file() and folder.is_dir():
        with _scan(folder) as entries:
            return folder / next((entry.name for entry in entries if entry.name.lower() == name.lower()), name)
    return folder / name


def _scan(folder: Path):
    try:
        return os.scandir(folder)
    except OSError as error:
        raise ZooError(f"cannot read the folder {folder}: {error.strerror or error}") from None
