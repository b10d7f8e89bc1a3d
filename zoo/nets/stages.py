"""The upscaling stages of the heads. A new kind is one function in `UPSCALE`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from zoo.nets.backbone import norm
from zoo.nets.layers import pixel_shuffle_layer


def _deconv(keras: ModuleType, x: Any, width: int, name: str) -> Any:
    # Linear and with a bias: a deconvolution followed by normalisation or activation stays float in a quantised file.
    return keras.layers.Conv2DTranspose(width, 4, strides=2, padding="same", name=f"{name}_deconv")(x)


def _shuffle(keras: ModuleType, x: Any, width: int, name: str) -> Any:
    x = keras.layers.Conv2D(4 * width, 1, padding="same", name=f"{name}_expand")(x)
    return pixel_shuffle_layer(keras)(name=f"{name}_shuffle")(x)


UPSCALE: dict[str, Callable[[ModuleType, Any, int, str], Any]] = {"deconv": _deconv, "shuffle": _shuffle}


def stage(keras: ModuleType, x: Any, kind: str, width: int, lateral: Any | None, name: str) -> Any:
    """Returns features of twice the resolution: upscaled, joined by the lateral ones, refined by a separable convolution.

    Args:
      x: (B, H, W, C) features.
      kind: a key of `UPSCALE`.
      width: channels that come out.
      lateral: (B, 2H, 2W, any) features of the backbone, or None.
    """
    layers = keras.layers
    x = UPSCALE[kind](keras, x, width, name)
    if lateral is not None:
        side = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name}_lateral")(lateral)
        x = layers.Add(name=f"{name}_add")([x, norm(keras, side, f"{name}_lateral_BN")])
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(norm(keras, x, f"{name}_depthwise_BN"))
    x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    return layers.ReLU(6.0, name=f"{name}_project_relu")(norm(keras, x, f"{name}_project_BN"))
