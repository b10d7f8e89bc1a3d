"""`python -m training label`: teacher's points for a folder of unlabelled pictures, on all cores, to be resumed after a stop."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.data.sources import group_of, read_source
from training.data.workers import worker_pool
from training.data.working_folder import working_folder
from training.teacher import adapter as adapters
from training.teacher.blend import blend
from training.teacher.finder import MESH, identity, opened
from training.teacher.label_file import bend, merge
from training.teacher.labelling import SEVERAL, label_chunk, list_chunks
from zoo import terminal
from zoo.errors import ZooError
from zoo.files import read_npz
from zoo.lookup import look_up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("path", help="folder of pictures (searched with its sub-folders), or a labels file for --adapter or --blend")
    parser.add_argument("--out", required=True, help="labels file to write (.npz)")
    parser.add_argument("--max-disagreement", type=float, default=0.08, metavar="SHARE",
                        help="leave out a face whose points differ between the picture and its mirror image by more than this share of the "
                             "outer eye corners' distance (default %(default)s)")  # fmt: skip
    parser.add_argument("--max-yaw", type=float, default=70.0, metavar="DEG",
                        help="leave out a face that is turned further aside than this (default %(default)s)")  # fmt: skip
    parser.add_argument("--several", choices=SEVERAL, default=SEVERAL[0],
                        help="what to do with a picture of several faces: skip it, take the largest, or mark all")  # fmt: skip
    parser.add_argument("--adapter", action="append", metavar="LABELS",
                        help="adapt the points to human definitions, by a regression fitted on this labels file of a folder with 68 human "
                             "points in landmarks.npz (may be repeated); the result is of those labels' licence")  # fmt: skip
    parser.add_argument("--blend", metavar="NAME|RUN|FILE", help="average a labels file's points with those of published weights, e.g. "
                        "mixed-100-192.research, found in the picture and in its mirror image; the result is of their tag")  # fmt: skip
    parser.add_argument("--teacher", default=MESH, metavar=f"{MESH}|FILE.task", help=f"what marks the faces: {MESH!r}, MediaPipe's refined "
                        "face mesh (default), or the file of its Face Landmarker, which is more accurate; see docs/sources.md")  # fmt: skip
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def main(args: argparse.Namespace) -> int:
    """Labels every picture under a path; prints how many were kept and why the others were not."""
    out = Path(args.out)
    if out.suffix != ".npz":
        raise ZooError(f"--out must end in .npz, received {args.out!r}")
    root = Path(args.path)
    if args.blend and (args.adapter or root.suffix != ".npz"):
        raise ZooError("--blend takes a labels file, which may have been bent before; label or bend first")
    if args.blend:
        network = look_up(args.blend)
        network.file("float32")  # refused here rather than by every worker
        _show(blend(root, network.name if network.kind == "published" else args.blend, out, args.workers), [], args.json)
        return 0
    if args.adapter and root.suffix == ".npz":
        _show(*_adapted(root, args.adapter, out), args.json)
        return 0
    if not root.is_dir():
        raise ZooError(f"{args.path!r} is not a folder")
    summary, examples, gain = *_labelled(root, out, args), []
    if args.adapter:
        bent, gain = _adapted(out, args.adapter, out)
        summary |= bent
    _show(summary, gain, args.json, examples)
    if not summary["kept"]:
        why = "; ".join(f"{state}: {', '.join(names)}" for state, names in examples.items())
        raise ZooError(f"none of the {summary['pictures']} pictures under {args.path} could be labelled; {why}")
    return 0


def _labelled(root: Path, out: Path, args: argparse.Namespace) -> tuple[dict, dict[str, list[str]]]:
    """Writes a labels file of a folder's pictures; returns the summary, and examples of what was left out by why."""
    marks = identity(args.teacher)  # a teacher that is none is said before any work
    with working_folder(out, "label") as parts:
        total, chunks = list_chunks(root, parts, args.several, args.teacher)
        waiting = [chunk for chunk in chunks if not chunk.out.exists()]
        with (
            tqdm(total=total, initial=total - sum(chunk.count for chunk in waiting), unit="picture", desc=f"label {root.name}") as bar,
            worker_pool(args.workers) as pool,
        ):
            _open(pool, args.teacher, bool(waiting))
            for count in pool.map(label_chunk, waiting):
                bar.update(count)
        found = merge(root, [chunk.out for chunk in chunks], out, args.max_disagreement, args.max_yaw, marks)
    examples = found.pop("left out")
    return {"pictures": total} | found, examples


def _open(pool: ProcessPoolExecutor, teacher: str, needed: bool) -> None:
    """Opens the teacher in a worker, which it may end; a ZooError says so before the pictures are asked for."""
    try:
        if needed:
            pool.submit(opened, teacher).result()
    except BrokenProcessPool:
        raise ZooError(f"MediaPipe ended when it opened the teacher {teacher}: the file is damaged, or memory short") from None


def _show(summary: dict, gain: list[dict], as_json: bool, examples: dict[str, list[str]] | None = None) -> None:
    """Prints what was done, which pictures were left out, and by how much bending came nearer to people who had no part in the fit."""
    if as_json:
        terminal.show([summary | ({"left out": examples} if examples else {}) | ({"gain": gain} if gain else {})], True)
        return
    terminal.show([summary])
    for state, names in (examples or {}).items():
        print(f"{state}: {', '.join(names)}{', ...' if summary[state] > len(names) else ''}")
    if gain:
        print("\nDistance to people's points on people kept from a fit made to see this, in % of the outer eye corners' distance:")
        terminal.show(gain)


def _adapted(labels: Path, fitted_on: Sequence[str], out: Path) -> tuple[dict, list[dict]]:
    """Adapts the points of a labels file by a regression fitted on others; returns what was done, and the gain by part."""
    meshes, people, groups, roots = [], [], [], []
    for path in fitted_on:
        fitting = read_npz(path)
        root = Path(str(fitting["root"]))
        human = {sample.path.name: sample.native_points for sample in read_source(str(root)) if sample.scheme == "68"}
        names = fitting["names"].tolist()
        both = [row for row, name in enumerate(names) if Path(name).name in human]
        if not both:
            raise ZooError(f"--adapter {path}: no picture of {root.name} has 68 human points in its landmarks.npz")
        meshes.append(fitting["mesh"][both])
        people += [human[Path(names[row]).name] for row in both]
        groups += [group_of(names[row]) for row in both]
        roots.append(root.name)
    meshes, people = np.concatenate(meshes), np.array(people)
    adapter, used = adapters.fit(meshes, people)
    count = bend(labels, adapter, ", ".join(roots), out)
    done = {"labels": labels.name, "adapted": count, "adapter fitted on": ", ".join(roots), "faces": used}
    return done, adapters.gain(meshes, people, groups)
