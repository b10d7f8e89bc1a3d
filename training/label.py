"""`python -m training label`: teacher's points for a folder of unlabelled pictures, on all cores, to be resumed after a stop."""

from __future__ import annotations

import argparse
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.sources import from_webmorph_189, group_of, read_source
from zoo import terminal
from zoo.errors import ZooError
from zoo.files import read_npz, write_whole
from zoo.images import list_images, read_image

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
    names = [str(path.relative_to(root)) for path in list_images([root])]
    parts = out.with_suffix(".parts")
    chunks = [(root, names[i : i + _CHUNK], parts / f"{i:08d}.npz") for i in range(0, len(names), _CHUNK)]
    waiting = [chunk for chunk in chunks if not chunk[2].exists()]
    # Spawned, not forked: the libraries at work here run threads, which a fork does not survive.
    with (
        tqdm(total=len(names), initial=len(names) - sum(len(c[1]) for c in waiting), unit="picture", desc=f"label {root.name}") as bar,
        ProcessPoolExecutor(max(1, args.workers), get_context("spawn")) as pool,
    ):
        for count in pool.map(_label_chunk, waiting):
            bar.update(count)
    summary = _merge(root, [chunk[2] for chunk in chunks], out, args.max_disagreement)
    shutil.rmtree(parts)
    gain = []
    if args.adapter:
        bent, gain = _adapted(out, Path(args.adapter), out)
        summary |= bent
    _show(summary, gain, args.json)
    if not summary["kept"]:
        raise ZooError(f"none of the {len(names)} pictures under {args.path} could be labelled")
    return 0


def _label_chunk(chunk: tuple[Path, list[str], Path]) -> int:
    from training import teacher

    root, names, out = chunk
    rows = {"names": [], "points": [], "mesh": [], "disagreement": [], "size": [], "state": []}
    for name in names:
        points, mesh, disagreement, size, state = np.zeros((106, 2)), np.zeros((teacher.MESH_COUNT, 3)), np.nan, (0, 0), "no face"
        try:
            image = read_image(root / name)
            size = image.shape[:2]
            found = teacher.label(image)
            if found is not None:
                points, mesh, disagreement = found
                state = "face"
        except ZooError:
            state = "unreadable"
        for key, value in zip(rows, (name, points, mesh, disagreement, size, state), strict=True):
            rows[key].append(value)
    arrays = {key: np.array(value, np.float32 if key in {"points", "mesh", "disagreement"} else None) for key, value in rows.items()}
    write_whole(out, lambda file: np.savez(file, **arrays))
    return len(names)


def _merge(root: Path, parts: list[Path], out: Path, max_disagreement: float) -> dict:
    loaded = [dict(np.load(part, allow_pickle=False)) for part in parts]
    data = {key: np.concatenate([part[key] for part in loaded]) for key in loaded[0]}
    trusted = (data["state"] == "face") & (data["disagreement"] <= max_disagreement)
    # A point outside the picture was guessed, not seen.
    height, width = data["size"][:, :1], data["size"][:, 1:]
    x, y = data["points"][..., 0], data["points"][..., 1]
    weights = ((x > 0) & (x < width) & (y > 0) & (y < height)).astype(np.float32)
    points, people = _with_human_points(root, data["names"], data["points"], weights)
    arrays = {"root": np.array(str(root.resolve())), "names": data["names"][trusted], "points": points[trusted],
              "weights": weights[trusted], "mesh": data["mesh"][trusted], "disagreement": data["disagreement"][trusted]}  # fmt: skip
    write_whole(out, lambda file: np.savez_compressed(file, **arrays))
    return {
        "pictures": len(trusted), "kept": int(trusted.sum()), "no face": int((data["state"] == "no face").sum()),
        "unreadable": int((data["state"] == "unreadable").sum()),
        "disagree": int(((data["state"] == "face") & ~trusted).sum()), "with human points": people,
        "points outside %": round(100 * float(1 - weights[trusted].mean()), 2) if trusted.any() else None,
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
    from training import adapter as adapters

    fitting = read_npz(fitted_on)
    names, meshes, root = fitting["names"].tolist(), fitting["mesh"], Path(str(fitting["root"]))
    human = {sample.path.name: sample.native_points for sample in read_source(str(root)) if sample.scheme == "68"}
    rows = [row for row, name in enumerate(names) if Path(name).name in human]
    people = np.array([human[Path(names[row]).name] for row in rows])
    adapter, used = adapters.fit(meshes[rows], people)
    arrays = read_npz(labels)
    arrays["points"] = np.array([adapter.adapt(m, p) for m, p in zip(arrays["mesh"], arrays["points"], strict=True)], np.float32)
    arrays["adapted_to"] = np.array(root.name)
    write_whole(out, lambda file: np.savez_compressed(file, **arrays))
    done = {"labels": labels.name, "bent": len(arrays["points"]), "adapter fitted on": root.name, "faces": used}
    return done, adapters.gain(meshes[rows], people, [group_of(names[row]) for row in rows])


def _with_human_points(root: Path, names: np.ndarray, points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, int]:
    """Puts people's points over the teacher's where `landmarks.npz` beside the pictures has manual 189-point templates."""
    manual = root / "landmarks.npz"
    if not manual.is_file():
        return points, 0
    with np.load(manual, allow_pickle=False) as archive:
        if archive["points"].shape[1:] != (189, 2):
            return points, 0
        human = dict(zip(archive["names"].tolist(), archive["points"], strict=True))
    points, count = points.copy(), 0
    for row, name in enumerate(names):
        template = human.get(Path(str(name)).name)
        if template is not None:
            full, known = from_webmorph_189(template.astype(np.float64) + 0.5)
            points[row, known], weights[row, known] = full[known], 1
            count += 1
    return points, count
