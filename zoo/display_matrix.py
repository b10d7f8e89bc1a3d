"""How a stored picture is shown: turned and mirrored by the file's display matrix, with square pixels by its sample aspect ratio."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_MATRIX = struct.Struct("=9i")
_LARGEST_RATIO = 10  # a sample aspect ratio beyond that, or its inverse, is no ratio but a fault


@dataclass(frozen=True)
class Placement:
    """One of the eight ways to lay a picture: columns and rows exchanged first, then columns or rows reversed."""

    transposed: bool = False
    columns_reversed: bool = False
    rows_reversed: bool = False

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Returns a stored picture (H, W, ...) as it is shown, in one piece."""
        shown = pixels.swapaxes(0, 1) if self.transposed else pixels
        rows, columns = (slice(None, None, -1 if backwards else 1) for backwards in (self.rows_reversed, self.columns_reversed))
        return np.ascontiguousarray(shown[rows, columns])


AS_STORED = Placement()


def placement(matrix: bytes | None) -> Placement:
    """Returns what a display matrix does to a picture, its angle rounded to a quarter turn.

    Args:
      matrix: nine int32 a b u c d v x y w (ISO/IEC 14496-12, 6.2.2): a stored point (i, j) is shown at (a i + c j + x, b i + d j + y).
        None, or what is no such matrix, is shown as it is stored.
    """
    if matrix is None or len(matrix) != _MATRIX.size:
        return AS_STORED
    a, b, _, c, d, *_ = _MATRIX.unpack(matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Placement(False, a < 0, d < 0)
    return Placement(True, c < 0, b < 0)


def square_size(width: int, height: int, ratio: Fraction | None) -> tuple[int, int]:
    """Returns the width and height of a stored picture with square pixels: the side whose pixels are longer grows, so that none are lost.

    Args:
      width, height: as stored.
      ratio: the width of a pixel over its height; None or a senseless one counts as 1.
    """
    if not ratio or ratio <= 0 or not 1 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO:
        return width, height
    return (round(width * ratio), height) if ratio >= 1 else (width, round(height / ratio))
