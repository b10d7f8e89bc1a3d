"""The training loss: cross-entropy of each soft-max map, and how far its local soft-argmax lies from the point.

Written in `keras.ops`, so that it runs on any backend of Keras 3 and, on TensorFlow, under tf_keras as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from zoo.heatmaps import LOGIT_SCALE, MAP_MAX, WINDOW_RADIUS


def heatmap_loss(distance_weight: float) -> Callable[[Any, Any], Any]:
    """Returns `loss(targets, maps)`: a scalar to minimise.

    Targets are (B, K, 4): x and y in grid cells (edge-based), the point's weight and the deviation of its target in cells, larger where
    the point is occluded; maps are (B, grid, grid, K) in 0..6. The target distribution is an unrounded Gaussian; being separable in x and
    y it is never drawn on the whole grid. The distance is that of the expectation over the decoder's window (`zoo.heatmaps.decode`), here
    laid round the true point.
    """

    def loss(targets: Any, maps: Any) -> Any:
        height, width = maps.shape[1:3]
        x, y, weights, sigma_cells = (targets[..., i] for i in range(4))
        logits = LOGIT_SCALE * maps
        mass = ops.exp(logits)  # at most exp(12) a cell: no overflow, so no maximum need be taken off first
        log_total = ops.log(ops.sum(ops.sum(mass, axis=1), axis=1))
        along_rows = ops.sum(logits * _gaussian(x, width, sigma_cells)[:, None], axis=2)
        cross_entropy = log_total - ops.sum(along_rows * _gaussian(y, height, sigma_cells), axis=1)
        in_x, in_y = _window(x, width), _window(y, height)
        mass_y = ops.sum(mass * in_x[:, None], axis=2) * in_y
        mass_x = ops.sum(mass * in_y[:, :, None], axis=1) * in_x
        total = ops.sum(mass_y, axis=1) + 1e-6
        off_x = ops.sum(mass_x * _centres(width), axis=1) / total - x
        off_y = ops.sum(mass_y * _centres(height), axis=1) / total - y
        distance = ops.sqrt(ops.square(off_x) + ops.square(off_y) + 1e-4)
        return ops.sum(weights * (cross_entropy + distance_weight * distance)) / (ops.sum(weights) + 1e-6)

    return loss


def mean_squared_loss() -> Callable[[Any, Any], Any]:
    """Returns `loss(targets, maps)`: the mean squared difference to an unrounded Gaussian as high as the maps reach.

    Arguments as those of `heatmap_loss`. Here for comparison, see `docs/studies/tricks`.
    """

    def loss(targets: Any, maps: Any) -> Any:
        height, width = maps.shape[1:3]
        x, y, weights, sigma_cells = (targets[..., i] for i in range(4))
        off_x, off_y = (ops.square(_centres(side) - at[:, None]) for side, at in ((width, x), (height, y)))
        wanted = MAP_MAX * ops.exp(-(off_y[:, :, None] + off_x[:, None]) / (2 * ops.square(sigma_cells)[:, None, None]))
        squares = ops.sum(ops.sum(ops.square(maps - wanted), axis=1), axis=1)
        return ops.sum(weights * squares) / (ops.sum(weights) + 1e-6)

    return loss


def _centres(grid: int) -> Any:
    return ops.reshape(ops.arange(grid, dtype="float32") + 0.5, (1, grid, 1))


def _gaussian(at: Any, grid: int, sigma_cells: Any) -> Any:
    """Returns (B, grid, K): Gaussians of deviations (B, K) round `at` (B, K) over the cells of one axis, each with a sum of 1."""
    values = ops.exp(-ops.square(_centres(grid) - at[:, None]) / (2 * ops.square(sigma_cells)[:, None]))
    return values / (ops.sum(values, axis=1, keepdims=True) + 1e-9)


def _window(at: Any, grid: int) -> Any:
    """Returns (B, grid, K): 1 for cells whose centre is within the decoder's window round `at` (B, K), else 0."""
    return ops.cast(ops.abs(_centres(grid) - at[:, None]) <= WINDOW_RADIUS + 0.5, "float32")
