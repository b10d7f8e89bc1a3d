"""`python -m training data`: says what a source holds and what is wrong with it, and draws it on a contact sheet.

It asks every room, down to what a training sees of a source, and so stands above them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from training.data import checks
from training.data.contact_sheet import COLUMNS, ROWS, sheet
from training.data.sources import parse_source, read_all, split_name
from training.data.summary import describe
from training.evaluation.faces import samples
from training.learning.batches import make_batch, prepare
from training.learning.configuration import Configuration
from training.learning.loading import a_million, measure
from training.readers.formats import FORMATS
from training.readers.problems import Problems
from zoo import terminal
from zoo.errors import ZooError
from zoo.images import write_image
from zoo.machine import peak_mb
from zoo.overlay import draw_points
from zoo.variants import get

SHEETS = Path("out/sheets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    possible = "'synthetic' (the default), or PATH[@FORMAT][@SPLIT][@SUBSET]: a folder or file in any format of docs/sources.md"
    parser.add_argument("source", nargs="*", default=["synthetic"], metavar="PATH", help=f"{possible}; several are described in turn")
    parser.add_argument("--format", choices=tuple(FORMATS), help="read it so, whatever its layout looks like")
    parser.add_argument("--quick", action="store_true", help="do not open the pictures, only ask whether they are there")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--sheet", metavar="FILE", help=f"where the contact sheet goes (.png or .jpg; default {SHEETS}/NAME.png)")
    where.add_argument("--no-sheet", action="store_true", help="draw none")
    parser.add_argument("--benchmark", metavar="NAME", nargs="?", const="mixed-035-128",
                        help="instead, time the loader against a training of this variant (default %(const)s), and what a million such "
                        "faces would cost")  # fmt: skip
    parser.add_argument("--augmented", metavar="FILE", help="instead, draw a batch as a training sees it (.png or .jpg)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def main(args: argparse.Namespace) -> int:
    """Describes sources; a ZooError, and so an exit status of 1, where nothing usable is left."""
    if args.benchmark:
        return _benchmark(args)
    if args.augmented:
        print(f"wrote {write_image(args.augmented, augmented(args.source[0]))}")
        return 0
    if args.sheet and len(args.source) > 1:
        raise ZooError(f"--sheet names one file, received {len(args.source)} sources; leave it out to have one for each in {SHEETS}")
    described, empty = [], []
    for number, source in enumerate(args.source):
        try:
            earlier = sum(_sheet_name(other) == _sheet_name(source) for other in args.source[:number])
            summary, problems = _look_at(source, args, SHEETS / f"{_sheet_name(source)}{f'-{earlier + 1}' * bool(earlier)}.png")
        except ZooError as error:
            empty.append(str(error))
            if len(args.source) > 1:
                print(f"error: {error}", file=sys.stderr)
            continue
        described.append(summary | {"problems": problems.to_json()})
        if not args.json:
            print("\n" * (number > 0), end="")
            terminal.show([{"what": name, "found": _words(value)} for name, value in summary.items() if value is not None])
            for line in problems.lines():
                print(line)
        if not summary["usable"]:
            empty.append(f"source {source!r} holds no usable {'face' if summary['faces'] is not None else 'picture'}")
    if args.json:
        terminal.show(described, as_json=True)
    elif len(args.source) > 1:
        usable, peak = sum(summary["usable"] for summary in described), peak_mb() or 0
        print(f"{len(described)} of {len(args.source)} sources read, {usable} faces or pictures usable, peak memory {peak:.0f} MB")
    if len(empty) == len(args.source):
        raise ZooError(empty[0] if len(empty) == 1 else f"none of the {len(empty)} sources holds anything usable")
    return 0


def _look_at(given: str, args: argparse.Namespace, sheet_path: Path) -> tuple[dict[str, Any], Problems]:
    """Returns the summary of one source, its contact sheet drawn, and what is wrong with it."""
    path, words = split_name(given)
    name = "@".join([path, *([args.format] if args.format else []), *words])
    source = None if given == "synthetic" else parse_source(name)

    def faces(problems: Problems) -> Iterator[checks.Face]:
        if source is None:
            return iter(samples("synthetic"))
        return ((sample, None) for sample in read_all(source, problems))

    problems = Problems()
    stream = tqdm(faces(problems), desc=f"read {Path(given).name}", unit="face", leave=False)
    findings = checks.inspect(stream, problems, COLUMNS * ROWS, open_pictures=not args.quick)
    checks.duplicates(findings, lambda: faces(Problems()), problems)
    said = checks.convention(findings, source is not None and source.format.one_based)
    if said is not None:
        problems.add(said)
    summary = describe(name, source, findings, problems)
    if findings.kept and not args.no_sheet:
        summary["sheet"] = str(write_image(args.sheet or sheet_path, sheet(findings.kept)))
    return summary, problems


def _sheet_name(source: str) -> str:
    """Returns what a source's contact sheet is called; sources of one name in two folders are told apart by numbers."""
    return re.sub("[^A-Za-z0-9@._-]+", "_", Path(source).name) or "source"


def _benchmark(args: argparse.Namespace) -> int:
    get(args.benchmark)
    rows = [measure(args.benchmark, [(source, 1.0) for source in args.source])]
    million = [a_million(source) for source in args.source if source != "synthetic"]
    if args.json:
        terminal.show([rows[0] | {"a million": million}], as_json=True)
        return 0
    terminal.show(rows)
    if million:
        print()
        terminal.show(million)
    return 0


def augmented(name: str) -> np.ndarray:
    """Returns a sheet of crops as a training sees them, with the points its loss knows: jittered, turned in depth, recoloured, covered."""
    configuration = Configuration("mixed-100-192", batch=COLUMNS * ROWS, turn_chance=0.3)
    pack = prepare(name)
    batch = make_batch(configuration, [pack], [np.arange(len(pack))], 0)
    points = batch.targets[..., :2] * get(configuration.variant).stride
    points[batch.targets[..., 2] == 0] = np.nan
    tiles = [draw_points(crop, some) for crop, some in zip(batch.crops, points, strict=True)]
    return np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])


def _words(value: Any) -> Any:
    return ", ".join(f"{count} {name}" for name, count in value.items()) if isinstance(value, dict) else value
