"""The other ways to make a small file of the same float weights, to set beside quantisation-aware training: nothing is trained here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tflite.export import _converter
from tflite.graph import without_denormals
from training.evaluation.faces import Face, measurable, picture, with_noise
from zoo.alignment import Alignment
from zoo.variants import VariantSpec


def dynamic_range_file(spec: VariantSpec, arrays: dict[str, np.ndarray]) -> bytes:
    """Returns a file with int8 weights whose activations stay float, or are quantised afresh at every call: the converter's default.

    Args:
      spec: a row of the registry.
      arrays: the float network's weights, keyed `layer/variable`.
    """
    import tensorflow as tf

    converter = _converter(_network(spec, arrays, scale_input=True), spec)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return without_denormals(converter.convert())


def post_training_file(spec: VariantSpec, arrays: dict[str, np.ndarray], crops: np.ndarray) -> bytes:
    """Returns an int8 file quantised after training: kernels by channel, activations by the ranges that some crops span.

    Args:
      spec: a row of the registry.
      arrays: the float network's weights, keyed `layer/variable`.
      crops: (N, size, size, 3) uint8, the representative set.
    """
    import tensorflow as tf

    # One black and one white pixel pin the input's range, so that a stored value is pixel - 128 as in every int8 file here.
    pinned = crops.copy()
    pinned[0, 0, 0], pinned[0, 0, 1] = 0, 255
    converter = _converter(_network(spec, arrays, scale_input=False), spec)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([crop[None].astype(np.float32) / 128 - 1] for crop in pinned)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return without_denormals(converter.convert())


def representative_crops(faces: Sequence[Face], size: int, count: int, seed: int = 0) -> np.ndarray:
    """Returns crops (N, size, size, 3) uint8 of up to `count` faces, aligned as a detector would."""
    rng = np.random.default_rng(seed)
    faces = measurable(faces)
    chosen = rng.permutation(len(faces))[:count]
    return np.stack([Alignment.from_five(with_noise(faces[i][0].five, rng), size).crop(picture(faces[i])) for i in chosen])


def _network(spec: VariantSpec, arrays: dict[str, np.ndarray], scale_input: bool) -> Any:
    import tf_keras

    from zoo.nets import build, from_arrays

    tf_keras.backend.clear_session()
    model = build(spec, tf_keras, batch_size=1, scale_input=scale_input)
    from_arrays(model, arrays)
    return model
