"""The one training loop, for float and quantisation-aware models, in Keras 3 (any backend) and tf_keras alike."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from tqdm import tqdm

from training import runs
from training.batches import Batch, batches, held_out_rows, make_batch
from training.configuration import Configuration
from training.losses import heatmap_loss, mean_squared_loss
from training.packs import Pack
from zoo.errors import ZooError
from zoo.heatmaps import decode
from zoo.schemes import SCHEMES

# Steps between two rows of the history, and crops of held-out people on which the NME beside the loss is measured.
_REPORT_EVERY, _CHECK_CROPS = 100, 64


def train(
    model: Any,
    keras: ModuleType,
    configuration: Configuration,
    packs: Sequence[Pack],
    folder: Path,
    to_input: Callable[[np.ndarray], np.ndarray],
    weights_of: Callable[[Any], dict[str, np.ndarray]],
    *,
    resume: bool = False,
    checkpoint_every: int = 250,
    stop_at: int | None = None,
) -> bool:
    """Trains a model and leaves checkpoint, history and averaged weights in the run's folder; returns whether it came to its end.

    Args:
      model: a built network in the namespace `keras`.
      packs: one for each of the configuration's sources, in their order.
      to_input: takes crops (B, S, S, 3) uint8 to what the model eats.
      weights_of: takes the model to the arrays to save.
      resume: go on from the folder's checkpoint, to the same result as an uninterrupted training.
      checkpoint_every: steps between checkpoints; Ctrl-C writes one too.
      stop_at: pause before this step, as a stop would.
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate=configuration.rate_at(0), weight_decay=configuration.weight_decay, global_clipnorm=configuration.clip_norm,
        use_ema=True, ema_momentum=configuration.average_momentum,
    )  # fmt: skip
    _quicken_statistics(model, configuration.steps)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(optimizer=optimizer, loss=_loss(configuration), jit_compile=_jit(keras))
    optimizer.build(model.trainable_variables)
    step, history, seconds = 0, [], 0.0
    if resume:
        checkpoint = runs.read_checkpoint(folder)
        _restore(model, optimizer, checkpoint)
        step, history, seconds = checkpoint.step, checkpoint.history, checkpoint.seconds
    last = configuration.steps if stop_at is None else min(stop_at, configuration.steps)
    check, losses, nme = _check_batch(configuration, packs), [], history[-1]["nme_percent"] if history else float("nan")
    began = time.monotonic() - seconds
    stream = batches(configuration, packs, step)
    bar = tqdm(total=configuration.steps, initial=step, unit="step", desc=folder.name, dynamic_ncols=True)

    def save() -> None:
        state = _state(model, optimizer)
        # A bounded map of what is not a number is 0, so the loss may not tell.
        if not all(np.isfinite(value).all() for value in state[0]):
            rate = configuration.rate_at(step)
            advice = f"lower the learning rate (now {rate:.2g}), or start from weights that were trained for longer"
            raise ZooError(f"the weights are no numbers any more at step {step}; {advice}")
        runs.save_checkpoint(folder, runs.Checkpoint(step, *state, history, time.monotonic() - began))
        runs.save_weights(folder, _averaged(model, optimizer, weights_of))

    try:
        with _stop_between_steps() as stopped:
            while step < last and not stopped:
                batch = next(stream)
                optimizer.learning_rate = configuration.rate_at(step)
                loss = float(model.train_on_batch(to_input(batch.crops), batch.targets))
                # Keras reports the mean since the last reset.
                model.reset_metrics()
                if not np.isfinite(loss):
                    rate = configuration.rate_at(step)
                    raise ZooError(f"the loss became {loss} at step {step}; lower the learning rate (now {rate:.2g})")
                losses.append(loss)
                step += 1
                if step % _REPORT_EVERY == 0 or step == last:
                    nme = check_nme_percent(model, to_input, check)
                    history.append({"step": step, "loss": float(np.mean(losses)), "nme_percent": nme,
                                    "learning_rate": configuration.rate_at(step - 1), "seconds": time.monotonic() - began})  # fmt: skip
                    losses.clear()
                bar.update()
                bar.set_postfix(loss=f"{np.mean(losses[-_REPORT_EVERY:] or [loss]):.3f}", nme=f"{nme:.2f}%")
                if step % checkpoint_every == 0 and step < last:
                    save()
            save()
    finally:
        bar.close()
        stream.close()
    if step < last:
        raise KeyboardInterrupt
    return step == configuration.steps


@contextmanager
def _stop_between_steps() -> Iterator[list[int]]:
    """Gives a list into which Ctrl-C and SIGTERM are put instead of raised: halfway through a step, weights and count would disagree.

    A second signal does raise, for whoever does not want to wait; the last checkpoint then stays as it is.
    """
    stopped: list[int] = []

    def note(number: int, frame: Any) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)

    kept = {}
    if threading.current_thread() is threading.main_thread():  # Python takes signals nowhere else
        kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in kept.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _quicken_statistics(model: Any, steps: int) -> None:
    """Lets normalisation's running statistics follow within a twentieth of a short run: its weights move faster than a long one's."""
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)  # a quantisation-aware layer wraps the real one
        if hasattr(inner, "moving_mean"):
            inner.momentum = min(inner.momentum, max(0.9, 1 - 20 / steps))


def _check_batch(configuration: Configuration, packs: Sequence[Pack]) -> Batch:
    """Returns fixed, aligned and jittered but otherwise untouched crops of held-out people (of all, where none are held out)."""
    plain = replace(configuration, batch=_CHECK_CROPS, photometric=0.0, occlusion_chance=0.0, mirror_chance=0.0, wide_chance=0.0)
    rows = [held_out_rows(pack, configuration.held_out) for pack in packs]
    rows = [some if len(some) else np.arange(len(pack)) for some, pack in zip(rows, packs, strict=True)]
    return make_batch(replace(plain, seed=configuration.seed + 1), packs, rows, 0)


def check_nme_percent(model: Any, to_input: Callable[[np.ndarray], np.ndarray], batch: Batch) -> float:
    """Returns the mean error of the decoded maps in % of the outer eye corners' distance."""
    errors = []
    for maps, target in zip(np.asarray(model.predict_on_batch(to_input(batch.crops))), batch.targets, strict=True):
        known = target[:, 2] > 0
        eyes = np.linalg.norm(np.subtract(*target[list(SCHEMES["106"].outer_eyes), :2]))
        if known[list(SCHEMES["106"].outer_eyes)].all():
            errors.append(100 * np.linalg.norm(decode(maps)[0] - target[:, :2], axis=1)[known].mean() / eyes)
    return float(np.mean(errors)) if errors else float("nan")


def _loss(configuration: Configuration) -> Callable[[Any, Any], Any]:
    if configuration.loss == "mse":
        return mean_squared_loss(configuration.sigma_cells)
    return heatmap_loss(configuration.sigma_cells, configuration.distance_weight)


def _jit(keras: ModuleType) -> bool:
    """XLA slows convolutions down on a CPU under TensorFlow; JAX cannot do without it."""
    return hasattr(keras, "ops") and keras.backend.backend() == "jax"


def _variables(optimizer: Any) -> list[Any]:
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def _state(model: Any, optimizer: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [np.asarray(v) for v in model.get_weights()], [np.asarray(v) for v in _variables(optimizer)]


def _restore(model: Any, optimizer: Any, checkpoint: runs.Checkpoint) -> None:
    variables = _variables(optimizer)
    if len(checkpoint.model) != len(model.get_weights()) or len(checkpoint.optimizer) != len(variables):
        raise ZooError("the checkpoint is of another network or optimiser")
    model.set_weights(checkpoint.model)
    for variable, value in zip(variables, checkpoint.optimizer, strict=True):
        variable.assign(value)


def _averaged(model: Any, optimizer: Any, weights_of: Callable[[Any], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the arrays of the averaged weights, leaving the model as it was."""
    kept = model.get_weights()
    optimizer.finalize_variable_values(model.trainable_variables)
    arrays = weights_of(model)
    model.set_weights(kept)
    return arrays
