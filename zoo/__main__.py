"""`python -m zoo`: the variants there are, what they cost and reach, and landmarks for pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from zoo import cards, predict, video
from zoo.costs import count
from zoo.detector import DEFAULT_RANGE, RANGES, SEARCHES
from zoo.detector_files import VARIABLE, use_detector
from zoo.errors import ZooError
from zoo.schemes import SCHEMES
from zoo.terminal import format_table, run, show
from zoo.variants import TAGS, VariantSpec, split_tag

DEFAULT_VARIANT = "mixed-035-128"
_PROGRAM = "landmark-zoo" if Path(sys.argv[0]).stem == "landmark-zoo" else "python -m zoo"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit status: 0, or 1 if a picture failed; a wrong command line exits with 2."""
    arguments = _parser().parse_args(argv)
    if getattr(arguments, "detector", None):
        use_detector(arguments.detector)
    try:
        return arguments.verb(arguments) or 0
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise ZooError("videos need PyAV, which is not installed: pip install 'landmark-zoo[video]'") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__.split(": ", 1)[1].capitalize())
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verb = _add(verbs, "list", _list, "all variants: input, grid, parameters, multiply-accumulates, published weights")
    verb = _add(verbs, "show", _show, "one variant: its stages, laterals and costs, and the figures of its weights")
    verb.add_argument("name", metavar="NAME", help="a variant, or variant.tag for one set of weights")

    verb = _add(
        verbs,
        "predict",
        _predict,
        "landmarks of all faces in pictures and folders",
        epilog=f"Coordinates are {predict.CONVENTION}. Folders are searched to their depth. The exit status is 1 if a picture failed; "
        "a picture without a face is counted, but has not failed.",
        as_json=False,
    )
    verb.add_argument("images", nargs="*", metavar="IMAGE", help="picture files and folders")
    _add_network(verb)
    verb.add_argument("--five", type=_five, metavar="X,Y,...", help="five points of the face in the one picture given, instead of the "
                      "detector: left eye, right eye (left as seen), nose tip, left and right mouth corner, in pixels")  # fmt: skip
    verb.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="folder for the overlays (default: %(default)s)")
    verb.add_argument("--no-overlays", action="store_true", help="write no overlays")
    verb.add_argument(
        "--min-score", type=_share, default=0.5, metavar="S", help="faces the detector is less sure of are left out (default: %(default)s)"
    )
    verb.add_argument(
        "--search",
        choices=list(SEARCHES),
        default="thorough",
        help="for faces: fast finds those of 5 %% of the picture's longer side and more, thorough smaller ones too (default: %(default)s)",
    )
    form = verb.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print boxes, points and scores as JSON")
    form.add_argument("--csv", action="store_true", help="print boxes, points and scores as CSV, a row per point")

    text = "faces followed through a video file or before a camera"
    verb = _add(
        verbs, "video", video.main, text, epilog=f"Coordinates are {predict.CONVENTION}. Ctrl-C leaves a playable video.", as_json=False
    )
    video.add_arguments(verb)
    _add_network(verb)

    _add(verbs, "table", _table, "all published weights: accuracy, size and speed")
    return parser


def _add_network(verb: argparse.ArgumentParser) -> None:
    """Declares what every verb that runs a network has."""
    verb.add_argument(
        "--variant",
        default=DEFAULT_VARIANT,
        metavar="NAME|RUN|FILE",
        help="variant, variant.tag, a run that was exported, or a .tflite file (default: %(default)s)",
    )
    verb.add_argument(
        "--precision", choices=list(cards.FILES), default="int8", help="in which published weights compute (default: %(default)s)"
    )
    verb.add_argument("--scheme", choices=list(SCHEMES), default="106", help="number of points (default: %(default)s)")
    verb.add_argument("--threads", type=_positive, default=1, metavar="N", help="of the interpreter (default: %(default)s)")
    verb.add_argument("--detector", metavar="PATH", help="a folder or a .task file with the face detector's networks (default: the folder "
                      f"or file that {VARIABLE} names, else an installed package's)")  # fmt: skip
    verb.add_argument("--range", choices=RANGES, default=DEFAULT_RANGE, help="of the face detector (default: %(default)s)")


def _add(verbs: Any, name: str, function: Any, text: str, epilog: str | None = None, as_json: bool = True) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog)
    verb.set_defaults(verb=function)
    if as_json:
        verb.add_argument("--json", action="store_true", help="print JSON")
    return verb


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on is needed, received {text!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"a number above 0 and at most 1 is needed, received {text!r}")
    return value


def _five(text: str) -> np.ndarray:
    try:
        return np.array([float(value) for value in text.replace(",", " ").split()]).reshape(5, 2)
    except ValueError:
        raise argparse.ArgumentTypeError(f"ten numbers x,y,x,y,... are needed, received {text!r}") from None


def _tags(spec: VariantSpec) -> list[str]:
    return [name.partition(".")[2] for name in cards.published() if name.startswith(f"{spec.name}.")]


def _list(arguments: argparse.Namespace) -> None:
    rows = []
    for spec in map(zoo.get, zoo.names()):
        cost = count(spec)
        row = {"name": spec.name, "input": spec.size, "grid": spec.grid, "points": spec.points}
        if arguments.json:
            row |= {"parameters": cost.parameters, "macs": cost.macs, "weights": _tags(spec)}
        else:
            row |= {"params (M)": cost.parameters / 1e6, "MACs (M)": cost.macs / 1e6, "weights": ", ".join(_tags(spec)) or None}
        rows.append(row)
    show(rows, arguments.json)


def _show(arguments: argparse.Namespace) -> None:
    name, tag = split_tag(arguments.name)
    spec, tags = zoo.get(name), [tag] if "." in arguments.name else list(TAGS)
    cost = count(spec)
    record = {
        "name": spec.name,
        "head": spec.head,
        "alpha": spec.alpha,
        "input": spec.size,
        "grid": spec.grid,
        "stride": spec.stride,
        "points": spec.points,
        "stages": [f"{stage.kind} {stage.width}" for stage in spec.stages],
        "laterals": [lateral or "none" for lateral in spec.laterals],
        "parameters": cost.parameters,
        "macs": cost.macs,
    }
    found = {f"{name}.{tag}": cards.read_card(f"{name}.{tag}") for tag in tags}
    found = {weights: card for weights, card in found.items() if card is not None}
    if arguments.json:
        show([record | {"weights": found}], True)
        return
    rows = [{"field": key, "value": f"{value:,}" if key in ("parameters", "macs") else value} for key, value in record.items()]
    print(format_table(rows))
    for weights, card in found.items():
        figures = [{"field": key, "value": value} for key, value in _flat(card)]
        print(f"\nweights {weights}\n{format_table(figures)}")
    if not found:
        print(f"\nweights {' or '.join(f'{name}.{tag}' for tag in tags)}: none are published")


def _flat(value: Any, key: str = "") -> list[tuple[str, Any]]:
    """Returns the leaves of nested dictionaries by their dotted keys; lists of dictionaries and long lists are counted."""
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in _flat(inner, f"{key}.{name}" if key else str(name))]
    if isinstance(value, list) and (len(value) > 8 or any(isinstance(item, dict | list) for item in value)):
        return [(key, f"({len(value)} entries)")]
    return [(key, value)]


def _table(arguments: argparse.Namespace) -> None:
    rows = cards.table_rows()
    if not rows and not arguments.json:
        print("no weights are published")
        return
    show(rows, arguments.json)


def _predict(arguments: argparse.Namespace) -> int:
    if not arguments.images:
        print(f"error: no picture given; name pictures or folders, as in: {_PROGRAM} predict photo.jpg album/", file=sys.stderr)
        return 2
    # Tqdm is imported here so that `list` and `show` need not wait for it.
    from tqdm import tqdm

    out = None if arguments.no_overlays else arguments.out
    find = zoo.load(arguments.variant, arguments.precision, threads=arguments.threads)
    images, failed = predict.collect(arguments.images, out)
    if arguments.five is not None and len(images) + len(failed) != 1:
        raise ZooError(f"--five gives the points of one picture's face; {len(images) + len(failed)} pictures are named")
    how = {"range": arguments.range, "min_score": arguments.min_score, "search": arguments.search, "five": arguments.five}
    jobs = predict.predict(images, find, out, scheme=arguments.scheme, **how)
    results = list(tqdm(jobs, total=len(images), unit="picture", file=sys.stderr, disable=None, leave=False)) + failed
    if arguments.json:
        about = {"variant": find.name, "detector_range": arguments.range, "search": arguments.search}
        print(json.dumps(predict.as_json(results, arguments.scheme, find.uncertainty.fitted_on, **about), indent=1, ensure_ascii=False))
    elif arguments.csv:
        print(predict.as_csv(results, arguments.scheme), end="")
    else:
        show(predict.table_rows(results))
    failures = [result for result in results if result.reason]
    print(predict.summary(results), file=sys.stderr)
    for result in failures:
        named = str(result.path) in result.reason
        print(f"failed: {result.reason}" if named else f"failed: {result.path}: {result.reason}", file=sys.stderr)
    return 1 if failures else 0


def command() -> int:
    """The command `landmark-zoo`, which a package that is installed brings along: the same as `python -m zoo`."""
    return run(main)


if __name__ == "__main__":
    sys.exit(command())
