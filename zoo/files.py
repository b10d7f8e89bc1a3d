"""Files and folders written whole or not at all, and read with their sizes judged first: the one way to make and replace them."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

try:
    import fcntl
except ImportError:  # no such locks on Windows: nothing is swept there
    fcntl = None

from zoo.errors import ZooError, one_line

_WRITING, _LEAVING = ".writing", ".replaced"  # in names of what is being written, and of a folder that is being replaced
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
    with replacing(path) as temporary, open(temporary, "wb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    return path


@contextlib.contextmanager
def replacing(path: str | os.PathLike, suffix: str = "") -> Iterator[Path]:
    """Gives an empty temporary file beside `path` that takes its place when the block ends well, and is removed when it does not.

    What a killed process left of the same kind is removed first.

    Args:
      path: the file to make or replace; its folder is made if it is missing.
      suffix: what the temporary file's name must end in, for writers that go by it.

    Raises:
      ZooError: as `write_whole`, whatever step the disk refuses; errors of other kinds come out as they are.
    """
    path, temporary, held = Path(path), None, None
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        folder = make_folder(path.parent, path)
        sweep(folder, path.name)
        held, name = tempfile.mkstemp(dir=folder, prefix=_prefix(path.name), suffix=f"{_WRITING}{suffix}")
        temporary = Path(name)
        _lock(held)
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if held is not None:
            os.close(held)
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Gives an empty temporary folder beside `path` that takes its place when the block ends well, and is removed when it does not.

    A folder that is replaced is set aside under another name until the new one stands in its place: `settle` undoes what a kill
    leaves between the two.

    Raises:
      ZooError: the disk or the folder's rights do not allow it.
    """
    path, temporary, held = Path(path), None, None
    try:
        parent = make_folder(path.parent, path)
        sweep(parent, path.name)
        temporary = Path(tempfile.mkdtemp(dir=parent, prefix=_prefix(path.name), suffix=_WRITING))
        held = os.open(temporary, os.O_RDONLY)
        _lock(held)
        yield temporary
        os.chmod(temporary, 0o755)
        with _alone(parent):
            leaving = parent / f".{path.name}{_LEAVING}"
            _settle(leaving)
            try:
                if path.is_dir():
                    os.rename(path, leaving)
                os.rename(temporary, path)
                temporary = None
            finally:
                _settle(leaving)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if held is not None:
            os.close(held)
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path: str | os.PathLike, needed_by: Path | None = None) -> Path:
    """Makes a folder with those above it, if it is missing; a ZooError names what stands in the way (of `needed_by` if that is given)."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        way = next((part for part in (path, *path.parents) if os.path.lexists(part) and not part.is_dir()), None)
        why = f"{way} is {'a link to nothing' if way.is_symlink() else 'a file'}" if way else error.strerror or error
        raise ZooError(f"cannot write {needed_by or path}: {why}") from error
    return path


def settle(folder: Path) -> None:
    """Finishes or undoes the replacements that killed processes left in a folder: called by whatever reads there."""
    with contextlib.suppress(OSError):  # of a folder that cannot be written nothing was left
        left = [folder / name for name in os.listdir(folder) if name.startswith(".") and name.endswith(_LEAVING)]
        if left:
            with _alone(folder):
                for leaving in left:
                    _settle(leaving)


def _settle(leaving: Path) -> None:
    """Removes a folder that was set aside if the new one stands in its place, or puts it back."""
    if not leaving.is_dir():
        return
    place = leaving.with_name(leaving.name.removeprefix(".").removesuffix(_LEAVING))
    if place.exists():
        shutil.rmtree(leaving, ignore_errors=True)
    else:
        os.rename(leaving, place)


def sweep(folder: Path, name: str) -> None:
    """Removes the temporary files and folders of `name` that nobody writes any more."""
    for left in folder.glob(f"{glob.escape(_prefix(name))}*{_WRITING}*"):
        with contextlib.suppress(OSError):
            held = os.open(left, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if fcntl is None:
                    continue
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its writer lives
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            finally:
                os.close(held)


@contextlib.contextmanager
def claimed(folder: Path, refusal: str) -> Iterator[None]:
    """Makes a folder and holds it alone while the block runs; a claim ends with its process, however that ends.

    Raises:
      ZooError: `refusal`, where another process holds it; or the disk does not allow it.
    """
    make_folder(folder)
    held = os.open(folder, os.O_RDONLY)
    try:
        _lock(held, wait=False)
    except BlockingIOError:
        os.close(held)
        raise ZooError(refusal) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing was written into it
        os.close(held)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lets one process at a time into the block for a folder."""
    held = os.open(folder, os.O_RDONLY)
    try:
        _lock(held)
        yield
    finally:
        os.close(held)


def _lock(held: int, wait: bool = True) -> None:
    """Locks an open file or folder until it is closed, or its process ends; some network disks know no locks, and then nothing is held."""
    if fcntl is None:
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass


def _prefix(name: str) -> str:
    return f".{name[:80]}."


def write_json(path: str | os.PathLike, value: Any) -> Path:
    """Writes `value` as indented JSON, whole or not at all."""
    return write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


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
