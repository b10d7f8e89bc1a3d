"""Pictures marked by the teacher in chunks: what is done lies in a file of its own, so that a stop costs one chunk a process."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from training.readers.listing import PICTURES, folders, names
from training.readers.picture import digest
from training.readers.sample import MESH_COUNT
from training.teacher import mesh as teacher
from training.teacher.finder import MESH, identity
from zoo.errors import ZooError
from zoo.files import write_whole
from zoo.images import read_image

# Pictures a worker labels between two writes: what a kill can cost.
_CHUNK = 64
SEVERAL = ("skip", "largest", "all")
_COLUMNS = ("names", "points", "mesh", "disagreement", "size", "state", "faces")
_NUMBERS = ("points", "mesh", "disagreement")


@dataclass(frozen=True)
class Chunk:
    """Some pictures in a row: `count` names, from a place in the listing on, and where their labels go."""

    root: Path
    listing: Path
    start: int
    count: int
    several: str
    teacher: str
    out: Path

    def names(self) -> list[str]:
        with open(self.listing, "rb") as file:
            file.seek(self.start)
            return [os.fsdecode(name) for name in itertools.islice(_split(file), self.count)]


def _split(file: BinaryIO) -> Iterator[bytes]:
    """Yields the names of a listing, each of which ends with a zero byte, the one that no name can hold."""
    rest = b""
    while block := file.read(1 << 12):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole


def list_chunks(root: Path, parts: Path, several: str = SEVERAL[0], by: str = MESH) -> tuple[int, list[Chunk]]:
    """Writes the listing of a folder's pictures; returns how many there are, and the chunks.

    A chunk's file is named by its pictures' names, by what is done with several faces, by the teacher's file and by the arrays, so that
    after a stop a folder or a setting that changed meanwhile is not taken for the old one.

    Args:
      root: the pictures' folder, searched with its sub-folders.
      parts: the folder where listing and chunks go.
      several: one of `SEVERAL`.
      by: the teacher, as `training.teacher.finder` takes it.

    Raises:
      ZooError: the folder holds no picture, or there is no such teacher.
    """
    settings = "\0".join((several, *_COLUMNS, *identity(by).values())).encode()
    listing, chunks, total, start = parts / "listing", [], 0, 0
    found = (folder.relative_to(root) / name for folder in folders(root) for name in names(folder, PICTURES))
    with open(listing, "wb") as file:
        while some := [os.fsencode(name) + b"\0" for name in itertools.islice(found, _CHUNK)]:
            content = b"".join(some)
            file.write(content)
            labels = parts / f"{len(chunks):08d}-{digest(settings + content):016x}.npz"
            chunks.append(Chunk(root, listing, start, len(some), several, by, labels))
            total, start = total + len(some), start + len(content)
    if not chunks:
        listing.unlink()
        raise ZooError(f"the folder {root} holds no picture; files that end in {', '.join(PICTURES)} are looked for")
    return total, chunks


def label_chunk(chunk: Chunk) -> int:
    """Labels a chunk's pictures into its file, whole or not at all; returns how many pictures they are."""
    rows = [row for name in chunk.names() for row in _label_picture(chunk.root, name, chunk.several, chunk.teacher)]
    columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    arrays = {key: np.array(value, np.float32 if key in _NUMBERS else None) for key, value in columns.items()}
    write_whole(chunk.out, lambda file: np.savez(file, **arrays))
    return chunk.count


def _label_picture(root: Path, name: str, several: str, by: str) -> list[tuple]:
    """Returns a row of `_COLUMNS` for each face that is marked, its state "face"; or one that says why none is."""

    def none(state: str, size: tuple[int, int] = (0, 0), faces: int = 0) -> list[tuple]:
        return [(name, np.zeros((106, 2)), np.zeros((MESH_COUNT, 3)), np.nan, size, state, faces)]

    try:
        image = read_image(root / name)
    except ZooError:
        return none("unreadable")
    size = image.shape[:2]
    found = teacher.label(image, by)
    if not found:
        return none("no face", size)
    if several == "skip" and len(found) > 1:
        return none("several faces", size, len(found))
    wanted = found if several == "all" else found[:1]
    return [(name, one.points, one.mesh, one.disagreement, size, "face", len(found)) for one in wanted]
