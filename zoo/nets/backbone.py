"""MobileNetV2 down to 1/32 of the input, with the layer names of keras.applications, so that its ImageNet weights fit.

Sandler et al. 2018, arXiv 1801.04381, without the last 1x1 convolution and the classifier. The zero padding before
strided convolutions in keras.applications equals `padding="same"` for the even sizes used here, so no PAD operator is needed.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from zoo.nets.layers import batch_normalization_layer

NORM_EPSILON = 1e-3
# Expansion, channels, stride of the seventeen inverted residual blocks.
# fmt: off
_BLOCKS = (
    (1, 16, 1),
    (6, 24, 2), (6, 24, 1),
    (6, 32, 2), (6, 32, 1), (6, 32, 1),
    (6, 64, 2), (6, 64, 1), (6, 64, 1), (6, 64, 1),
    (6, 96, 1), (6, 96, 1), (6, 96, 1),
    (6, 160, 2), (6, 160, 1), (6, 160, 1),
    (6, 320, 1),
)
# fmt: on


def channels(wanted: float) -> int:
    """Returns the multiple of 8 nearest to `wanted`, at least 8 and never below 90 % of it."""
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def norm(keras: ModuleType, x: Any, name: str) -> Any:
    """Batch normalisation with a momentum that settles within a few thousand steps."""
    return batch_normalization_layer(keras)(epsilon=NORM_EPSILON, momentum=0.99, name=name)(x)


def backbone(keras: ModuleType, x: Any, alpha: float) -> tuple[Any, dict[str, Any]]:
    """Returns the features at 1/32 and every block's expanded features by layer name, for lateral connections."""
    layers = keras.layers
    taps = {}
    x = layers.Conv2D(channels(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = norm(keras, x, "bn_Conv1")
    x = layers.ReLU(6.0, name="Conv1_relu")(x)
    width = channels(32 * alpha)
    for block, (expansion, filters, stride) in enumerate(_BLOCKS):
        prefix = f"block_{block}" if block else "expanded_conv"
        shortcut, out = x, channels(filters * alpha)
        if block:
            x = layers.Conv2D(expansion * width, 1, padding="same", use_bias=False, name=f"{prefix}_expand")(x)
            x = norm(keras, x, f"{prefix}_expand_BN")
            x = taps[f"{prefix}_expand_relu"] = layers.ReLU(6.0, name=f"{prefix}_expand_relu")(x)
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"{prefix}_depthwise")(x)
        x = norm(keras, x, f"{prefix}_depthwise_BN")
        x = layers.ReLU(6.0, name=f"{prefix}_depthwise_relu")(x)
        x = layers.Conv2D(out, 1, padding="same", use_bias=False, name=f"{prefix}_project")(x)
        x = norm(keras, x, f"{prefix}_project_BN")
        if stride == 1 and out == width:
            x = layers.Add(name=f"{prefix}_add")([shortcut, x])
        width = out
    return x, taps
