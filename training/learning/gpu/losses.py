"""`training.learning.losses.heatmap_loss` in PyTorch, which Keras may be told to run on only before it is imported."""

from __future__ import annotations

import torch

from zoo.heatmaps import LOGIT_SCALE, WINDOW_RADIUS


def heatmap_loss(targets: torch.Tensor, maps: torch.Tensor, distance_weight: float) -> torch.Tensor:
    """Returns the loss, a scalar.

    Args:
      targets: (B, K, 4): x and y in grid cells (edge-based), the point's weight and the deviation of its target in cells.
      maps: (B, K, grid, grid) in 0..6.
    """
    centres = torch.arange(maps.shape[-1], dtype=torch.float32, device=maps.device) + 0.5
    x, y, weights, sigma_cells = targets.unbind(-1)

    def gaussian(at: torch.Tensor) -> torch.Tensor:
        values = torch.exp(-torch.square(centres - at[..., None]) / (2 * torch.square(sigma_cells)[..., None]))
        return values / (values.sum(-1, keepdim=True) + 1e-9)

    def window(at: torch.Tensor) -> torch.Tensor:
        return ((centres - at[..., None]).abs() <= WINDOW_RADIUS + 0.5).float()

    logits = LOGIT_SCALE * maps
    mass = torch.exp(logits)
    expected = ((logits * gaussian(x)[:, :, None]).sum(3) * gaussian(y)).sum(2)
    cross_entropy = torch.log(mass.sum((2, 3))) - expected
    in_x, in_y = window(x), window(y)
    mass_y = (mass * in_x[:, :, None]).sum(3) * in_y
    mass_x = (mass * in_y[..., None]).sum(2) * in_x
    total = mass_y.sum(2) + 1e-6
    off_x, off_y = (mass_x * centres).sum(2) / total - x, (mass_y * centres).sum(2) / total - y
    distance = torch.sqrt(torch.square(off_x) + torch.square(off_y) + 1e-4)
    return (weights * (cross_entropy + distance_weight * distance)).sum() / (weights.sum() + 1e-6)
