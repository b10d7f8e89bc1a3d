"""A built Keras network read as a list of operators, and the same operators in PyTorch.

There is one description of the networks, `zoo.nets.build`; what is read from it here can only be run, not changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from zoo.nets.backbone import NORM_EPSILON

_KINDS = {
    "InputLayer": "input", "Rescaling": "scale", "Conv2D": "conv", "DepthwiseConv2D": "depthwise", "Conv2DTranspose": "deconv",
    "BatchNormalization": "norm", "ReLU": "relu6", "Add": "add", "PixelShuffle": "shuffle",
}  # fmt: skip
# Where the axes of a kernel in Keras go in PyTorch: (H, W, in, out), (H, W, channels, 1) and, transposed, (H, W, out, in).
_KERNEL_AXES = {"conv": (3, 2, 0, 1), "depthwise": (2, 3, 0, 1), "deconv": (3, 2, 0, 1)}


@dataclass(frozen=True)
class Operator:
    """One layer: what it does, whose values it takes, and its stride."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    stride: int = 1


def read(model: Any) -> tuple[Operator, ...]:
    """Returns the operators of a network built in Keras 3, each after those whose values it takes; the last one gives the maps."""
    return tuple(
        Operator(
            layer.name, _KINDS[type(layer).__name__],
            tuple(t._keras_history.operation.name for t in (layer.input if isinstance(layer.input, list) else [layer.input])
                  if t._keras_history.operation is not layer),
            getattr(layer, "strides", (1, 1))[0],
        )
        for layer in model.layers
    )  # fmt: skip


def to_tensor(operators: Mapping[str, Operator], key: str, array: np.ndarray, device: str) -> torch.Tensor:
    """Returns an array keyed `layer/variable` as a float32 tensor laid out as PyTorch wants it."""
    array = np.asarray(array, np.float32)
    if array.ndim < 4:
        return torch.tensor(array, device=device)
    tensor = torch.tensor(array.transpose(_KERNEL_AXES[operators[key.split("/")[0]].kind]), device=device)
    return tensor.contiguous(memory_format=torch.channels_last)


def to_array(operators: Mapping[str, Operator], key: str, tensor: torch.Tensor) -> np.ndarray:
    """Returns a tensor as Keras lays it out: the inverse of `to_tensor`."""
    array = tensor.detach().cpu().numpy()
    return np.ascontiguousarray(array.transpose(np.argsort(_KERNEL_AXES[operators[key.split("/")[0]].kind])) if array.ndim == 4 else array)


def forward(
    operators: Sequence[Operator],
    weights: Mapping[str, torch.Tensor],
    statistics: Mapping[str, torch.Tensor],
    crops: torch.Tensor,
    kind: torch.dtype,
    statistics_momentum: float | None = None,
) -> torch.Tensor:
    """Returns the maps (B, 106, grid, grid) float32 of crops (B, S, S, 3) uint8.

    Args:
      operators: as `read` returns them.
      weights, statistics: keyed `layer/variable`: what is learnt, and the means and variances of normalisation.
      kind: in which convolutions compute, all but the last; normalisation and what follows the last one are float32.
      statistics_momentum: in training, of the running statistics, which are changed in place; None uses them as they are.
    """
    values: dict[str, torch.Tensor] = {}
    for operator in operators:
        name = operator.name
        x = values[operator.inputs[0]] if operator.inputs else crops
        match operator.kind:
            case "input":
                value = x.permute(0, 3, 1, 2)
            case "scale":
                value = (x.float() / 128 - 1).to(kind).contiguous(memory_format=torch.channels_last)
            case "conv" | "depthwise":
                value = _conv(operator, weights, x, torch.float32 if operator is operators[-2] else kind)
            case "deconv":
                value = functional.conv_transpose2d(x, weights[f"{name}/kernel"].to(kind), weights[f"{name}/bias"].to(kind), 2, 1)
            case "norm":
                value = functional.batch_norm(
                    x, statistics[f"{name}/moving_mean"], statistics[f"{name}/moving_variance"], weights[f"{name}/gamma"],
                    weights[f"{name}/beta"], statistics_momentum is not None, 1 - (statistics_momentum or 0), NORM_EPSILON,
                )  # fmt: skip
            case "relu6":
                value = functional.relu6(x)
            case "add":
                value = x + values[operator.inputs[1]]
            case "shuffle":
                count, channels, height, width = x.shape
                value = x.reshape(count, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2)
                value = value.reshape(count, channels // 4, 2 * height, 2 * width).contiguous(memory_format=torch.channels_last)
        values[name] = value
    return values[operators[-1].name].float()


def _conv(operator: Operator, weights: Mapping[str, torch.Tensor], x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    kernel, bias = weights[f"{operator.name}/kernel"].to(kind), weights.get(f"{operator.name}/bias")
    padding = kernel.shape[2] // 2
    if padding and operator.stride == 2:  # TensorFlow's "same" pads even sides after the last row and column alone
        x, padding = functional.pad(x, (0, 1, 0, 1)), 0
    groups = x.shape[1] if operator.kind == "depthwise" else 1
    return functional.conv2d(x.to(kind), kernel, None if bias is None else bias.to(kind), operator.stride, padding, groups=groups)
