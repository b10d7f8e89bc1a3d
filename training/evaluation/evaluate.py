"""`python -m training evaluate`: errors of runs, published weights and files on labelled pictures, from picture to points."""

from __future__ import annotations

import argparse

from training.evaluation import plots, report, sheet
from training.evaluation.faces import ALIGNMENTS, samples, with_noise
from training.evaluation.measure import Evaluation, evaluate
from training.evaluation.mesh import MESH
from training.evaluation.models import footprint, landmarker
from training.learning.configuration import Configuration
from zoo import terminal
from zoo.errors import ZooError
from zoo.files import write_whole
from zoo.images import write_image

__all__ = ["ALIGNMENTS", "Evaluation", "evaluate", "landmarker", "samples", "with_noise"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "models",
        nargs="+",
        metavar="NAME|RUN|FILE",
        help=f"published weights (name[.tag][:float32]), a run, a .tflite file, {MESH!r} for its face mesh, or a Face Landmarker's "
        "file (.task)",
    )
    parser.add_argument("--source", action="append", metavar="SET",
                        help="'synthetic' (default), a labels file, or a folder with images/ and landmarks.npz; repeatable")  # fmt: skip
    parser.add_argument("--align", choices=ALIGNMENTS, default="noisy",
                        help="five points: the labels' with the detector's noise (default), the detector's, the labels'")  # fmt: skip
    parser.add_argument("--held-out", action="store_true", help="only the people that trainings with the default --held-out never saw")
    parser.add_argument("--mirror", action="store_true", help="average every model's points with those it finds in the mirror image")
    parser.add_argument("--csv", metavar="FILE", help="write the errors of every face")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the cumulative error curves of all models")
    parser.add_argument("--worst", metavar="FILE.png", help=f"draw each model's {report.WORST} worst faces, and list them")
    parser.add_argument("--page", metavar="FILE.md", help="write the tables as a page, with what they were measured by")
    parser.add_argument("--json", action="store_true", help="print everything for programs: a record for each model and source")


def main(args: argparse.Namespace) -> int:
    """Prints the tables, and writes what was asked for."""
    for path in filter(None, (args.plot, args.worst)):
        plots.check_png(path)
    twice = [name for given in (args.models, args.source or []) for name in given if given.count(name) > 1]
    if twice:
        raise ZooError(f"{twice[0]!r} is given {(args.models + (args.source or [])).count(twice[0])} times; once is enough")
    sources = {name: samples(name, Configuration("").held_out if args.held_out else None) for name in args.source or ["synthetic"]}
    results, costs = [], {}
    for model in args.models:
        find, costs[model] = landmarker(model, args.mirror), footprint(model)
        results += [evaluate(find, faces, name, model, args.align) for name, faces in sources.items()]
    written = []
    if args.page:
        written.append(write_whole(args.page, report.page(results, costs, args.mirror)))
    if args.csv:
        written.append(write_whole(args.csv, report.csv_text(results)))
    if args.plot:
        written.append(plots.save(plots.cumulative_plot(results), args.plot))
    if args.worst:
        written.append(write_image(args.worst, sheet.worst_sheet([(result, sources[result.source]) for result in results])))
    if args.json:
        terminal.show(report.records(results, costs), as_json=True)
        return 0
    found = report.tables(results, costs)
    if args.worst:
        found["Worst faces"] = [row for result in results for row in report.worst_rows(result)]
    for title, rows in found.items():
        print(f"{title}:")
        terminal.show(rows)
        print()
    print(report.CAPTION)
    for path in written:
        print(f"wrote {path}")
    return 0
