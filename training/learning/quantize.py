"""`python -m training quantize`: goes on from a float run with quantisation-aware training, in the same loop."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

from training.learning import runs
from training.learning.configuration import Configuration
from training.learning.fit import check_start, versions
from training.learning.lineage import check_ancestors, of_run
from zoo import terminal
from zoo.errors import ZooError

_CALIBRATION_BATCHES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("parent", metavar="RUN", nargs="?", help="the float run to go on from")
    parser.add_argument("--steps", type=int, default=100, help="optimiser steps (default %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="peak rate (default %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="crops a step (default %(default)s)")
    parser.add_argument("--run", help="name of the new run's folder under runs/ (default: RUN-int8)")
    parser.add_argument("--resume", metavar="RUN", help="go on with this interrupted run instead; all settings are its own")


def main(args: argparse.Namespace) -> int:
    """Trains, or goes on training; prints where the weights are."""
    check_start("quantize", "a float RUN", args.parent, args.resume)
    given = runs.run_folder(args.resume or args.parent)
    configuration = runs.read_configuration(given)
    if args.resume and not configuration.quantized:
        raise ZooError(f"{given.name} is a float run: go on with `python -m training fit --resume {args.resume}`")
    if args.resume:
        parent, out = runs.run_folder(runs.read_facts(given)["parent"]), given
    else:
        if configuration.quantized:
            raise ZooError(f"{given.name} is a quantisation-aware run: give a float run, or go on with it by --resume {given.name}")
        parent, out = given, runs.new_folder(args.run or f"{given.name}-int8")
        configuration = replace(
            configuration, quantized=True, steps=args.steps, batch=args.batch, learning_rate=args.learning_rate,
            warmup_steps=min(50, args.steps // 10), init=given.name,
        )  # fmt: skip
    quantize(configuration, parent, out, resume=bool(args.resume))
    print(f"trained: {out}")
    return 0


def quantize(configuration: Configuration, parent: Path, folder: Path, *, resume: bool = False, stop_at: int | None = None) -> bool:
    """Trains a quantisation-aware network from a float run's weights into a run's folder; returns whether it came to its end.

    Args:
      configuration: of the new run; its sources give the calibration crops too.
      parent: the float run's folder.
      resume: go on from the folder's checkpoint, or from step 0 where it was stopped before the first.

    Raises:
      ZooError: another process trains in the folder; the parent has no weights.
    """
    with runs.taken(folder, resume) as begun:
        return _quantize(configuration, parent, folder, begun, stop_at)


def _quantize(configuration: Configuration, parent: Path, folder: Path, resume: bool, stop_at: int | None) -> bool:
    from training.learning.batches import batches, prepare

    check_ancestors(of_run(parent), configuration.tag)
    with terminal.without_stderr():
        import tf_keras

        from training.learning import qat
        from training.learning.keras_learner import KerasLearner
        from training.learning.loop import train
    from zoo.nets.weights import read_arrays

    packs = [prepare(name) for name, _ in configuration.sources]
    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(configuration.seed)
    model, quantized = qat.build_quantized(configuration.spec, read_arrays(runs.weights_path(parent)))
    if not resume:
        facts = {"parent": str(parent), "data": [{"source": pack.name, "faces": len(pack)} for pack in packs], **versions(tf_keras)}
        runs.save_configuration(folder, configuration, facts)
        plain = replace(configuration, photometric=0.4, occlusion_chance=0.0, seed=configuration.seed + 2, steps=_CALIBRATION_BATCHES)
        if configuration.calibrated:
            qat.calibrate(quantized, model, (batch.crops for batch in itertools.islice(batches(plain, packs, 0), _CALIBRATION_BATCHES)))
        else:
            qat.freeze_ranges(quantized)
    learner = KerasLearner(quantized, tf_keras, configuration, qat.to_input, qat.quantized_arrays)
    return train(learner, configuration, packs, folder, resume=resume, stop_at=stop_at)
