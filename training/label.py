"""`python -m training label`: teacher's points for a folder of unlabelled pictures, on all cores, to be resumed after a stop."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from training import adapter as adapters
from training.npz_columns import Column, write_columns
from training.readers.listing import PICTURES, folders, names
from training.readers.npz_rows import headers, rows, scalar
from training.readers.picture import digest
from training.sources import from_webmorph_189, group_of, read_source
from training.teacher import MESH_COUNT
from zoo import terminal
from zoo.errors import ZooError
from zoo.files import read_npz, write_whole
from zoo.images import read_image

# Pictures a worker labels between two writes: what a kill can cost.
_CHUNK = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("path", help="folder of pictures (searched with its sub-folders), or a labels file to bend with --adapter")
    parser.add_argument("--out", required=True, help="labels file to write (.npz)")
    parser.add_argument("--max-disagreement", type=float, default=0.08, metavar="SHARE",
                        help="leave out a face whose points differ between the picture and its mirror image by more than this share of the "
                             "outer eye corners' distance (default %(default)s)")  # fmt: skip
    parser.add_argument("--adapter", metavar="LABELS", help="bend the points to people's definitions, by an adapter fitted on this labels "
                        "file of a folder with 68 human points in landmarks.npz; the result is of those labels' licence")  # fmt: skip
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def main(args: argparse.Namespace) -> int:
    """Labels every picture under a path; prints how many were kept and why the others were not."""
    out = Path(args.out)
    if out.suffix != ".npz":
        raise ZooError(f"--out must end in .npz, received {args.out!r}")
    root = Path(args.path)
    if args.adapter and root.suffix == ".npz":
        _show(*_adapted(root, Path(args.adapter), out), args.json)
        return 0
    if not root.is_dir():
        raise ZooError(f"{args.path!r} is not a folder")
    parts = out.with_suffix(".parts")
    total, chunks = _list_chunks(root, parts)
    waiting = [chunk for chunk in chunks if not chunk.out.exists()]
    # Spawned, not forked: the libraries at work here run threads, which a fork does not survive.
    with (
        tqdm(total=total, initial=total - sum(chunk.count for chunk in waiting), unit="picture", desc=f"label {root.name}") as bar,
        ProcessPoolExecutor(max(1, args.workers), get_context("spawn")) as pool,
    ):
        for count in pool.map(_label_chunk, waiting):
            bar.update(count)
    summary = _merge(root, [chunk.out for chunk in chunks], out, args.max_disagreement)
    shutil.rmtree(parts)
    gain = []
    if args.adapter:
        bent, gain = _adapted(out, Path(args.adapter), out)
        summary |= bent
    _show(summary, gain, args.json)
    if not summary["kept"]:
        raise ZooError(f"none of the {total} pictures under {args.path} could be labelled")
    return 0


@dataclass(frozen=True)
class _Chunk:
    """Some pictures in a row: `count` names, from a place in the listing on, and where their labels go."""

    root: Path
    listing: Path
    start: int
    count: int
    out: Path

    def names(self) -> list[str]:
        with open(self.listing, "rb") as file:
            file.seek(self.start)
            return [os.fsdecode(name) for name in itertools.islice(_split(file), self.count)]


def _split(file: BinaryIO) -> Iterator[bytes]:
    """Yields the names of a listing, each of which ends with a zero byte, the one that no name can hold."""
    rest = b""
    while block := file.read(1 << 12):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole


def _list_chunks(root: Path, parts: Path) -> tuple[int, list[_Chunk]]:
    """Writes the listing of a folder's pictures; returns how many there are, and the chunks.

    A chunk's file is named by its pictures' names, so that after a stop a folder that changed meanwhile is not taken for the old one.

    Raises:
      ZooError: the folder holds no picture.
    """
    parts.mkdir(parents=True, exist_ok=True)
    listing, chunks, total, start = parts / "listing", [], 0, 0
    found = (folder.relative_to(root) / name for folder in folders(root) for name in names(folder, PICTURES))
    with open(listing, "wb") as file:
        while some := [os.fsencode(name) + b"\0" for name in itertools.islice(found, _CHUNK)]:
            content = b"".join(some)
            file.write(content)
            chunks.append(_Chunk(root, listing, start, len(some), parts / f"{len(chunks):08d}-{digest(content):016x}.npz"))
            total, start = total + len(some), start + len(content)
    if not chunks:
        shutil.rmtree(parts)
        raise ZooError(f"the folder {root} holds no picture; files that end in {', '.join(PICTURES)} are looked for")
    return total, chunks


def _label_chunk(chunk: _Chunk) -> int:
    from training import teacher

    columns = {"names": [], "points": [], "mesh": [], "disagreement": [], "size": [], "state": []}
    for name in chunk.names():
        points, mesh, disagreement, size, state = np.zeros((106, 2)), np.zeros((teacher.MESH_COUNT, 3)), np.nan, (0, 0), "no face"
        try:
            image = read_image(chunk.root / name)
            size = image.shape[:2]
            found = teacher.label(image)
            if found is not None:
                points, mesh, disagreement = found
                state = "face"
        except ZooError:
            state = "unreadable"
        for key, value in zip(columns, (name, points, mesh, disagreement, size, state), strict=True):
            columns[key].append(value)
    arrays = {key: np.array(value, np.float32 if key in {"points", "mesh", "disagreement"} else None) for key, value in columns.items()}
    write_whole(chunk.out, lambda file: np.savez(file, **arrays))
    return chunk.count


def _merge(root: Path, parts: list[Path], out: Path, max_disagreement: float) -> dict:
    """Writes one labels file of the chunks', of which one at a time is in memory; returns the counts."""
    human, states, people, outside, width = _human_points(root), Counter(), 0, 0.0, 1

    def trusted(part: Path) -> tuple[np.lib.npyio.NpzFile, np.ndarray]:
        chunk = np.load(part, allow_pickle=False)
        return chunk, (chunk["state"] == "face") & (chunk["disagreement"] <= max_disagreement)

    def stored(key: str) -> Callable[[], Iterator[np.ndarray]]:
        return lambda: (chunk[key][kept] for chunk, kept in map(trusted, parts))

    def marked(part: Path) -> tuple[np.ndarray, np.ndarray, int]:
        """Points and weights of the faces that are kept, people's points over the teacher's, and on how many faces."""
        chunk, kept = trusted(part)
        # A point outside the picture was guessed, not seen.
        points, size = chunk["points"][kept], chunk["size"][kept]
        weights = ((points > 0) & (points < size[:, None, ::-1])).all(-1).astype(np.float32)
        return points, weights, _put_human_points(human, chunk["names"][kept], points, weights)

    for part in parts:
        chunk, kept = trusted(part)
        states.update(chunk["state"].tolist())
        states["kept"] += int(kept.sum())
        _, weights, count = marked(part)
        people, outside, width = people + count, outside + float((1 - weights).sum()), max(width, chunk["names"].dtype.itemsize // 4)

    columns = {
        "names": Column(np.dtype(f"<U{width}"), (), stored("names")),
        "points": Column(np.float32, (106, 2), lambda: (marked(part)[0] for part in parts)),
        "weights": Column(np.float32, (106,), lambda: (marked(part)[1] for part in parts)),
        "mesh": Column(np.float32, (MESH_COUNT, 3), stored("mesh")),
        "disagreement": Column(np.float32, (), stored("disagreement")),
    }
    kept = states["kept"]
    write_columns(out, {"root": np.array(str(root.resolve()))}, kept, columns)
    return {
        "pictures": states.total() - kept, "kept": kept, "no face": states["no face"], "unreadable": states["unreadable"],
        "disagree": states["face"] - kept, "with human points": people,
        "points outside %": round(100 * outside / (106 * kept), 2) if kept else None,
    }  # fmt: skip


def _show(summary: dict, gain: list[dict], as_json: bool) -> None:
    """Prints what was done, and by how much bending came nearer to people who did not take part in the fit."""
    if as_json:
        terminal.show([summary | ({"gain": gain} if gain else {})], True)
        return
    terminal.show([summary])
    if gain:
        print("\nDistance to people's points on people kept from a fit made to see this, in % of the outer eye corners' distance:")
        terminal.show(gain)


def _adapted(labels: Path, fitted_on: Path, out: Path) -> tuple[dict, list[dict]]:
    """Bends the points of a labels file by an adapter fitted on another one; returns what was done, and the gain by part."""
    fitting = read_npz(fitted_on)
    pictures, meshes, root = fitting["names"].tolist(), fitting["mesh"], Path(str(fitting["root"]))
    human = {sample.path.name: sample.native_points for sample in read_source(str(root)) if sample.scheme == "68"}
    both = [row for row, name in enumerate(pictures) if Path(name).name in human]
    people = np.array([human[Path(pictures[row]).name] for row in both])
    adapter, used = adapters.fit(meshes[both], people)
    count = _bend(labels, adapter, root.name, out)
    done = {"labels": labels.name, "bent": count, "adapter fitted on": root.name, "faces": used}
    return done, adapters.gain(meshes[both], people, [group_of(pictures[row]) for row in both])


def _bend(labels: Path, adapter: adapters.Adapter, fitted_on: str, out: Path) -> int:
    """Writes a labels file anew with its points bent, row by row; returns how many faces it holds."""
    found = headers(labels)
    missing = [key for key in ("root", "names", "points", "mesh") if key not in found]
    if missing:
        raise ZooError(f"{labels} has no array {missing[0]!r}; an adapter bends labels files that `python -m training label` wrote")

    def bent() -> Iterator[np.ndarray]:
        for mesh, points in tqdm(rows(labels, ("mesh", "points")), total=count, desc=f"bend {labels.stem}", unit="face", leave=False):
            yield adapter.adapt(mesh, points)[None]

    def copied(key: str) -> Callable[[], Iterator[np.ndarray]]:
        return lambda: (np.asarray(value)[None] for (value,) in rows(labels, (key,)))

    count = found["points"][0][0]
    columns = {key: Column(dtype, shape[1:], copied(key)) for key, (shape, dtype) in found.items() if shape[:1] == (count,)}
    columns["points"] = Column(np.float32, (106, 2), bent)
    scalars = {"root": np.array(scalar(labels, "root")), "adapted_to": np.array(fitted_on)}
    write_columns(out, scalars, count, columns)
    return count


def _human_points(root: Path) -> dict[str, np.ndarray]:
    """Returns people's templates (189, 2) by picture's name, where `landmarks.npz` beside the pictures has such."""
    manual = root / "landmarks.npz"
    if not manual.is_file():
        return {}
    with np.load(manual, allow_pickle=False) as archive:
        if archive["points"].shape[1:] != (189, 2):
            return {}
        return dict(zip(archive["names"].tolist(), archive["points"], strict=True))


def _put_human_points(human: dict[str, np.ndarray], names: np.ndarray, points: np.ndarray, weights: np.ndarray) -> int:
    """Puts people's points (N, 106, 2) over the teacher's, with weights of 1, in place; returns on how many faces."""
    count = 0
    for row, name in enumerate(names):
        template = human.get(Path(str(name)).name)
        if template is not None:
            full, known = from_webmorph_189(template.astype(np.float64) + 0.5)
            points[row, known], weights[row, known] = full[known], 1
            count += 1
    return count
