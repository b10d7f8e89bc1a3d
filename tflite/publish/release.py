"""`python -m tflite publish`: lets a quantised run's files in among the weights if they pass the gates, with their card."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite.export import audit as audits
from tflite.export import convert as exports
from tflite.measure import benchmark as benchmarks
from tflite.publish import model_cards
from tflite.publish.card_accuracy import measured
from tflite.publish.card_sureness import calibrated
from training.data.provenance import described
from training.learning import lineage, runs
from training.learning.configuration import to_json
from training.synthetic.faces import draw_face
from zoo import cards, terminal
from zoo.alignment import Alignment
from zoo.costs import count
from zoo.errors import ZooError
from zoo.files import claimed, read_npz, replacing_folder, sha256, write_json, write_whole
from zoo.landmarker import Landmarker
from zoo.lookup import published_name
from zoo.nets.weights import write_published
from zoo.runtime.interpreter import open_model, read_model
from zoo.runtime.metadata import Weights
from zoo.schemes import SCHEMES
from zoo.variants import get

# An int8 file may be this much worse than its float parent, relatively, on every set it is measured on.
MAX_LOSS = 0.03
_GOLDEN_SIDE = 160  # px of the golden picture, which is most of what the golden tensors weigh


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", help="a quantisation-aware run")
    parser.add_argument("--name", metavar="VARIANT.TAG", help="publish the run under this name, of its own variant and tag")
    parser.add_argument("--replace", action="store_true", help="publish it in the place of what is published under the name")
    parser.add_argument(
        "--source", action="append", metavar="SET", help="measure on this labelled set (may be repeated; default: synthetic)"
    )
    parser.add_argument(
        "--held-out", action="append", metavar="SET", help="measure on this set's people kept from training (may be repeated)"
    )
    parser.add_argument("--meshes", action="append", type=Path, metavar="LABELS.npz",
                        help="meshes of the sets' faces, by `python -m training label`, to turn them in depth where uncertainties are "
                        "fitted and measured (may be repeated)")  # fmt: skip
    parser.add_argument("--peer", metavar="FILE.task", help="measure MediaPipe's Face Landmarker, too, from this file")
    parser.add_argument("--rounds", type=int, default=40, help="of the benchmark (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="measure and judge, but publish nothing")
    parser.add_argument(
        "--refresh", action="append", metavar="NAME", help="only write the metadata of these published weights anew from their card"
    )
    parser.add_argument(
        "--again",
        action="append",
        metavar="NAME",
        help="measure these published weights anew, on --source and this machine, with their float file made anew",
    )
    parser.add_argument(
        "--times", action="append", metavar="NAME", help="only time these published weights again, on this machine, which should be idle"
    )
    parser.add_argument("--readme", action="store_true", help="only write the README's table anew from the cards")


def main(args: argparse.Namespace) -> int:
    """Measures, judges, publishes; prints the card's figures."""
    for path in filter(None, (args.peer, *(args.meshes or []))):  # a slip is told before minutes of measuring, not behind them
        if not Path(path).is_file():
            raise ZooError(f"there is no file {str(path)!r}")
    for name in args.refresh or []:
        print(f"wrote the metadata of {refresh(name)} anew")
    for name in args.again or []:
        print(f"measured {measure_again(name, args.source or ['synthetic'], args.rounds, args.peer, args.meshes or [])} anew")
    for name in args.times or []:
        print(f"timed {time_again(name, args.rounds)} again")
    if args.readme or args.refresh or args.again or args.times:
        print(f"wrote {model_cards.write_readme_table()}")
        return 0
    if not args.run:
        raise ZooError("name the quantisation-aware run to publish")
    folder = runs.run_folder(args.run)
    name = checked_name(folder, args.name, args.replace, args.check)
    for run in (folder, runs.run_folder(runs.read_facts(folder).get("parent", ""))):
        if early := runs.stopped_early(run):
            raise ZooError(f"{early}: train it to its end first (--resume {run.name}), then publish")
    with _alone(name), tempfile.TemporaryDirectory(prefix="publish-") as temporary:
        out = Path(temporary) / "weights"
        sources = args.source or ([] if args.held_out else ["synthetic"])
        card = make_card(folder, out, name, sources, args.held_out or [], args.rounds, args.peer, args.meshes or [])
        terminal.show(card["accuracy"])
        terminal.show(card["sureness"]["int8"])
        terminal.show(card["latency"]["rows"])
        if card["problems"]:
            raise ZooError(f"{card['name']} is not published: {'; '.join(card['problems'])}")
        if args.check:
            print(f"{folder.name} passes every gate for {name}; nothing was published")
            return 0
        card.pop("problems")
        write_json(out / "card.json", card)
        write_whole(out / "README.md", model_cards.model_card(card))
        _replace(out, cards.weights_folder(card["name"]))
    print(f"published {card['name']}; wrote {model_cards.write_readme_table()}")
    return 0


def checked_name(folder: Path, name: str | None, replace: bool, check: bool = False) -> str:
    """Returns the name `variant.tag` that a run may be published under.

    Args:
      folder: of the run.
      name: what was asked for.
      replace: whether what is published under the name may be replaced.
      check: nothing is to be published, so that the name may be left out, or be taken.

    Raises:
      ZooError: the run is a float one or of a study, no name is given, it is not of the run's variant and tag, or it is taken.
    """
    configuration = runs.read_configuration(folder)
    own = f"{configuration.variant}.{configuration.tag}"
    if not configuration.quantized:
        raise ZooError(f"{folder.name} is a float run; publish takes a quantisation-aware one (python -m training quantize {folder.name})")
    if name is None and not check:
        raise ZooError(f"{folder.name} is published under the name that is given: --name {own}")
    if name not in (None, own):
        raise ZooError(f"{folder.name} cannot be published as {name!r}: its variant and what its data allow make it {own}")
    if own in cards.published() and not (replace or check):
        raise ZooError(f"{own} is published: give --replace to put {folder.name} in its place, or keep it and run the files of {folder}")
    return own


def _alone(name: str) -> contextlib.AbstractContextManager[None]:
    """Lets one process at a time measure and replace what is published under a name."""
    return claimed(cards.WEIGHTS / f".{name}.publishing", f"another process publishes {name}: wait for its end")


@contextlib.contextmanager
def _renewed(name: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """Gives the card of published weights and a copy of their folder, which replaces the folder in the end, with the card as it is then.

    Raises:
      ZooError: nothing is published under this name.
    """
    card, target = cards.read_card(name), cards.weights_folder(name)
    with _alone(name), tempfile.TemporaryDirectory(prefix="publish-") as temporary:
        out = Path(temporary) / "weights"
        shutil.copytree(target, out)
        card |= lineage.recorded(lineage.of_init(card["name"])[1:])  # of cards of before from the history, of others their own
        yield card, out
        card["files"] = _files(out)
        write_json(out / "card.json", card)
        write_whole(out / "README.md", model_cards.model_card(card))
        _replace(out, target)


def refresh(name: str) -> Path:
    """Writes the metadata of published weights anew from their card, and the files' hashes into the card; returns the folder.

    The folder is replaced as a whole. Weights, graph and measurements stay as they are.

    Raises:
      ZooError: nothing is published under this name.
    """
    name = published_name(name)
    with _renewed(name) as (card, out):
        weights = Weights(card["name"], card["tag"], card["date"], card["data"], card["ancestors"])
        for path in sorted(out.glob("*.tflite")):
            write_whole(path, exports.described(read_model(path), get(card["variant"]), weights))
    return cards.weights_folder(name)


def measure_again(name: str, sources: Sequence[str], rounds: int, peer: str | None = None, meshes: Sequence[Path] = ()) -> Path:
    """Makes float file, uncertainties and golden tensors of published weights anew, and measures them anew; returns the folder.

    The folder is replaced as a whole. The int8 network, `float.npz` and what the card says of training stay as they are.

    Raises:
      ZooError: nothing is published under this name, or the files do not pass the gates.
    """
    name = published_name(name)
    with _renewed(name) as (card, out):
        for path in set(out.glob("*.tflite")) - {out / cards.FILES["int8"]}:
            path.unlink()
        exports.export_published(name, out, [Path(cards.FILES["float32"]).stem])
        problems = [problem for file in cards.FILES.values() for problem in audits.audit(out / file, Path(file).stem).problems]
        card |= measured(out, [(source, None) for source in sources], peer)
        problems += _too_much_lost(card["accuracy"])
        if problems:
            raise ZooError(f"{name} stays as it is: {'; '.join(problems)}")
        card |= calibrated(out, sources, meshes)
        write_golden(out)
        card["latency"] = _timed(out, rounds)
    return cards.weights_folder(name)


def time_again(name: str, rounds: int) -> Path:
    """Times published weights again into their card; returns the folder, of which nothing else changes.

    Raises:
      ZooError: nothing is published under this name.
    """
    with _renewed(name) as (card, out):
        card["latency"] = _timed(out, rounds)
    return cards.weights_folder(name)


def make_card(
    folder: Path,
    out: Path,
    name: str,
    sources: Sequence[str],
    held_out: Sequence[str],
    rounds: int,
    peer: str | None = None,
    meshes: Sequence[Path] = (),
) -> dict[str, Any]:
    """Writes a run's files and golden tensors into `out` and returns its card, with what speaks against publishing under `problems`.

    Args:
      folder: of a quantisation-aware run.
      name: that it is published under, see `checked_name`.
      sources, held_out: labelled sets to measure on, the second on the people that were kept from training.
      rounds: of the benchmark.
      peer: the Face Landmarker's .task file, to measure it beside; None for none.
      meshes: labels files whose meshes turn the sets' faces in depth, to fit and measure sigmas and visibilities.
    """
    configuration = runs.read_configuration(folder)
    facts = runs.read_facts(folder)
    parent = runs.run_folder(facts["parent"])
    parent_configuration = runs.read_configuration(parent)
    spec = configuration.spec
    sources_of_training = [described(entry) for entry in facts["data"]]
    write_published(out / "float.npz", read_npz(runs.weights_path(parent)))
    # The float file is made of what is published, so that whoever makes it again gets the same.
    exports.export(folder, out, sources=sources_of_training, float_weights=out / "float.npz", name=name)
    reports = {precision: audits.audit(out / f"{precision}.tflite", precision) for precision in audits.PRECISIONS}
    for precision in set(audits.PRECISIONS) - {Path(file).stem for file in cards.FILES.values()}:
        (out / f"{precision}.tflite").unlink()  # audited, but not shipped: `python -m tflite export NAME` makes it from float.npz
    problems = [f"{precision}: {problem}" for precision, report in reports.items() for problem in report.problems]
    pairs = [(source, None) for source in sources] + [(source, configuration.held_out) for source in held_out]
    exactness = measured(out, pairs, peer)
    problems += _too_much_lost(exactness["accuracy"])
    exactness |= calibrated(out, sources or ["synthetic"], meshes)
    write_golden(out)
    cost = count(spec)
    return {
        "name": name, "variant": spec.name, "tag": configuration.tag, "date": datetime.date.today().isoformat(),
        "input_px": spec.size, "grid": spec.grid, "points": spec.points, "parameters": cost.parameters, "macs": cost.macs,
        "stages": [f"{stage.kind} {stage.width}" for stage in spec.stages], "laterals": [tap for tap in spec.laterals if tap],
        "data": sources_of_training, **lineage.recorded(lineage.of_run(parent)),
        "training": {
            "float": {
                "configuration": _plain(parent_configuration), "minutes": _minutes(parent), "versions": runs.read_facts(parent)["versions"],
            },
            "quantized": {"configuration": _plain(configuration), "minutes": _minutes(folder), "versions": facts["versions"]},
        },
        **exactness,
        "latency": _timed(out, rounds),
        "audit": {name: {"operators": dict(report.operators), "partitions": report.partitions} for name, report in reports.items()},
        "files": _files(out),
        "problems": problems,
    }  # fmt: skip


def _timed(out: Path, rounds: int) -> dict[str, Any]:
    """Returns the card's `latency`: what a call of each file takes, and of MediaPipe's mesh in the same run."""
    rows = benchmarks.benchmark([out / file for file in cards.FILES.values()], with_mediapipe=True, rounds=rounds)
    computes = {Path(file).stem: precision for precision, file in cards.FILES.items()}
    for row in rows:
        stem = Path(row["model"]).name
        row["model"] = computes.get(stem, stem)
    return {"machine": benchmarks.caption(), "rows": rows}


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the size and hash of each file of weights in a folder."""
    found = sorted(path for path in folder.iterdir() if path.suffix in (".tflite", ".npz"))
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in found}


def _too_much_lost(accuracy: list[dict[str, Any]]) -> list[str]:
    problems = []
    for small, large in zip(accuracy[::2], accuracy[1::2], strict=True):
        measured = small["core12 %"] is not None and large["core12 %"] is not None
        lost = small["core12 %"] / large["core12 %"] - 1 if measured else float("nan")
        if not lost <= MAX_LOSS:
            where = f"{small['source']} ({small['five points']})"
            problems.append(f"int8 loses {100 * lost:.1f} % of core12 on {where}, at most {100 * MAX_LOSS:.0f} % may be lost")
    return problems


def write_golden(out: Path) -> None:
    """Writes `golden.npz`: a drawn face, its five points, its crop, the int8 maps and the points that came of it."""
    face = draw_face(2026, _GOLDEN_SIDE)
    five = SCHEMES["106"].five_points(face.points)
    model = open_model(out / "int8.tflite")
    alignment = Alignment.from_five(five, model.input_size)
    crop = alignment.crop(face.image)
    prediction = Landmarker.of_maps(model.maps, model.input_size, uncertainty=model.uncertainty)(face.image, five)
    arrays = {"image": face.image, "five": five, "crop": crop, "matrix": alignment.matrix, "int8_maps": model.forward_stored(crop),
              "image_points": prediction.points, "scores": prediction.scores,
              "sigmas": prediction.sigmas, "visible": prediction.visible}  # fmt: skip
    write_whole(out / "golden.npz", lambda file: np.savez_compressed(file, **arrays))


def _plain(configuration: Any) -> dict[str, Any]:
    """Returns a configuration without the paths of one machine."""
    values = to_json(configuration)
    values["sources"] = [[Path(name).stem, share] for name, share in values["sources"]]
    values["init"] = Path(values["init"]).name
    return values


def _minutes(folder: Path) -> float:
    return round(runs.read_checkpoint(folder).seconds / 60, 1)


def _replace(new: Path, target: Path) -> None:
    """Puts a finished folder in the place of an old one; there is never half of either."""
    with replacing_folder(target) as arriving:
        shutil.copytree(new, arriving, dirs_exist_ok=True)
