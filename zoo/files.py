"""Files written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from zoo.errors import ZooError, one_line

MOST_JSON_BYTES = 64 << 20
MOST_ARRAY_BYTES = 512 << 20  # of one archive's arrays


def write_whole(path: str | os.PathLike, content: bytes | str | Callable[[BinaryIO], None]) -> Path:
    """Writes `content` to `path` through a temporary file beside it and a rename; returns the path.

    Args:
      path: the file to make or replace; its folder is made if it is missing.
      content: bytes, text (UTF-8), or a function that writes to an open binary file.

    Raises:
      ZooError: the disk or the folder's rights do not allow it; nothing half-written stays behind.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            if callable(content):
                content(file)
            else:
                file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def write_json(path: str | os.PathLike, value: Any) -> Path:
    """Writes `value` as indented JSON, whole or not at all."""
    return write_whole(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Returns the JSON in `path`; a ZooError names a file that is missing, broken, or larger than `MOST_JSON_BYTES`."""
    try:
        if os.path.getsize(path) > MOST_JSON_BYTES:
            raise ZooError(f"{path} has {os.path.getsize(path) >> 20} MB; JSON of at most {MOST_JSON_BYTES >> 20} MB is possible")
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from error
    except RecursionError as error:
        raise ZooError(f"{path} is not JSON that can be read: lists or objects lie too deep within one another") from error
    except ValueError as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"{path} is not JSON: {error}") from error


def read_npz(path: str | os.PathLike, omit: Collection[str] = (), most_bytes: int = MOST_ARRAY_BYTES) -> dict[str, np.ndarray]:
    """Returns the arrays of a NumPy archive (.npz) but those to omit.

    The arrays' headers are read before their data: a small file may hold gigabytes of zeros.

    Raises:
      ZooError: it is missing, broken, of another kind, or its arrays take more than `most_bytes`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = [name for name in archive.namelist() if name.removesuffix(".npy") not in omit]
            needed = 0
            for name in wanted:
                with archive.open(name) as member:
                    needed += array_header(member)[3]
            if needed > most_bytes:
                raise ZooError(f"the arrays of {path} take {needed >> 20} MB; at most {most_bytes >> 20} MB are possible")
            found = {}
            for name in wanted:
                with archive.open(name) as member:
                    found[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
                    if member.read(1):
                        raise ValueError(f"{name} has more data than its header says")
            return found
    except ZooError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise anything on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise ZooError(f"cannot read {path}: {error.strerror}") from error
        raise ZooError(f"{path} is no whole NumPy archive (.npz): {one_line(error)}") from error


def array_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, bool, int]:
    """Returns (shape, type, whether columns come first, bytes of the data) of a .npy and leaves the file at its data.

    Raises:
      ValueError: it is of no array that can be read.
    """
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if any(side < 0 for side in shape):
        raise ValueError(f"it has the shape {shape}")
    return shape, dtype, fortran, math.prod(shape) * dtype.itemsize


def sha256(path: str | os.PathLike) -> str:
    """Returns the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def kilobytes(size_bytes: float) -> float:
    """Returns a file's size as every table gives it, in units of 1,024 bytes."""
    return size_bytes / 1024
