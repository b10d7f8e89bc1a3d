"""Whether pictures arrive faster than the network eats them, and what a million faces would cost: timed in one run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from training.data.packs import Pack, cut
from training.data.sources import read_source
from training.learning.batches import make_batch, prepare, training_rows
from training.learning.configuration import Configuration
from training.readers.picture import read_picture
from training.teacher import mesh as teacher
from zoo import terminal
from zoo.errors import ZooError
from zoo.files import kilobytes
from zoo.machine import peak_mb
from zoo.variants import get

_ROUNDS, _STEPS, _FEW = 5, 8, 48


def measure(variant: str, sources: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Returns what the loader delivers, what training consumes, their ratio, and the memory of this process.

    The loader draws in one thread, as in training; both are timed in turn within one run, and the medians compared.

    Args:
      variant: a name in the registry.
      sources: (name, share) pairs, as for `fit`.
    """
    configuration = Configuration(variant, sources=tuple(sources), steps=10_000)
    packs = [prepare(name) for name, _ in sources]
    rows = [training_rows(pack, 0.0) for pack in packs]
    step = _training_step(configuration, packs, rows)
    drawn, eaten, before = [], [], _memory_mb()
    for number in tqdm(range(_ROUNDS), desc="measure", unit="round"):
        began = time.perf_counter()
        for at in range(number * _STEPS, (number + 1) * _STEPS):
            make_batch(configuration, packs, rows, at)
        drawn.append((time.perf_counter() - began) / _STEPS)
        eaten.append(step())
    loader, network = (configuration.batch / float(np.median(seconds)) for seconds in (drawn, eaten))
    return {
        "variant": variant, "faces": sum(len(pack) for pack in packs),
        "prepared MB": round(sum(pack.pixels.nbytes + (pack.meshes.nbytes if pack.meshes is not None else 0) for pack in packs) / 2**20),
        "sources": ", ".join(Path(name).stem for name, _ in sources),
        "loader crops/s": round(loader), "training crops/s": round(network), "ratio": round(loader / network, 1),
        "memory MB": round(_memory_mb()), "grown by MB": round(_memory_mb() - before),
        "peak MB": round(peak_mb() or 0),
    }  # fmt: skip


def a_million(source: str) -> dict[str, Any]:
    """Returns what labelling and preparing a million faces like a source's would take on this machine, from the rates of a few.

    Labelling runs in one process per core, preparing in one; a face is labelled from its whole picture and its mirror image.

    Raises:
      ZooError: the source is drawn, or has no readable face.
    """
    if source == "synthetic":
        raise ZooError("drawn faces are neither labelled nor prepared from files; give a labels file or a folder")
    samples = list(itertools.islice(read_source(source), _FEW))
    images = [read_picture(sample.path) for sample in samples]
    with terminal.without_stderr():
        teacher.label(images[0])
    labelling = _seconds(lambda: [teacher.label(image) for image in tqdm(images, desc="label", unit="picture")]) / len(images)
    parts = []
    preparing = _seconds(lambda: parts.extend(cut(sample) for sample in samples)) / len(samples)
    size_bytes = float(np.mean([image.nbytes + (mesh.nbytes / 2 if mesh is not None else 0) for image, *_, mesh in parts]))
    cores = os.cpu_count() or 1
    return {
        "source": Path(source).stem, "measured on": len(samples), "picture px": f"{images[0].shape[1]} x {images[0].shape[0]}",
        "labelled/s on one core": round(1 / labelling, 1), "prepared/s": round(1 / preparing),
        "prepared KB a face": round(kilobytes(size_bytes)),
        "cores": cores, "a million labelled, h": round(1e6 * labelling / cores / 3600, 1),
        "prepared, h": round(1e6 * preparing / 3600, 1), "on disk, GB": round(1e6 * size_bytes / 2**30),
    }  # fmt: skip


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _training_step(configuration: Configuration, packs: Sequence[Pack], rows: Sequence[np.ndarray]):
    """Returns a function that makes some training steps on one batch and says how many seconds one took."""
    with terminal.without_stderr():
        import keras
    from training.learning.keras_learner import KerasLearner
    from zoo.nets import build, to_arrays

    model = build(get(configuration.variant), keras)
    learner = KerasLearner(model, keras, configuration, lambda crops: crops.astype("float32"), to_arrays)
    batch = make_batch(configuration, packs, rows, 0)
    with terminal.without_stderr():
        for _ in range(2):
            learner.step(batch, configuration.learning_rate)

    def step() -> float:
        began = time.perf_counter()
        for _ in range(_STEPS):
            learner.step(batch, configuration.learning_rate)
        return (time.perf_counter() - began) / _STEPS

    return step


def _memory_mb() -> float:
    """Returns what this process alone holds: pages of memory-mapped pictures are the system's to take back."""
    return psutil.Process().memory_full_info().uss / 2**20
