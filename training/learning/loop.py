"""The one training loop: batches in, checkpoints, history and averaged weights out, whatever trains the network."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from training.data.packs import Pack
from training.learning import runs
from training.learning.batches import Batch, batches, held_out_rows, make_batch
from training.learning.configuration import Configuration
from zoo.errors import ZooError
from zoo.heatmaps import decode
from zoo.schemes import SCHEMES

# Steps between two rows of the history, and crops of held-out people on which the NME beside the loss is measured.
_REPORT_EVERY, _CHECK_CROPS = 100, 64
# Steps between two looks at the loss: where it lies on a GPU, each look waits for the steps before.
_LOOK_EVERY = 10


class Learner(Protocol):
    """What the loop asks of a network and its optimiser: `training.learning.keras_learner`, or `training.learning.gpu.learner`."""

    def step(self, batch: Batch, rate: float) -> Any:
        """Makes one optimiser step at a learning rate; returns the batch's loss before it, which `float` may have to wait for."""

    def maps(self, crops: np.ndarray) -> np.ndarray:
        """Returns the maps (B, grid, grid, 106) of crops (B, S, S, 3) uint8, by the weights as they are."""

    def state(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the model's and the optimiser's arrays, for a checkpoint."""

    def restore(self, model: list[np.ndarray], optimizer: list[np.ndarray]) -> None:
        """Takes up what `state` returned; a ZooError if it is of another network or optimiser."""

    def averaged(self) -> dict[str, np.ndarray]:
        """Returns the arrays of the averaged weights, keyed as in the weights' files, leaving the network as it was."""


def train(
    learner: Learner,
    configuration: Configuration,
    packs: Sequence[Pack],
    folder: Path,
    *,
    resume: bool = False,
    checkpoint_every: int = 250,
    stop_at: int | None = None,
    draw: Callable[[Configuration, Sequence[Pack], int], Iterator[Batch]] = batches,
) -> bool:
    """Trains a network and leaves checkpoint, history and averaged weights in the run's folder; returns whether it came to its end.

    Args:
      learner: the network to train.
      packs: one for each of the configuration's sources, in their order.
      resume: go on from the folder's checkpoint, to the same result as an uninterrupted training.
      checkpoint_every: steps between checkpoints; Ctrl-C writes one too.
      stop_at: pause before this step, as a stop would.
      draw: yields the batches of the configuration from a step on; each need hold only until the next.
    """
    step, history, seconds = 0, [], 0.0
    if resume:
        checkpoint = runs.read_checkpoint(folder)
        learner.restore(checkpoint.model, checkpoint.optimizer)
        step, history, seconds = checkpoint.step, checkpoint.history, checkpoint.seconds
    last = configuration.steps if stop_at is None else min(stop_at, configuration.steps)
    check, losses, nme = _check_batch(configuration, packs), [], history[-1]["nme_percent"] if history else float("nan")
    began = time.monotonic() - seconds
    stream = draw(configuration, packs, step)
    bar = tqdm(total=configuration.steps, initial=step, unit="step", desc=folder.name, dynamic_ncols=True)

    def save() -> None:
        state = learner.state()
        # A bounded map of what is not a number is 0, so the loss may not tell.
        if not all(np.isfinite(value).all() for value in state[0]):
            rate = configuration.rate_at(step)
            advice = f"lower the learning rate (now {rate:.2g}), or start from weights that were trained for longer"
            raise ZooError(f"the weights are no numbers any more at step {step}; {advice}")
        runs.save_checkpoint(folder, runs.Checkpoint(step, *state, history, time.monotonic() - began))
        runs.save_weights(folder, learner.averaged())

    def look() -> None:
        losses[:] = map(float, losses)
        if not np.isfinite(losses).all():
            odd = next(at for at, loss in enumerate(losses) if not np.isfinite(loss))
            at = step - len(losses) + odd
            raise ZooError(f"the loss became {losses[odd]} at step {at}; lower the learning rate (now {configuration.rate_at(at):.2g})")

    try:
        with _stop_between_steps() as stopped:
            while step < last and not stopped:
                losses.append(learner.step(next(stream), configuration.rate_at(step)))
                step += 1
                report = step % _REPORT_EVERY == 0 or step == last
                if report or step % _LOOK_EVERY == 0:
                    look()
                    bar.set_postfix(loss=f"{np.mean(losses):.3f}", nme=f"{nme:.2f}%", refresh=False)
                if report:
                    nme = check_nme_percent(learner, check)
                    history.append({"step": step, "loss": float(np.mean(losses)), "nme_percent": nme,
                                    "learning_rate": configuration.rate_at(step - 1), "seconds": time.monotonic() - began})  # fmt: skip
                    losses.clear()
                bar.update()
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


def _check_batch(configuration: Configuration, packs: Sequence[Pack]) -> Batch:
    """Returns fixed, aligned and jittered but otherwise untouched crops of held-out people (of all, where none are held out)."""
    off = dict.fromkeys(("photometric", "occlusion_chance", "mirror_chance", "wide_chance", "negative_chance"), 0.0)
    plain = replace(configuration, batch=_CHECK_CROPS, **off)
    rows = [held_out_rows(pack, configuration.held_out) for pack in packs]
    rows = [some if len(some) else np.arange(len(pack)) for some, pack in zip(rows, packs, strict=True)]
    return make_batch(replace(plain, seed=configuration.seed + 1), packs, rows, 0)


def check_nme_percent(learner: Learner, batch: Batch) -> float:
    """Returns the mean error of the decoded maps in % of the outer eye corners' distance."""
    errors = []
    for maps, target in zip(learner.maps(batch.crops), batch.targets, strict=True):
        known = target[:, 2] > 0
        eyes = SCHEMES["106"].eye_distance(target[:, :2])
        if known[list(SCHEMES["106"].outer_eyes)].all():
            errors.append(100 * np.linalg.norm(decode(maps)[0] - target[:, :2], axis=1)[known].mean() / eyes)
    return float(np.mean(errors)) if errors else float("nan")
