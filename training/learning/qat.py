"""Quantisation-aware networks: tfmot's 8-bit scheme over our stages, with ranges calibrated from float activations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from tqdm import tqdm

from zoo.heatmaps import MAP_MAX
from zoo.nets import build, from_arrays
from zoo.nets.backbone import NORM_EPSILON
from zoo.nets.layers import pixel_shuffle_layer
from zoo.variants import VariantSpec

# Activation ranges come from these percentiles of the values seen: one odd crop in a hundred must not coarsen all others' steps.
_RANGE_PERCENTILES = (0.005, 99.995)
_SAMPLED_VALUES = 200_000


class _NothingToQuantize(tfmot.quantization.keras.QuantizeConfig):
    """For layers that only move values: their output has the scale of their input."""

    def get_weights_and_quantizers(self, layer: Any) -> list:
        return []

    def get_activations_and_quantizers(self, layer: Any) -> list:
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
        pass

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list:
        return []

    def get_config(self) -> dict:
        return {}


def to_input(crops: np.ndarray) -> np.ndarray:
    """Returns crops (B, S, S, 3) uint8 as the quantisation-aware network eats them: x / 128 - 1, float32."""
    return crops.astype(np.float32) / 128 - 1


def equalized(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns weights of the same function whose depthwise kernels reach equally far in every channel.

    tfmot quantises a depthwise kernel with one scale for all channels, which leaves the small ones a few steps. The normalisation
    behind it takes any factor of a channel away again, so scaling kernels up, and mean and variance with them, is exact.
    """
    arrays = dict(arrays)
    for key in [key for key in arrays if key.endswith("_depthwise/kernel")]:
        reach = np.abs(arrays[key]).max((0, 1, 3))
        factor = np.where(reach > 1e-4 * reach.max(), reach.max() / np.maximum(reach, 1e-12), 1.0)
        norm = key.replace("_depthwise/kernel", "_depthwise_BN/")
        arrays[key] = arrays[key] * factor[:, None].astype(np.float32)
        arrays[norm + "moving_mean"] = (arrays[norm + "moving_mean"] * factor).astype(np.float32)
        arrays[norm + "moving_variance"] = ((arrays[norm + "moving_variance"] + NORM_EPSILON) * factor**2 - NORM_EPSILON).astype(np.float32)
    return arrays


def build_quantized(spec: VariantSpec, arrays: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Returns the float network in tf_keras, without the input's scaling, and the quantisation-aware one made of it.

    Args:
      spec: a row of the registry.
      arrays: the float network's weights, keyed `layer/variable`.
    """
    model = build(spec, tf_keras, scale_input=False)
    from_arrays(model, equalized(arrays))
    return model, quantize_aware(model)


def quantize_aware(model: Any) -> Any:
    """Returns the quantisation-aware form of a float tf_keras network made of this zoo's layers."""
    shuffle = pixel_shuffle_layer(tf_keras)

    def annotate(layer: Any) -> Any:
        return (
            tfmot.quantization.keras.quantize_annotate_layer(layer, _NothingToQuantize())
            if type(layer).__name__ == shuffle.__name__
            else layer
        )

    scope = {shuffle.__name__: shuffle, "_NothingToQuantize": _NothingToQuantize}
    with tfmot.quantization.keras.quantize_scope(scope):
        annotated = tf_keras.models.clone_model(model, clone_function=annotate)
        return tfmot.quantization.keras.quantize_apply(tfmot.quantization.keras.quantize_annotate_model(annotated))


def calibrate(quantized: Any, model: Any, batches: Iterable[np.ndarray]) -> int:
    """Sets the ranges of a quantisation-aware network from its kernels and from float activations; returns how many activations.

    tfmot starts every range at +-6; it sets a kernel's in each training step, but moves an activation's by a thousandth, so a short
    fine-tuning would leave it loose. No weight is touched.

    Args:
      quantized: made by `build_quantized`.
      model: the float network it was made of.
      batches: crops (B, S, S, 3) uint8.
    """
    minima, maxima = _range_variables(quantized, "min"), _range_variables(quantized, "max")
    wanted = {name: layer for layer in model.layers if (name := layer.name) in minima}
    taps = tf_keras.Model(model.inputs, [layer.output for layer in wanted.values()])
    lows, highs = {name: [] for name in wanted}, {name: [] for name in wanted}
    rng = np.random.default_rng(0)
    batches = list(batches)
    _set_kernel_ranges(quantized, batches[0])
    for crops in tqdm(batches, desc="calibrate", unit="batch"):
        for name, values in zip(wanted, taps.predict_on_batch(to_input(crops)), strict=True):
            values = values.ravel()
            if len(values) > _SAMPLED_VALUES:
                values = values[rng.integers(0, len(values), _SAMPLED_VALUES)]
            low, high = np.percentile(values, _RANGE_PERCENTILES)
            lows[name].append(low)
            highs[name].append(high)
    for name in wanted:
        minima[name].assign(min(0.0, float(np.mean(lows[name]))))
        maxima[name].assign(max(1e-3, float(np.mean(highs[name]))))
    _pin(quantized, minima, maxima)
    return len(wanted)


def _set_kernel_ranges(quantized: Any, crops: np.ndarray) -> None:
    """Sets the ranges of all kernels as a training step would, and leaves everything else as it was."""
    before = {id(variable): variable.numpy() for variable in quantized.weights}
    quantized(to_input(crops), training=True)
    for variable in quantized.weights:
        if not variable.name.split(":")[0].endswith(("kernel_min", "kernel_max")):
            variable.assign(before[id(variable)])


def _pin(quantized: Any, minima: dict[str, Any], maxima: dict[str, Any]) -> None:
    """Fixes the two ranges that are known: pixels, so that int8 = uint8 - 128 exactly, and the bounded maps."""
    for variable in quantized.layers[1].weights:
        if variable.name.endswith("quantize_layer_min:0"):
            variable.assign(-1.0)
        elif variable.name.endswith("quantize_layer_max:0"):
            variable.assign(127 / 128)
    minima["maps"].assign(0.0)
    maxima["maps"].assign(MAP_MAX)


def _range_variables(quantized: Any, end: str) -> dict[str, Any]:
    """Returns the variables that hold one end of each layer's output range, by the float layer's name."""
    found = {}
    for layer in quantized.layers:
        for variable in layer.weights:
            for kind in ("post_activation", "output"):
                if variable.name.split("/")[-1].split(":")[0].endswith(f"{kind}_{end}"):
                    found[layer.name.removeprefix("quant_")] = variable
    return found


def quantized_arrays(quantized: Any) -> dict[str, np.ndarray]:
    """Returns every variable of a quantisation-aware network, in order: what `export` needs to make it again."""
    return {f"{index:04d}|{variable.name}": np.asarray(variable) for index, variable in enumerate(quantized.weights)}


def set_quantized(quantized: Any, arrays: dict[str, np.ndarray]) -> None:
    """Sets the variables saved by `quantized_arrays`."""
    quantized.set_weights([arrays[key] for key in sorted(arrays)])


def freeze_ranges(quantized: Any) -> None:
    """Pins input and maps again after training has moved their ranges."""
    _pin(quantized, _range_variables(quantized, "min"), _range_variables(quantized, "max"))


__all__ = ["build_quantized", "calibrate", "freeze_ranges", "quantize_aware", "quantized_arrays", "set_quantized", "to_input"]
