"""`python -m training calibrate`: fits how spreads are read as sigmas and visibilities, and says what these are worth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.evaluation import fitting, plots, sureness
from training.evaluation.faces import Face, samples
from training.evaluation.models import landmarker, resolve
from training.evaluation.readings import Readings, meshes_of, plain_crops, read
from training.learning import runs
from zoo import terminal
from zoo.errors import ZooError
from zoo.files import write_json, write_whole
from zoo.landmarker import Landmarker
from zoo.runtime.interpreter import STRIDE, read_model
from zoo.runtime.metadata import with_uncertainty
from zoo.uncertainty import Uncertainty


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "models", nargs="+", metavar="FILE|RUN|NAME", help="a .tflite file or a run, to fit; with --check, published weights too"
    )
    parser.add_argument("--source", action="append", metavar="SET", help="labelled faces to fit on (may be repeated; default: synthetic)")
    parser.add_argument("--meshes", action="append", type=Path, metavar="LABELS.npz",
                        help="meshes of these faces, by `python -m training label`: with them they are turned in depth too")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="fit nothing and write nothing: say what the sigmas in the file are worth")
    parser.add_argument("--plot", metavar="FILE.png", help="draw claimed against real errors")
    parser.add_argument("--json", action="store_true", help="print the figures for programs")


def main(args: argparse.Namespace) -> int:
    """Fits, writes, and prints the figures: of a new fit those of faces that it was not fitted on."""
    if args.plot:
        plots.check_png(args.plot)
    places = {model: resolve(model) for model in args.models}
    for model, found in places.items():
        if not args.check and found.kind not in ("file", "run"):
            raise ZooError(f"{model!r} is {found.kind}: a .tflite file or a run is calibrated; --check measures what there is")
    faces = {source: samples(source) for source in args.source or ["synthetic"]}
    meshes = meshes_of(args.meshes or [])
    rows, curves = [], {}
    for model, found in places.items():
        find = landmarker(model)
        if not isinstance(find, Landmarker):
            raise ZooError(f"{model} gives no heat maps: there is nothing to read")
        readings = all_readings(find, faces, meshes)
        if args.check:
            pairs: sureness.Pairs = [(one, find.uncertainty) for one in readings]
        else:
            pairs = fitting.cross_fitted(readings, STRIDE)
            _write(found.path, fitting.fit(readings, STRIDE))
        rows += [{"model": model} | row for row in sureness.figures(pairs)]
        curves[model] = sureness.reliability(pairs)
    terminal.show({"figures": rows, "reliability": curves} if args.json else rows, args.json)
    if args.plot:
        plots.save(sureness.reliability_plot(curves), args.plot)
    if not args.json:
        print(sureness.CAPTION)
    return 0


def all_readings(find: Landmarker, faces: dict[str, Sequence[Face]], meshes: dict[str, Any]) -> list[Readings]:
    """Returns a model's readings of all sets (name: faces), and of crops of one colour and of noise."""
    return [*(one for source, some in faces.items() for one in read(find, source, some, meshes)), plain_crops(find)]


def _write(path: Path, uncertainty: Uncertainty) -> None:
    """Puts an uncertainty into a file's metadata, or beside a run's weights, whence exported files take it."""
    if path.is_dir():
        write_json(path / runs.UNCERTAINTY, uncertainty.to_json())
    else:
        write_whole(path, with_uncertainty(read_model(path), path, uncertainty))
