"""Files written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo.errors import ZooError


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
    """Returns the JSON in `path`; a ZooError names a file that is missing or broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ZooError(f"{path} is not JSON: {error}") from error


def read_npz(path: str | os.PathLike, omit: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Returns the arrays of a NumPy archive (.npz) but those to omit; a ZooError if it is missing, broken, or of another kind."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("it holds one array")
        with found as archive:
            return {key: archive[key] for key in archive.files if key not in omit}
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ZooError(f"{path} is no whole NumPy archive (.npz): {error}") from error


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
