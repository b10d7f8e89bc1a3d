"""A run's folder: configuration, checkpoint, history and weights, each file written whole."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.learning.configuration import Configuration, from_json, to_json
from zoo import lookup
from zoo.errors import ZooError
from zoo.files import read_json, read_npz, write_json, write_whole
from zoo.lookup import run_folder
from zoo.uncertainty import Uncertainty
from zoo.uncertainty import from_json as uncertainty_from_json
from zoo.variants import is_weights_name, names

__all__ = [
    "Checkpoint", "new_folder", "read_checkpoint", "read_configuration", "read_facts", "read_uncertainty", "run_folder", "save_checkpoint",
    "save_configuration", "save_weights", "weights_path",
]  # fmt: skip
UNCERTAINTY = "uncertainty.json"  # how the maps' spreads are read, where `python -m training calibrate` was asked


@dataclass(frozen=True)
class Checkpoint:
    """Everything a training needs to go on: the step reached, the model's and the optimiser's arrays, and the history so far."""

    step: int
    model: list[np.ndarray]
    optimizer: list[np.ndarray]
    history: list[dict[str, float]]
    seconds: float


def new_folder(name: str) -> Path:
    """Returns `runs/NAME` for a new run.

    Raises:
      ZooError: there is a run of this name, or published weights could have it.
    """
    if is_weights_name(name) or name in names():
        raise ZooError(f"a run cannot be called {name!r}, as published weights may be; give it a name of its own: --run NAME")
    folder = lookup.RUNS / name
    if (folder / "config.json").exists():
        raise ZooError(f"there is a run {name!r} already: go on with it (--resume {name}), remove {folder}, or give another name (--run)")
    return folder


def read_uncertainty(folder: Path) -> Uncertainty | None:
    """Returns how the spreads of a run's maps are read, or None where it was not calibrated."""
    path = folder / UNCERTAINTY
    return uncertainty_from_json(read_json(path), read_configuration(folder).spec.points) if path.is_file() else None


def save_configuration(folder: Path, configuration: Configuration, facts: dict[str, Any]) -> None:
    """Writes `config.json`: the effective configuration, and facts about what it was run on."""
    write_json(folder / "config.json", {"configuration": to_json(configuration), **facts})


def read_configuration(folder: Path) -> Configuration:
    """Returns the configuration a run was made with."""
    values = read_json(folder / "config.json")
    if not isinstance(values, dict) or not isinstance(values.get("configuration"), dict):
        raise ZooError(f"{folder / 'config.json'} is not of a run: it has no configuration")
    return from_json(values["configuration"])


def read_facts(folder: Path) -> dict[str, Any]:
    """Returns what `config.json` says beside the configuration."""
    facts = read_json(folder / "config.json")
    facts.pop("configuration")
    return facts


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes `checkpoint.npz` and `history.csv`."""
    arrays = {f"model_{i:04d}": value for i, value in enumerate(checkpoint.model)}
    arrays |= {f"optimizer_{i:04d}": value for i, value in enumerate(checkpoint.optimizer)}
    history = checkpoint.history
    keys = list(history[0]) if history else []
    arrays |= {f"history_{key}": np.array([row[key] for row in history]) for key in keys}
    arrays |= {"step": np.array(checkpoint.step), "seconds": np.array(checkpoint.seconds)}
    write_whole(folder / "checkpoint.npz", lambda file: np.savez(file, **arrays))
    if history:
        text = io.StringIO()
        writer = csv.DictWriter(text, keys, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_whole(folder / "history.csv", text.getvalue())


def read_checkpoint(folder: Path) -> Checkpoint:
    """Returns the last checkpoint of a run; a ZooError if there is none or it is broken."""
    path = folder / "checkpoint.npz"
    if not path.is_file():
        raise ZooError(f"{folder} has no checkpoint to resume from")
    data = read_npz(path)
    if not {"step", "seconds"} <= set(data):
        raise ZooError(f"{path} is not a checkpoint: it has no step")
    part = {kind: [data[key] for key in sorted(data) if key.startswith(kind)] for kind in ("model_", "optimizer_")}
    keys = [key.removeprefix("history_") for key in data if key.startswith("history_")]
    history = [dict(zip(keys, values, strict=True)) for values in zip(*(data[f"history_{key}"].tolist() for key in keys), strict=True)]
    return Checkpoint(int(data["step"]), part["model_"], part["optimizer_"], history, float(data["seconds"]))


def save_weights(folder: Path, arrays: dict[str, np.ndarray], name: str = "weights.npz") -> Path:
    """Writes the averaged weights of a run."""
    return write_whole(folder / name, lambda file: np.savez(file, **arrays))


def weights_path(folder: Path) -> Path:
    """Returns a run's weights file; a ZooError if the run has none yet."""
    path = folder / "weights.npz"
    if not path.is_file():
        raise ZooError(f"{folder} has no weights yet")
    return path
