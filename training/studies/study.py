"""`python -m training study`: answers one of the paper's questions with our own numbers, and writes table, plot and finding."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

from training.data.provenance import check_tag
from training.evaluation.faces import ALIGNMENTS, measurable, samples
from training.evaluation.models import resolve
from training.learning.configuration import Configuration, StudyConfiguration
from training.learning.fit import parse_sources
from training.studies import outcome
from training.studies.options import Options
from zoo import terminal
from zoo.errors import ZooError
from zoo.variants import TAGS, get

# Minutes of training unless --budget says otherwise, for the studies that train arms.
TRAINING_STUDIES = {"heads": 10.0, "sensitivity": 0.0, "tricks": 10.0}
STUDIES = {
    "heads": "what deconvolution, pixel shuffle and their mixture cost and reach",
    "sensitivity": "to rotation, displacement and scale of the alignment",
    "tricks": "what is lost by leaving out one at a time",
    "video": "how steady, how late and how fast the points are on moving pictures",
    "recognition": "whether better landmarks make better face recognition",
    "detection": "how many faces are found, which way up and how small, and in what time",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments: each study has its own."""
    studies = parser.add_subparsers(dest="study", required=True, metavar="STUDY")
    for name, meaning in STUDIES.items():
        sub = studies.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
        if name in TRAINING_STUDIES:
            _add_training_arguments(sub)
        else:
            _module(name).add_arguments(sub)
        sub.add_argument("--out", metavar="FOLDER", help="where to write (default: docs/studies/NAME)")
        sub.add_argument("--json", action="store_true", help="print the finding and the tables for programs")


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"training.studies.{name}")


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    default = Configuration("")
    parser.add_argument("--source", default="synthetic", metavar="SET",
                        help="measure on 'synthetic' (the default), a labels file, or a folder with images/ and landmarks.npz")  # fmt: skip
    parser.add_argument("--held-out", action="store_true", help="measure only on people that the arms never saw")
    parser.add_argument("--align", choices=ALIGNMENTS, default="noisy", help="whence the five points come (heads, tricks)")
    parser.add_argument("--weights", action="append", metavar="NAME|RUN|FILE|TAG",
                        help="measure these; for heads a tag (open, research) stands for the published three; repeatable")  # fmt: skip
    defaults = ", ".join(f"{name} {minutes:g}" for name, minutes in TRAINING_STUDIES.items())
    parser.add_argument(
        "--budget", type=float, metavar="MINUTES", help=f"of training, all arms together (default: {defaults}; with --weights 0)"
    )
    parser.add_argument("--steps", type=int, help="of each arm, instead of a budget")
    parser.add_argument("--arms", nargs="+", default=[], metavar="ARM", help="train only these and the reference")
    parser.add_argument("--train", action="append", metavar="SET[:weight]", help="train the arms on this (default: synthetic); repeatable")
    parser.add_argument("--tag", default=default.tag, choices=TAGS, help="what the training data allow (default %(default)s)")
    parser.add_argument(
        "--variant", default="mixed-035-128", metavar="NAME", help="of the arms; for heads, the alpha and size (%(default)s)"
    )
    parser.add_argument(
        "--init", default="", help="start of all arms: 'imagenet', a local .npz, published weights or a run (default: none)"
    )
    parser.add_argument("--batch", type=int, default=default.batch, help="crops a step (default %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="of weights, batches and noise (default %(default)s)")
    parser.add_argument(
        "--latency", metavar="FILE", help="heads: JSON of `python -m tflite benchmark ... --json` (default: the cards' times)"
    )
    parser.add_argument("--unadapted", metavar="FOLDER", help="tricks: the same labels files before an adapter bent them")
    parser.add_argument("--blended", metavar="FOLDER", help="tricks: the same labels files averaged with what a network finds")


def main(args: argparse.Namespace) -> int:
    """Runs a study, prints its tables and its finding, and says where the rest is."""
    given = read_options(args) if args.study in TRAINING_STUDIES else args
    found = _module(args.study).run(given)
    written = outcome.write(found, Path(args.out) if args.out else outcome.STUDIES / args.study)
    if not args.out:
        outcome.write_readme()
    if args.json:
        terminal.show({"finding": found.finding, "conditions": found.conditions, "tables": found.tables}, as_json=True)
        return 0
    for title, rows in found.tables.items():
        print(f"{title}:")
        terminal.show(rows)
        print()
    print("\n".join(found.finding))
    print(f"wrote {', '.join(path.name for path in written)} to {written[0].parent}")
    return 0


def read_options(args: argparse.Namespace) -> Options:
    """Returns what the arguments ask for; what a user may have got wrong is said before anything is trained."""
    get(args.variant)
    if args.budget is not None and args.budget < 0:
        raise ZooError(f"--budget must be 0 minutes or more, received {args.budget:g}")
    if args.steps is not None and args.steps < 1:
        raise ZooError(f"--steps must be at least 1, received {args.steps}")
    sources = parse_sources(args.train)
    check_tag(sources, args.tag)
    budget = args.budget if args.budget is not None else 0.0 if args.weights else TRAINING_STUDIES[args.study]
    trains, trained_on = bool(args.steps or budget), {name for name, _ in sources}
    if trains and args.source in trained_on - {"synthetic"} and not args.held_out:
        raise ZooError(f"source {args.source!r} is trained on: measure on another one, or on its people kept from training (--held-out)")
    for name in args.weights or []:
        if not (args.study == "heads" and name in TAGS):
            resolve(name)
    for path in filter(None, (args.latency, args.unadapted, args.blended)):
        if not Path(path).exists():
            raise ZooError(f"there is no file or folder {path!r}")
    # Arms have targets of one cell, so that they stay comparable; `tricks` showed narrower ones, now the default, to be better.
    base = StudyConfiguration(args.variant, args.tag, sources, batch=args.batch, init=args.init, seed=args.seed, sigma_cells=1.0)
    faces = measurable(samples(args.source, base.held_out if args.held_out else None))
    latency, unadapted, blended = (Path(path) if path else None for path in (args.latency, args.unadapted, args.blended))
    return Options(
        base, args.source, faces, args.align, tuple(args.weights or ()), budget, args.steps, tuple(args.arms), latency, unadapted, blended
    )
