"""Layers of our own, one class for each Keras, registered in Keras 3 so that `keras.models.load_model` knows them."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

_PACKAGE = "landmark_zoo"  # before the names under which Keras saves the classes


def register(keras: ModuleType) -> None:
    """Makes the layers known to `keras.models.load_model`."""
    for make in (pixel_shuffle_layer, batch_normalization_layer):
        make(keras)


def _registered(keras: ModuleType, layer: type) -> type:
    return keras.saving.register_keras_serializable(_PACKAGE)(layer) if hasattr(keras, "ops") else layer


@lru_cache(maxsize=4)
def pixel_shuffle_layer(keras: ModuleType) -> type:
    """Returns the layer that turns (B, H, W, 4C) into (B, 2H, 2W, C), as a subclass of this namespace's Layer.

    Channel (2 i + j) C + c of a cell goes to row 2 y + i, column 2 x + j: TensorFlow's DEPTH_TO_SPACE, to which it converts.
    """

    class PixelShuffle(keras.layers.Layer):
        """Depth to space by a factor of 2."""

        def call(self, x: Any) -> Any:
            if not hasattr(keras, "ops"):  # tf_keras: only the operator itself becomes DEPTH_TO_SPACE in a TFLite file
                import tensorflow as tf

                return tf.nn.depth_to_space(x, 2)
            ops, (_, height, width, depth) = keras.ops, x.shape
            x = ops.reshape(x, (-1, height, width, 2, 2, depth // 4))
            x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
            return ops.reshape(x, (-1, 2 * height, 2 * width, depth // 4))

        def compute_output_shape(self, shape: tuple) -> tuple:
            return (shape[0], 2 * shape[1], 2 * shape[2], shape[3] // 4)

    return _registered(keras, PixelShuffle)


@lru_cache(maxsize=4)
def batch_normalization_layer(keras: ModuleType) -> type:
    """Returns the layer for batch normalisation: in Keras 3 on TensorFlow one kernel, as in tf_keras, instead of ten operators.

    What is kept of a batch's variance is unbiased, as TensorFlow's kernel and PyTorch give it.
    """
    if not hasattr(keras, "ops") or keras.backend.backend() != "tensorflow":
        return keras.layers.BatchNormalization

    class BatchNormalization(keras.layers.BatchNormalization):
        """Over the last axis of (B, H, W, C), with scale and offset, in float32."""

        def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
            from tensorflow.compat.v1.nn import fused_batch_norm

            learns = bool(training) and self.trainable
            statistics = {} if learns else {"mean": self.moving_mean, "variance": self.moving_variance}
            found, mean, variance = fused_batch_norm(x, self.gamma, self.beta, epsilon=self.epsilon, is_training=learns, **statistics)
            if learns:
                for kept, seen in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    kept.assign(self.momentum * kept + (1 - self.momentum) * seen)
            return found

    return _registered(keras, BatchNormalization)
