"""`python -m training fit`: trains a variant's float network with Keras, or on a GPU with PyTorch."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from training.data.provenance import check_tag
from training.learning import lineage, runs
from training.learning.configuration import Configuration
from training.learning.gpu import check_device
from training.learning.widen import widen
from zoo import terminal
from zoo.errors import ZooError
from zoo.variants import TAGS, get

if TYPE_CHECKING:
    from training.data.packs import Pack

# What can be set on the command line, beside sources, tag and start: settings of `Configuration`, and their meanings.
_SETTINGS = (
    ("steps", "optimiser steps"),
    ("batch", "crops a step"),
    ("learning_rate", "peak rate"),
    ("seed", "of weights and batches"),
    ("held_out", "share of people kept from training"),
    ("average", "momentum of the averaged weights"),
    ("sigma_cells", "of the target Gaussian"),
    ("hidden_sigma_cells", "of the target Gaussian of an occluded point"),
    ("distance_weight", "of the soft-argmax distance in the loss"),
    ("photometric", "0..1, share of recoloured crops"),
    ("occlusion_chance", "0..1"),
    ("turn_chance", "0..1, of turning a face in depth where its labels came with a mesh"),
    ("negative_chance", "0..1, of a crop without an aligned face"),
    ("balance_yaw", "0..1, from drawing faces as they come to all yaws equally often"),
    ("rotation_deg", "standard deviation of the jitter"),
    ("scale", "standard deviation of the jitter"),
    ("shift", "standard deviation of the jitter, in eye distances"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments; every default stands in `Configuration`."""
    default = Configuration("")
    parser.add_argument("name", metavar="NAME", nargs="?", help="variant, e.g. mixed-035-128")
    parser.add_argument("--source", action="append", metavar="NAME[:weight]",
                        help="'synthetic' (default), or PATH[@FORMAT][@SPLIT][@SUBSET], see docs/sources.md; repeatable")  # fmt: skip
    parser.add_argument("--tag", default=default.tag, choices=TAGS, help="what the data allow (default %(default)s)")
    parser.add_argument("--init", default="",
                        help="start from 'imagenet', a local .npz, published weights (mixed-035-128.open) or a run; NAME:backbone leaves "
                             "their head out")  # fmt: skip
    parser.add_argument("--run", help="name of the run's folder under runs/ (default: NAME-TAG)")
    parser.add_argument("--resume", metavar="RUN", help="go on with this interrupted run instead; all settings are its own")
    parser.add_argument("--gpu", action="store_true", help="train on a CUDA GPU with PyTorch (see docs/gpu.md)")
    for name, meaning in _SETTINGS:
        value = getattr(default, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"{meaning} (default %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Trains, or goes on training; prints where the weights are."""
    check_start("fit", "NAME", args.name, args.resume)
    if args.resume:
        folder = runs.run_folder(args.resume)
        device = runs.read_facts(folder).get("device")
        configuration = runs.read_configuration(folder)
        if configuration.quantized:
            raise ZooError(f"{folder.name} is a quantisation-aware run: go on with `python -m training quantize --resume {args.resume}`")
    else:
        get(args.name)
        device = "cuda" if args.gpu else None
        settings = {name: getattr(args, name) for name, _ in _SETTINGS}
        configuration = Configuration(args.name, args.tag, parse_sources(args.source), init=args.init, **settings)
        folder = runs.new_folder(args.run or f"{args.name}-{args.tag}")
    fit(configuration, folder, resume=bool(args.resume), device=device)
    print(f"trained: {folder}")
    return 0


def check_start(verb: str, what: str, name: str | None, resume: str | None) -> None:
    """Refuses a command that names neither what to begin with nor a run to go on with, or both."""
    if (name is None) == (resume is None):
        given = f"{name} and --resume {resume}" if name else "neither"
        raise ZooError(f"{verb} begins with {what}, or goes on with --resume RUN; received {given}")


def parse_sources(given: list[str] | None) -> tuple[tuple[str, float], ...]:
    """Returns (name, share) pairs of `NAME[:weight]` words; a ZooError for a weight that is not a positive number."""
    sources = []
    for word in given or ["synthetic"]:
        name, colon, share = word.rpartition(":")
        if not colon:
            name, share = word, "1"
        try:
            value = float(share)
        except ValueError:
            raise ZooError(f"--source {word!r}: the weight {share!r} is not a number") from None
        if not value > 0:
            raise ZooError(f"--source {word!r}: the weight must be positive")
        sources.append((name, value))
    return tuple(sources)


def fit(configuration: Configuration, folder: Path, *, resume: bool = False, stop_at: int | None = None, device: str | None = None) -> bool:
    """Trains a float network into a run's folder; returns whether it came to its end.

    Args:
      resume: go on from the folder's checkpoint, or from step 0 where it was stopped before the first.
      device: where PyTorch trains, "cuda" or "cpu"; Keras trains if None.

    Raises:
      ZooError: another process trains in the folder; a source or a setting cannot be used.
    """
    with runs.taken(folder, resume) as begun:
        return _fit(configuration, folder, begun, stop_at, device)


def _fit(configuration: Configuration, folder: Path, resume: bool, stop_at: int | None, device: str | None) -> bool:
    from training.learning.batches import prepare

    # What a user may have got wrong comes before the slow imports.
    check_tag(configuration.sources, configuration.tag)
    ancestors = lineage.of_run(folder) if resume else lineage.of_init(configuration.init)
    lineage.check_ancestors(ancestors, configuration.tag)
    if device:
        check_device(device)
        if "keras" not in sys.modules:  # then TensorFlow is not needed, and takes none of the GPU's memory
            os.environ.setdefault("KERAS_BACKEND", "torch")
    packs = [prepare(name) for name, _ in configuration.sources]
    facts = {"data": [{"source": pack.name, "faces": len(pack)} for pack in packs], **lineage.recorded(ancestors)}
    if device:
        return _fit_with_torch(configuration, packs, folder, facts, resume, stop_at, device)
    with terminal.without_stderr():
        import keras

        from training.learning.keras_learner import KerasLearner
        from training.learning.loop import train
    from zoo.nets import to_arrays

    model = _started(configuration, keras, resume)
    if not resume:
        runs.save_configuration(folder, configuration, facts | versions(keras))
    learner = KerasLearner(model, keras, configuration, lambda crops: crops.astype("float32"), to_arrays)
    return train(learner, configuration, packs, folder, resume=resume, stop_at=stop_at)


def _fit_with_torch(
    configuration: Configuration, packs: Sequence[Pack], folder: Path, facts: dict[str, Any], resume: bool, stop_at: int | None, device: str
) -> bool:
    from training.learning.gpu.feed import feeding

    with feeding(configuration, packs) as draw:
        with terminal.without_stderr():
            import keras
            import torch

            from training.learning.gpu import network
            from training.learning.gpu.learner import GpuLearner
            from training.learning.loop import train
        from zoo.nets import to_arrays

        model = _started(configuration, keras, resume)
        if not resume:
            on = torch.cuda.get_device_name() if device == "cuda" else "CPU"
            found = {"python": platform.python_version(), "torch": torch.__version__, "on": on}
            runs.save_configuration(folder, configuration, facts | {"device": device, "versions": found})
        learner = GpuLearner(network.read(model), to_arrays(model), configuration, device)
        return train(learner, configuration, packs, folder, resume=resume, stop_at=stop_at, draw=draw)


def _started(configuration: Configuration, keras: ModuleType, resume: bool) -> Any:
    """Returns the network with its first weights, or with any where a checkpoint will bring them."""
    from zoo.nets import build

    keras.utils.set_random_seed(configuration.seed)
    model = build(configuration.spec, keras)
    if not resume:
        start(model, configuration.init)
    return model


def start(model: Any, init: str) -> None:
    """Gives an untrained model its first weights; `init` as in `Configuration`. Those of a narrower network are widened."""
    from zoo.nets.weights import backbone_arrays, from_arrays, read_arrays, read_backbone, to_arrays

    if not init:
        return
    path = lineage.weights_of(init)
    if path is None or path == Path(init):
        read_backbone(model, init)
        return
    arrays = backbone_arrays(read_arrays(path)) if init.endswith(lineage.BACKBONE) else read_arrays(path)
    shapes = {key: tuple(value.shape) for key, value in to_arrays(model).items()}
    if not from_arrays(model, widen(arrays, shapes), partial=True):
        raise ZooError(f"--init {init!r} has no variable in common with {model.name}")


def versions(keras: Any) -> dict[str, str]:
    """Returns the versions a run depends on."""
    found = {"python": platform.python_version(), keras.__name__: keras.__version__}
    if "tensorflow" in sys.modules:
        found["tensorflow"] = sys.modules["tensorflow"].__version__
    return {"versions": found}
