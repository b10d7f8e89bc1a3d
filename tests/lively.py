"""Random weights that behave like trained ones: activations of one scale in every layer, maps all over 0..6, nothing the identity."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.synthetic.faces import draw_face
from zoo.variants import VariantSpec


def enliven(model: Any, seed: int = 0) -> Any:
    """Gives every weight of a Keras model a random value of a sensible size; returns the model."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.weights:
            name, shape = variable.name.split("/")[-1].split(":")[0], tuple(variable.shape)
            if name in ("gamma", "moving_variance"):
                value = rng.uniform(0.6, 1.4, shape)
            elif "kernel" in name:
                fan_in = np.prod(shape[:2]) * (1 if "depthwise" in layer.name else shape[2])
                value = rng.normal(0, np.sqrt(1 / fan_in), shape)
            else:
                value = rng.normal(0, 0.2, shape)
            variable.assign(value.astype(np.float32))
    return model


def settled_arrays(spec: VariantSpec, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns such weights of a variant with the statistics of its normalisations taken from drawn faces, as after a long training."""
    import keras

    from zoo.nets import build, to_arrays

    keras.backend.clear_session()
    model = enliven(build(spec, keras), seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(drawn_crops(spec, 8, 10_000).astype(np.float32), training=True)
    arrays = to_arrays(model)
    arrays["maps_conv/kernel"] = 3 * arrays["maps_conv/kernel"]
    arrays["maps_conv/bias"] = arrays["maps_conv/bias"] + 2
    return arrays


def drawn_crops(spec: VariantSpec, count: int, first_seed: int) -> np.ndarray:
    """Returns drawn faces (count, size, size, 3) uint8 of the variant's size."""
    return np.stack([draw_face(first_seed + index, spec.size).image for index in range(count)])
