"""Writes a NumPy archive column by column from blocks of rows, so that an archive of a million faces is never in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from zoo.files import write_whole


@dataclass(frozen=True)
class Column:
    """One array of the archive.

    Attributes:
      dtype: of its elements.
      row_shape: the shape of one row.
      blocks: starts from the beginning and yields arrays (rows, *row_shape), together as many rows as every other column has.
    """

    dtype: np.dtype
    row_shape: tuple[int, ...]
    blocks: Callable[[], Iterator[np.ndarray]]


def write_columns(path: Path, scalars: Mapping[str, np.ndarray], count: int, columns: Mapping[str, Column]) -> Path:
    """Writes a compressed .npz, whole or not at all; returns the path.

    Args:
      path: the file to make or replace; blocks may still be read from the one that is replaced.
      scalars: arrays that are written as they are.
      count: rows of every column.
      columns: by name.

    Raises:
      ValueError: a column has more or fewer rows, or rows of another shape.
      ZooError: the disk refuses.
    """

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, value in scalars.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
            for name, column in columns.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _write_column(member, name, column, count)

    return write_whole(path, write)


def _write_column(member: BinaryIO, name: str, column: Column, count: int) -> None:
    dtype, shape = np.dtype(column.dtype), (count, *column.row_shape)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, header)
    written = 0
    for block in column.blocks():
        if block.shape[1:] != column.row_shape:
            raise ValueError(f"column {name!r} has rows of shape {block.shape[1:]}; {column.row_shape} is expected")
        member.write(np.ascontiguousarray(block, dtype).tobytes())
        written += len(block)
    if written != count:
        raise ValueError(f"column {name!r} has {written} rows; {count} are expected")
