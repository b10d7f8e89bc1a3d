"""What can be measured, by the name it is given on the command line: a run in Keras, a .tflite file, published weights; and its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.mesh import MESH, TASK, Mesh
from training.evaluation.mirror import Mirrored
from training.learning import runs
from training.teacher import finder
from training.teacher.finder import teacher_file
from zoo import terminal
from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE
from zoo.costs import count
from zoo.files import kilobytes, sha256
from zoo.landmarker import Landmarker, load
from zoo.lookup import look_up
from zoo.nets import build, from_arrays
from zoo.nets.weights import read_arrays
from zoo.runtime.interpreter import open_model
from zoo.variants import VariantSpec, get

# The challenges' limits on one forward pass and on the file. A multiply-accumulate counts as two operations, a MB as a million bytes.
BUDGETS = {"1 GFLOP, 20 MB": (1e9, 20e6), "100 MFLOP, 2 MB": (100e6, 2e6)}
FLOP_PER_MAC = 2


@dataclass(frozen=True)
class Model:
    """What a name on the command line stands for.

    Attributes:
      kind: "file", "run" (in Keras), "published int8", "published float32", "MediaPipe's mesh", or "MediaPipe's Face Landmarker".
      path: of the file, or the run's folder.
      spec: its shape, or None for MediaPipe's.
    """

    kind: str
    path: Path
    spec: VariantSpec | None


def resolve(model: str) -> Model:
    """Returns what a model's name stands for: `MESH`, a Face Landmarker's file (.task), or what `zoo.lookup` finds.

    A run is meant in Keras; with `:int8` or `:float32` behind its name the file that it was exported to.

    Raises:
      ZooError: it is none of these.
    """
    if model == MESH:
        return Model("MediaPipe's mesh", teacher_file(finder.MESH), None)
    if model.endswith(TASK):
        return Model("MediaPipe's Face Landmarker", teacher_file(model), None)
    found = look_up(model)
    if found.kind == "run" and not found.precision:
        return Model("run", found.path, runs.read_configuration(found.path).spec)
    path = found.file()
    if found.kind == "published":
        return Model(f"published {found.precision or 'int8'}", path, get(found.name))
    return Model("file", path, _shape_in(path))


def _shape_in(file: Path) -> VariantSpec | None:
    """Returns the variant that a file's metadata names."""
    description = open_model(file).description
    return description and get(description.document["weights"]["variant"])


def landmarker(model: str, mirror: bool = False) -> Landmarker | Mesh | Mirrored:
    """Returns the landmarker of what `resolve` finds; `mirror` averages its points with those it finds in the mirror image."""
    found = resolve(model)
    if model == MESH or model.endswith(TASK):
        return Mesh(finder.MESH if model == MESH else model, mirror)
    find = _of_run(found.path) if found.kind == "run" else load(found.path)
    return Mirrored(find) if mirror else find


def _of_run(folder: Path) -> Landmarker:
    configuration = runs.read_configuration(folder)
    spec, arrays = configuration.spec, read_arrays(runs.weights_path(folder))
    if configuration.quantized:
        with terminal.without_stderr():
            from training.learning import qat
        parent = runs.run_folder(runs.read_facts(folder)["parent"])
        _, model = qat.build_quantized(spec, read_arrays(runs.weights_path(parent)))
        qat.set_quantized(model, arrays)
        to_input: Callable = qat.to_input
    else:
        with terminal.without_stderr():
            import keras
        model = build(spec, keras)
        from_arrays(model, arrays)
        to_input = np.float32
    middle = 0.5
    templates = tuple(middle + configuration.face_scale * (template - middle) for template in (LABEL_TEMPLATE, DETECTOR_TEMPLATE))
    uncertainty = runs.read_uncertainty(folder)

    def forward(crop: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_on_batch(to_input(crop[None])))[0]

    return Landmarker.of_maps(forward, spec.size, folder.name, templates, uncertainty)


@dataclass(frozen=True)
class Footprint:
    """Multiply-accumulates of a crop and bytes of the file; None where they are not known. `kind` is `Model`'s; a run has no SHA-256."""

    kind: str
    macs: int | None
    size_bytes: int
    sha256: str = ""

    def row(self) -> dict[str, Any]:
        """Returns the costs, and for each budget whether it is kept."""
        flop = None if self.macs is None else FLOP_PER_MAC * self.macs
        row: dict[str, Any] = {"what": self.kind, "MMAC": self.macs and round(self.macs / 1e6, 1), "MFLOP": flop and round(flop / 1e6, 1)}
        row["KB"] = round(kilobytes(self.size_bytes))
        for budget, (most_flop, most_bytes) in BUDGETS.items():
            kept = flop is not None and flop <= most_flop and self.size_bytes <= most_bytes
            row[budget] = None if flop is None else "kept" if kept else "exceeded"
        return row


def footprint(model: str) -> Footprint:
    """Returns what a model that `resolve` knows costs.

    A run has no file yet: its size is that of its parameters, at four bytes each, or at one if it is quantised.
    """
    found = resolve(model)
    cost = found.spec and count(found.spec)
    if found.kind != "run":
        return Footprint(found.kind, cost and cost.macs, found.path.stat().st_size, sha256(found.path))
    quantized = runs.read_configuration(found.path).quantized
    return Footprint("run, quantised" if quantized else "run, float", cost.macs, cost.parameters * (1 if quantized else 4))
