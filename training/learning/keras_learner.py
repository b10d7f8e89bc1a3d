"""A network in Keras as the training loop sees it: float or quantisation-aware, in Keras 3 (any backend) and tf_keras alike."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from training.learning.batches import Batch
from training.learning.configuration import Configuration
from training.learning.losses import heatmap_loss, mean_squared_loss
from zoo.errors import ZooError


class KerasLearner:
    """Trains a Keras model with `train_on_batch`; the methods are those of `training.learning.loop.Learner`."""

    def __init__(
        self,
        model: Any,
        keras: ModuleType,
        configuration: Configuration,
        to_input: Callable[[np.ndarray], np.ndarray],
        weights_of: Callable[[Any], dict[str, np.ndarray]],
    ):
        """Compiles a model.

        Args:
          model: a built network in the namespace `keras`.
          to_input: takes crops (B, S, S, 3) uint8 to what the model eats.
          weights_of: takes the model to the arrays to save.
        """
        self._model, self._to_input, self._weights_of = model, to_input, weights_of
        self._optimizer = keras.optimizers.AdamW(
            learning_rate=configuration.rate_at(0), weight_decay=configuration.weight_decay, global_clipnorm=configuration.clip_norm,
            use_ema=True, ema_momentum=configuration.average_momentum,
        )  # fmt: skip
        for layer in model.layers:
            inner = getattr(layer, "layer", layer)  # a quantisation-aware layer wraps the real one
            if hasattr(inner, "moving_mean"):
                inner.momentum = min(inner.momentum, configuration.statistics_momentum)
        self._optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        model.compile(optimizer=self._optimizer, loss=_loss(configuration), jit_compile=_jit(keras))
        self._optimizer.build(model.trainable_variables)

    def step(self, batch: Batch, rate: float) -> float:
        """Makes one optimiser step; returns the batch's loss before it."""
        self._optimizer.learning_rate = rate
        loss = float(self._model.train_on_batch(self._to_input(batch.crops), batch.targets))
        # Keras reports the mean since the last reset.
        self._model.reset_metrics()
        return loss

    def maps(self, crops: np.ndarray) -> np.ndarray:
        """Returns the maps (B, grid, grid, 106) of crops (B, S, S, 3) uint8, by the weights as they are."""
        return np.asarray(self._model.predict_on_batch(self._to_input(crops)))

    def state(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the model's and the optimiser's arrays, for a checkpoint."""
        return [np.asarray(v) for v in self._model.get_weights()], [np.asarray(v) for v in self._variables()]

    def restore(self, model: list[np.ndarray], optimizer: list[np.ndarray]) -> None:
        """Takes up what `state` returned; a ZooError if it is of another network or optimiser."""
        variables = self._variables()
        shapes = [[value.shape for value in some] for some in (model, optimizer)]
        if shapes != [[tuple(value.shape) for value in some] for some in (self._model.get_weights(), variables)]:
            raise ZooError("the checkpoint is of another network or optimiser")
        self._model.set_weights(model)
        for variable, value in zip(variables, optimizer, strict=True):
            variable.assign(value)

    def averaged(self) -> dict[str, np.ndarray]:
        """Returns the arrays of the averaged weights, leaving the model as it was."""
        kept = self._model.get_weights()
        self._optimizer.finalize_variable_values(self._model.trainable_variables)
        arrays = self._weights_of(self._model)
        self._model.set_weights(kept)
        return arrays

    def _variables(self) -> list[Any]:
        variables = self._optimizer.variables
        return list(variables() if callable(variables) else variables)


def _loss(configuration: Configuration) -> Callable[[Any, Any], Any]:
    if configuration.loss == "mse":
        return mean_squared_loss()
    return heatmap_loss(configuration.distance_weight)


def _jit(keras: ModuleType) -> bool:
    """XLA slows convolutions down on a CPU under TensorFlow; JAX cannot do without it."""
    return hasattr(keras, "ops") and keras.backend.backend() == "jax"
