"""Where an int8 file loses against its float parent: the error of every layer's result, and how much of it the layer itself added."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.synthetic.faces import draw_face
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.runtime.graph import Graph, read_graph
from zoo.runtime.interpreter import open_model, read_model
from zoo.schemes import SCHEMES

FACES = 6  # drawn ones, where no crops are given


@dataclass(frozen=True)
class LayerError:
    """One layer. `error` is the root mean square of int8 less float over that of float; `added` what its inputs did not bring."""

    layer: str
    operator: str
    shape: tuple[int, ...]
    error: float
    added: float

    def row(self) -> dict[str, Any]:
        """Returns the layer as a row of a table, errors in %."""
        shape = " x ".join(map(str, self.shape[1:]))
        return {
            "layer": self.layer, "operator": self.operator, "result": shape, "error %": round(100 * self.error, 2),
            "added %": round(100 * self.added, 2),
        }  # fmt: skip


def layer_errors(int8: str | Path, floating: str | Path, crops: np.ndarray | None = None) -> list[LayerError]:
    """Returns the layers that both files have, those that add most error first.

    `added` takes the inputs' largest error off in squares, as if errors were independent; a layer that lessens what it got adds 0.
    The files' networks differ by the quantisation-aware training as well, which counts as error here.

    Args:
      int8: the path of an int8 file.
      floating: the path of the float32 file of the same variant.
      crops: (N, size, size, 3) uint8; aligned drawn faces if None.

    Raises:
      ZooError: a file is not of its kind, or they are of different variants.
    """
    paths = Path(int8), Path(floating)
    models = [open_model(path) for path in paths]
    for model, wanted in zip(models, ("int8", "float32"), strict=True):
        if model.input.dtype != wanted:
            raise ZooError(f"{model.path} takes {model.input.dtype}; for errors by layer {wanted} is expected")
    if (models[0].input.shape, models[0].output.shape) != (models[1].input.shape, models[1].output.shape):
        given = [f"{model.path} gives {list(model.output.shape)}" for model in models]
        raise ZooError(f"{' and '.join(given)}; files of one variant are expected")
    contents = [read_model(path) for path in paths]
    graphs = [read_graph(content) for content in contents]
    results = [_results(graph) for graph in graphs]
    shared = [layer for layer in results[0] if layer in results[1]]
    if len(shared) < len(results[0]) / 2:
        raise ZooError(f"{len(shared)} of the {len(results[0])} layers of {paths[0]} are in {paths[1]}; files of one variant are expected")
    crops = _drawn(models[0].input_size) if crops is None else crops
    squares = np.zeros((2, len(shared)))
    inside = [_Inside(content, model) for content, model in zip(contents, models, strict=True)]
    for crop in crops:
        for one in inside:
            one.run(crop)
        for index, layer in enumerate(shared):
            found, expected = (one.values(result[layer][1]) for one, result in zip(inside, results, strict=True))
            squares[:, index] += ((found - expected) ** 2).sum(), (expected**2).sum()
    errors = dict(zip(shared, np.sqrt(squares[0] / np.maximum(squares[1], np.finfo(float).tiny)), strict=True))
    made_by = {tensor: layer for layer, (_, tensor) in results[0].items()}
    rows = []
    for layer in shared:
        operator, tensor = results[0][layer]
        brought = max((errors.get(made_by.get(index, ""), 0.0) for index in graphs[0].operators[operator].inputs), default=0.0)
        added = float(np.sqrt(max(0.0, errors[layer] ** 2 - brought**2)))
        rows.append(LayerError(layer, graphs[0].operators[operator].name, graphs[0].tensors[tensor].shape, float(errors[layer]), added))
    return sorted(rows, key=lambda row: -row.added)


class _Inside:
    """An interpreter whose every tensor can be read after a run."""

    def __init__(self, content: bytes, model: Any):
        from ai_edge_litert import interpreter as litert

        self.model = model
        self.interpreter = litert.Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self.interpreter.allocate_tensors()
        self.details = {detail["index"]: detail for detail in self.interpreter.get_tensor_details()}

    def run(self, crop: np.ndarray) -> None:
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], self.model._store(crop)[np.newaxis])
        self.interpreter.invoke()

    def values(self, tensor: int) -> np.ndarray:
        """A tensor's real values, float64."""
        scale, zero_point = self.details[tensor]["quantization"]
        values = self.interpreter.get_tensor(tensor).astype(np.float64)
        return (values - zero_point) * scale if scale else values


def _results(graph: Graph) -> dict[str, tuple[int, int]]:
    """Returns each layer's operator and its result's tensor by the layer's name in Keras, without what quantisation put before it."""
    layers = {}
    for index, operator in enumerate(graph.operators):
        tensor = operator.outputs[0]
        layers["output" if tensor in graph.outputs else graph.tensors[tensor].layer] = index, tensor
    return layers


def _drawn(size: int) -> np.ndarray:
    faces = [draw_face(seed) for seed in range(FACES)]
    return np.stack([Alignment.from_five(SCHEMES["106"].five_points(face.points), size).crop(face.image) for face in faces])
