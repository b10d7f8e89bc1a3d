"""A run's folder: configuration, checkpoint, history and weights, each file written whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.learning.configuration import Configuration, from_json, to_json
from zoo import lookup
from zoo.errors import ZooError
from zoo.files import claimed, read_json, read_npz, write_json, write_whole
from zoo.lookup import run_folder
from zoo.uncertainty import Uncertainty
from zoo.uncertainty import from_json as uncertainty_from_json
from zoo.variants import is_weights_name, names

__all__ = [
    "Checkpoint", "new_folder", "read_checkpoint", "read_configuration", "read_facts", "read_uncertainty", "run_folder", "save_checkpoint",
    "save_configuration", "save_weights", "stopped_early", "taken", "weights_path",
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
    if not name or name != Path(name).name or name.startswith("."):
        raise ZooError(
            f"a run cannot be called {name!r}: it is a folder in {lookup.RUNS}/, named without slashes or a dot in front"
        )
    folder = lookup.RUNS / name
    if (folder / "config.json").exists():
        raise ZooError(f"there is a run {name!r} already: go on with it (--resume {name}), remove {folder}, or give another name (--run)")
    return folder


def read_uncertainty(folder: Path) -> Uncertainty | None:
    """Returns how the spreads of a run's maps are read, or None where it was not calibrated."""
    path = folder / UNCERTAINTY
    return uncertainty_from_json(read_json(path), read_configuration(folder).spec.points) if path.is_file() else None


@contextmanager
def taken(folder: Path, resume: bool) -> Iterator[bool]:
    """Holds a run's folder alone while it is trained; gives whether there is a checkpoint to go on from, else it begins at step 0.

    Raises:
      ZooError: another process trains there.
    """
    with claimed(folder, f"another process trains in {folder}: wait for its end, or give another name (--run NAME)"):
        yield resume and (folder / "checkpoint.npz").is_file()


def stopped_early(folder: Path) -> str:
    """Returns in words how far a run came that did not come to its end, or nothing."""
    if not (folder / "checkpoint.npz").is_file():
        return ""
    step, steps = read_checkpoint(folder).step, read_configuration(folder).steps
    return f"{folder.name} was stopped at step {step} of {steps}" if step < steps else ""


def save_configuration(folder: Path, configuration: Configuration, facts: dict[str, Any]) -> None:
    """Writes `config.json`: the effective configuration, and facts about what it was run on."""
    write_json(folder / "config.json", {"configuration": to_json(configuration), **facts})


def read_configuration(folder: Path) -> Configuration:
    """Returns the configuration a run was made with; a ZooError names a setting that is none."""
    path = folder / "config.json"
    values = _read_config(path)["configuration"]
    try:
        return from_json(values)
    except ZooError as error:
        raise ZooError(f"{path}: {error}") from None


def read_facts(folder: Path) -> dict[str, Any]:
    """Returns what `config.json` says beside the configuration; a ZooError names a field that is not as it is written."""
    path = folder / "config.json"
    facts = _read_config(path)
    facts.pop("configuration")
    data = facts.get("data", [])
    if not isinstance(data, list) or not all(isinstance(one, dict) and isinstance(one.get("source"), str) and _is_count(one.get("faces"))
                                             for one in data):  # fmt: skip
        raise ZooError(f"{path}: 'data' is {data!r:.80}; a list of sources with their numbers of faces is expected")
    for key, kind in (("parent", str), ("device", str | None), ("versions", dict)):
        if key in facts and not isinstance(facts[key], kind):
            raise ZooError(f"{path}: {key!r} is {facts[key]!r:.80}; {'a name' if kind is not dict else 'versions by name'} is expected")
    return facts


def _read_config(path: Path) -> dict[str, Any]:
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("configuration"), dict):
        raise ZooError(f"{path} is not of a run: it has no configuration")
    return values


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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
    try:
        step, seconds = data.pop("step").item(), float(data.pop("seconds").item())
        part = {kind: [data[key] for key in sorted(data) if key.startswith(kind)] for kind in ("model_", "optimizer_")}
        columns = {key.removeprefix("history_"): data[key].tolist() for key in data if key.startswith("history_")}
        history = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    except (KeyError, ValueError, TypeError) as error:
        raise ZooError(f"{path} is not a checkpoint: {' '.join(str(error).split())}") from None
    if not _is_count(step) or not np.isfinite(seconds) or not all("nme_percent" in row for row in history):
        raise ZooError(f"{path} is not a checkpoint: step {step}, after {seconds} s, with a history of {', '.join(columns) or 'nothing'}")
    for key, value in data.items():
        if value.dtype.kind not in "fiub" or (value.dtype.kind == "f" and key.startswith("model_") and not np.isfinite(value).all()):
            raise ZooError(f"{path} is not a checkpoint: {key} holds what is no finite number")
    return Checkpoint(step, part["model_"], part["optimizer_"], history, seconds)


def save_weights(folder: Path, arrays: dict[str, np.ndarray], name: str = "weights.npz") -> Path:
    """Writes the averaged weights of a run."""
    return write_whole(folder / name, lambda file: np.savez(file, **arrays))


def weights_path(folder: Path) -> Path:
    """Returns a run's weights file; a ZooError if the run has none yet."""
    path = folder / "weights.npz"
    if not path.is_file():
        raise ZooError(f"{folder} has no weights yet")
    return path
