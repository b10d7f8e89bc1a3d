"""`python -m tflite export`: a run's network as .tflite files, batch 1, builtin operators only."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite.export.audit import PRECISIONS
from tflite.export.decoder import with_decoder
from tflite.export.folding import without_normalisation
from training.learning import lineage, runs
from zoo import cards, terminal
from zoo.errors import ZooError
from zoo.files import write_whole
from zoo.lookup import Found, look_up
from zoo.nets import build
from zoo.nets.weights import read_arrays
from zoo.runtime.graph import without_denormals
from zoo.runtime.inspection import endpoints
from zoo.runtime.interpreter import open_interpreter, open_model, read_model
from zoo.runtime.metadata import Weights, describe, uncertainty_of, without_metadata
from zoo.uncertainty import Uncertainty
from zoo.variants import VariantSpec, get

FLOATS = PRECISIONS[:2]
OUTPUTS = ("maps", "points")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "run",
        metavar="RUN|NAME|FILE",
        help="a run's name or folder: a float run gives float files, a quantisation-aware one all; published weights (mixed-035-128), "
        "for float files of any precision; or a file that gives maps, to decode",
    )
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, help="what to write (default: all the run allows)")
    parser.add_argument(
        "--output",
        nargs="+",
        choices=OUTPUTS,
        help="what the files give: heat maps, or points with the decoder in the graph, as PRECISION-points.tflite (default: maps of a run)",
    )
    parser.add_argument("--out", help="folder for the files (default: the run's or the file's own; out/NAME of published weights)")
    parser.add_argument("--json", action="store_true", help="print the rows for programs")


def main(args: argparse.Namespace) -> int:
    """Writes the files and prints their sizes."""
    if args.run.endswith(".tflite"):
        if args.precision or args.output not in (None, ["points"]):
            raise ZooError(f"{args.run} is a file: --output points is possible, and no --precision")
        source = Path(args.run)
        rows = [decoded(source, (Path(args.out) if args.out else source.parent) / f"{source.stem}-points.tflite")]
    else:
        rows = _exported(look_up(args.run), args)
    terminal.show(rows, args.json)
    return 0


def _exported(found: Found, args: argparse.Namespace) -> list[dict[str, Any]]:
    outputs = args.output or OUTPUTS[:1]
    if found.kind == "published":
        return export_published(found.name, Path(args.out or Path("out") / found.name), args.precision or FLOATS, outputs)
    runs.weights_path(found.path)  # what a user may have got wrong comes before the slow import
    if early := runs.stopped_early(found.path):
        print(f"warning: {early}; its files are of the weights it had then", file=sys.stderr)
    _import_tensorflow()
    return export(found.path, Path(args.out) if args.out else found.path, args.precision, outputs)


def _import_tensorflow() -> None:
    with terminal.without_stderr():
        import tensorflow  # noqa: F401 - its first import writes a dozen lines


def export_published(name: str, out: Path, precisions: Sequence[str] = FLOATS, outputs: Sequence[str] = ("maps",)) -> list[dict[str, Any]]:
    """Writes float files of published weights, made from their `float.npz`, into `out`; returns a row for each.

    Args:
      name: of published weights, `variant.tag`.
      precisions: "float32" or "float16"; an int8 file needs training and is published as it is.
      outputs: as for `export`.

    Raises:
      ZooError: int8 is asked for.
    """
    if "int8" in precisions:
        raise ZooError(f"{name} is published in int8: {cards.weights_folder(name) / 'int8.tflite'}; possible here: {', '.join(FLOATS)}")
    _import_tensorflow()
    card = cards.read_card(name)
    spec, arrays = get(card["variant"]), read_arrays(cards.weights_folder(name) / "float.npz")
    weights = Weights(name, card["tag"], card["date"], card["data"], card.get("ancestors", ()))
    shipped = cards.weights_folder(name) / cards.FILES["float32"]
    fitted = uncertainty_of(read_model(shipped), shipped) if shipped.is_file() else None
    made = [(precision, float_file(spec, arrays, precision)) for precision in precisions]
    return [row for precision, content in made for row in _outputs(content, precision, outputs, out, spec, weights, fitted)]


def export(
    folder: Path,
    out: Path,
    precisions: Sequence[str] | None = None,
    outputs: Sequence[str] = ("maps",),
    sources: Sequence[Mapping[str, Any]] | None = None,
    float_weights: Path | None = None,
    name: str | None = None,
) -> list[dict[str, Any]]:
    """Writes a run's files, with their metadata, into `out`; returns a row for each.

    Args:
      folder: of a float run (float32 and float16 files), or of a quantisation-aware one (int8 beside its float parent's files).
      precisions: among `PRECISIONS`; all the run allows if None.
      outputs: among `OUTPUTS`; "points" files are called PRECISION-points.tflite.
      sources: what the metadata says of the training sources (see `zoo.runtime.metadata.Weights`); their names and counts alone if None.
      float_weights: a file of the float run's weights, to make the float files of instead of the run's own.
      name: what the metadata calls the weights, `variant.tag` where they are about to be published; `runs/NAME` if None.

    Raises:
      ZooError: int8 is asked of a float run, the run has no weights yet, or its faces have a size in the crop that is not the files'.
    """
    configuration = runs.read_configuration(folder)
    spec = get(configuration.variant)
    if configuration.spec != spec or configuration.face_scale != 1:
        raise ZooError(f"{folder.name} is of a study: its network or its crop is not {spec.name}'s, which a file would say it is")
    ancestors = lineage.of_run(folder)
    lineage.check_ancestors(ancestors, configuration.tag)
    parent = runs.run_folder(runs.read_facts(folder)["parent"]) if configuration.quantized else folder
    possible = PRECISIONS if configuration.quantized else FLOATS
    if sources is None:
        sources = [{"source": Path(entry["source"]).stem, "faces": entry["faces"]} for entry in runs.read_facts(folder)["data"]]
    known = lineage.recorded(ancestors)["ancestors"]
    weights = Weights(name or f"runs/{folder.name}", configuration.tag, datetime.date.today().isoformat(), sources, known)
    rows = []
    for precision in precisions or possible:
        if precision not in possible:
            raise ZooError(f"{folder.name} is a float run: quantize it for int8; possible: {', '.join(possible)}")
        if precision == "int8":
            content = int8_file(spec, folder)
        else:
            content = float_file(spec, read_arrays(float_weights or runs.weights_path(parent)), precision)
        fitted = runs.read_uncertainty(folder if precision == "int8" else parent)
        rows += _outputs(content, precision, outputs, out, spec, weights, fitted)
    return rows


def _outputs(
    content: bytes,
    precision: str,
    outputs: Sequence[str],
    out: Path,
    spec: VariantSpec,
    weights: Weights,
    uncertainty: Uncertainty | None,
) -> list[dict[str, Any]]:
    rows = []
    for output in outputs:
        graph, suffix = (with_decoder(content), "-points") if output == "points" else (content, "")
        rows.append(_written(out / f"{precision}{suffix}.tflite", described(graph, spec, weights, uncertainty), precision, output))
    return rows


def decoded(source: Path, target: Path) -> dict[str, Any]:
    """Writes a file that gives points instead of maps, from one that says what it is; returns its row.

    Raises:
      ZooError: the source carries no metadata, or gives points already.
    """
    content = read_model(source)
    model = open_model(source)
    if model.description is None:
        raise without_metadata(source)
    said = model.description.document["weights"]
    ancestors = [{**one, "sources": [{"source": source} for source in one["sources"]]} for one in said.get("ancestors", ())]
    weights = Weights(said["name"], said["tag"], said["version"], said["sources"], ancestors, said.get("credits", {}))
    return _written(
        target, described(with_decoder(content), get(said["variant"]), weights, model.description.uncertainty), model.precision, "points"
    )


def _written(path: Path, content: bytes, precision: str, output: str) -> dict[str, Any]:
    write_whole(path, content)
    return {"file": str(path), "precision": precision, "output": output, "bytes": len(content)}


def described(content: bytes, spec: VariantSpec, weights: Weights, uncertainty: Uncertainty | None = None) -> bytes:
    """Returns a variant's .tflite file with its metadata, in the place of what it had; how its spreads are read stays, if not given."""
    path = Path(weights.name)
    inputs, outputs = endpoints(open_interpreter(content, path, xnnpack=False))
    return describe(content, spec, weights, inputs, outputs, uncertainty or uncertainty_of(content, path))


def float_file(spec: VariantSpec, arrays: dict[str, np.ndarray], precision: str = "float32") -> bytes:
    """Returns a float .tflite: input float32 RGB values 0..255, output float32 maps. Its constants do not depend on the processor.

    Args:
      arrays: the float network's weights, keyed `layer/variable`.
      precision: "float32", "float16" to store the weights in half the bytes, or "dynamic range" to store them in int8 while activations
        stay float or are quantised afresh at every call.
    """
    import tensorflow as tf

    converter = _converter(_network(spec, arrays), spec)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return _converted(converter)


def int8_file(spec: VariantSpec, folder: Path) -> bytes:
    """Returns the int8 .tflite of a quantisation-aware run: int8 in (uint8 - 128) and out."""
    import tf_keras

    from training.learning import qat

    tf_keras.backend.clear_session()
    parent = runs.run_folder(runs.read_facts(folder)["parent"])
    with terminal.without_stderr():
        _, quantized = qat.build_quantized(spec, read_arrays(runs.weights_path(parent)))
    qat.set_quantized(quantized, read_arrays(runs.weights_path(folder)))
    return int8_content(quantized, spec)


def int8_content(quantized: Any, spec: VariantSpec) -> bytes:
    """Returns the int8 .tflite of a quantisation-aware network with its ranges pinned."""
    import tensorflow as tf

    from training.learning import qat

    qat.freeze_ranges(quantized)
    converter = _converter(quantized, spec)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _converted(converter)


def post_training_file(spec: VariantSpec, arrays: dict[str, np.ndarray], crops: np.ndarray) -> bytes:
    """Returns an int8 file quantised after training: kernels by channel, activations by the ranges that some crops span.

    Args:
      spec: a row of the registry.
      arrays: the float network's weights, keyed `layer/variable`.
      crops: (N, size, size, 3) uint8, the representative set.
    """
    import tensorflow as tf

    # One black and one white pixel pin the input's range, so that a stored value is pixel - 128 as in every int8 file here.
    pinned = crops.copy()
    pinned[0, 0, 0], pinned[0, 0, 1] = 0, 255
    converter = _converter(_network(spec, arrays, scale_input=False), spec)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([crop[None].astype(np.float32) / 128 - 1] for crop in pinned)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _converted(converter)


def _converted(converter: Any) -> bytes:
    """Returns what a converter makes; what TensorFlow says on the way, which no setting switches off, is kept back."""
    with terminal.without_stderr():
        return without_denormals(converter.convert())


def _network(spec: VariantSpec, arrays: dict[str, np.ndarray], scale_input: bool = True) -> Any:
    import tf_keras

    tf_keras.backend.clear_session()
    with terminal.without_stderr():  # the first operation lists the devices
        return without_normalisation(build(spec, tf_keras, batch_size=1, scale_input=scale_input), tf_keras, arrays)


def _converter(model: Any, spec: VariantSpec) -> Any:
    """Returns a converter over the model frozen at batch 1: with a free batch no deconvolution is delegated."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    call = tf.function(lambda crop: model(crop, training=False))
    with terminal.without_stderr():
        function = call.get_concrete_function(tf.TensorSpec((1, spec.size, spec.size, 3), tf.float32, "crop"))
        frozen = convert_variables_to_constants_v2(function)
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())
