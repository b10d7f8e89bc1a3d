"""One builder for every variant and both Keras namespaces."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from zoo.nets.backbone import backbone
from zoo.nets.stages import stage
from zoo.variants import VariantSpec


def build(spec: VariantSpec, keras: ModuleType, *, scale_input: bool = True, batch_size: int | None = None) -> Any:
    """Returns the untrained network of `spec`: RGB crops in, heat maps out.

    Args:
      spec: a row of the registry.
      keras: the namespace to build in, `keras` (3) or `tf_keras`; names, shapes and weight order are the same in both.
      scale_input: whether the graph itself takes values 0..255 to x / 128 - 1. Without it the caller gives scaled values:
        for quantisation-aware training, whose files hold the scaling in the input's quantisation.
      batch_size: fixed batch, or None.

    The model maps (B, size, size, 3) to (B, grid, grid, points) with values in 0..6 (see `zoo.heatmaps`).
    """
    layers = keras.layers
    inputs = keras.Input((spec.size, spec.size, 3), batch_size=batch_size, name="crop")
    x = layers.Rescaling(1 / 128, offset=-1.0, name="scale")(inputs) if scale_input else inputs
    x, taps = backbone(keras, x, spec.alpha)
    for index, (part, tap) in enumerate(zip(spec.stages, spec.laterals, strict=True)):
        x = stage(keras, x, part.kind, part.width, taps[tap] if tap else None, f"head_{index}")
    # A bias of 1 starts every cell inside ReLU6's slope; from 0 half of them would start without a gradient.
    x = layers.Conv2D(spec.points, 1, padding="same", bias_initializer="ones", name="maps_conv")(x)
    return keras.Model(inputs, layers.ReLU(6.0, name="maps")(x), name=spec.name.replace("-", "_"))
