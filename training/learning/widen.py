"""A wider network that begins as the narrower one: weights of one variant spread over another of the same layers.

Function-preserving, after Net2Wider (Chen, Goodfellow and Shlens 2016, arXiv 1511.05641): a channel's copies share what it fed into the
next layer. Widths without ImageNet weights start from a trained smaller network this way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from zoo.errors import ZooError

# The convolution before a pixel shuffle: its channels come in four blocks, one for each pixel of a cell.
_BEFORE_SHUFFLE = re.compile(r"head_\d+_expand/")
_DEPTHWISE = re.compile(r"depthwise/kernel$")
_TRANSPOSED = re.compile(r"_deconv/kernel$")


def widen(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], noise: float = 0.1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns arrays of the wanted shapes that compute, but for the noise, what the given ones do.

    Args:
      arrays: weights keyed `layer/variable` (see `zoo.nets.weights`).
      shapes: of the wider network's variables; those whose layer the narrow one lacks are left out.
      noise: relative deviation put on the kernels that grew: exact copies would get the same gradients and stay copies for ever.

    Raises:
      ZooError: a layer is narrower than the one it should begin as, or of another kind.
    """
    rng = np.random.default_rng(seed)
    return {key: _grown(key, arrays[key], shape, noise, rng) for key, shape in shapes.items() if key in arrays}


def _grown(key: str, old: np.ndarray, shape: tuple[int, ...], noise: float, rng: np.random.Generator) -> np.ndarray:
    if old.shape == tuple(shape):
        return old
    if old.ndim != len(shape) or any(new < was for new, was in zip(shape, old.shape, strict=True)):
        raise ZooError(f"{key} of shape {old.shape} cannot grow into {tuple(shape)}: the network to begin as must be the narrower one")
    blocks = 4 if _BEFORE_SHUFFLE.match(key) else 1
    if old.ndim == 1:
        return old[_copies(old.shape[0], shape[0], blocks)]
    if _DEPTHWISE.search(key):
        grown = old[:, :, _copies(old.shape[2], shape[2])]
    else:
        axis_in, axis_out = (3, 2) if _TRANSPOSED.search(key) else (2, 3)
        copies = _copies(old.shape[axis_in], shape[axis_in])
        share = 1 / np.bincount(copies, minlength=old.shape[axis_in])[copies]
        grown = np.take(old, copies, axis_in) * np.expand_dims(share, 0 if axis_in == 3 else 1)
        grown = np.take(grown, _copies(old.shape[axis_out], shape[axis_out], blocks), axis_out)
    return (grown * (1 + noise * rng.standard_normal(grown.shape))).astype(np.float32)


def _copies(old: int, new: int, blocks: int = 1) -> np.ndarray:
    """Returns (new,) int: which old channel each new one copies, the same wherever two tensors of these widths meet (residuals do)."""
    old, new = old // blocks, new // blocks
    return (np.arange(blocks)[:, None] * old + np.arange(new) % old).ravel()
