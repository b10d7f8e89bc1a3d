"""Batch normalisation folded into the convolutions before it, in NumPy: alike to the last bit on every processor.

TFLite's converter would fold it with TensorFlow's kernels, whose last bit depends on the processor. Here nothing but multiplication,
addition, division and square root in float64 is used, which IEEE 754 rounds correctly, and one rounding to float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.nets import from_arrays


def without_normalisation(model: Any, keras: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Returns a network that computes what `model` does with these weights, its convolutions with biases in the place of normalisation.

    A convolution gets the name of its normalisation, since its result is that one's, and with it a tensor of the file; in the
    normalisation's place stands a layer that does nothing, which the converter leaves out.

    Args:
      model: of `zoo.nets.build`, in tf_keras.
      keras: the namespace it is built in.
      arrays: its weights, keyed `layer/variable`.
    """
    norms = normalisations(model)
    conv_of = {norm: conv for conv, (norm, _) in norms.items()}

    def clone(layer: Any) -> Any:
        if layer.name in conv_of:
            return keras.layers.Activation("linear", name=conv_of[layer.name])
        changes = {"use_bias": True, "name": norms[layer.name][0]} if layer.name in norms else {}
        return type(layer).from_config(layer.get_config() | changes)

    bare = keras.models.clone_model(model, clone_function=clone)
    renamed = {}
    for key, value in folded(arrays, norms).items():
        layer, _, variable = key.partition("/")
        renamed[f"{norms[layer][0] if layer in norms else layer}/{variable}"] = value
    from_arrays(bare, renamed)
    return bare


def folded(arrays: Mapping[str, np.ndarray], norms: Mapping[str, tuple[str, float]]) -> dict[str, np.ndarray]:
    """Returns weights, float32, of the same function without normalisation; a convolution that had one has a bias.

    Args:
      arrays: weights keyed `layer/variable`.
      norms: what `normalisations` returned.
    """
    gone = {norm for norm, _ in norms.values()}
    kept = {key: value for key, value in arrays.items() if key.partition("/")[0] not in gone}
    for conv, (norm, epsilon) in norms.items():
        kernel, gamma, beta, mean, variance = (
            np.asarray(arrays[key], np.float64)
            for key in (f"{conv}/kernel", *(f"{norm}/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")))
        )
        factor = gamma / np.sqrt(variance + epsilon)
        # A depthwise kernel is (height, width, channels, 1), the others (height, width, in, channels).
        depthwise = kernel.shape[3] == 1 and kernel.shape[2] == len(factor)
        kept[f"{conv}/kernel"] = (kernel * (factor[:, None] if depthwise else factor)).astype(np.float32)
        kept[f"{conv}/bias"] = (beta - mean * factor).astype(np.float32)
    return kept


def normalisations(model: Any) -> dict[str, tuple[str, float]]:
    """Returns by the name of each convolution before a normalisation that one's name and epsilon; `model` is in tf_keras."""
    return {
        layer.inbound_nodes[0].inbound_layers.name: (layer.name, float(layer.epsilon))
        for layer in model.layers
        if type(layer).__name__ == "BatchNormalization"
    }
