"""`python -m training data`: says what a source holds, what is wrong with it, and draws it on a contact sheet."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from training.configuration import Configuration
from training.evaluate import samples
from training.provenance import provenance
from training.sources import Sample
from zoo import terminal
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.images import list_images, read_image, write_image
from zoo.overlay import draw_points

_TILE_PX, _COLUMNS, _ROWS = 224, 8, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("source", nargs="?", default="synthetic", help="'synthetic' (the default), a labels file, or a folder")
    parser.add_argument("--sheet", metavar="FILE", help="write a contact sheet: aligned crops with their points (.png or .jpg)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints a summary; the exit status is 1 where nothing usable was found."""
    folder = Path(args.source)
    if folder.is_dir() and not (folder / "landmarks.npz").is_file():
        count = len(list_images([folder]))
        terminal.show([{"source": folder.name, "pictures": count, "labels": "none: mark them with `python -m training label`"}], args.json)
        return 0
    faces = samples(args.source)
    summary, problems = describe(args.source, faces)
    terminal.show([summary], args.json)
    for problem, files in problems.items():
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        tqdm.write(f"{problem}: {shown}")
    if args.sheet:
        print(f"wrote {write_image(args.sheet, sheet(faces))}")
    if summary["usable"] == 0:
        raise ZooError(f"source {args.source!r} holds no usable face")
    return 0


def describe(source: str, faces: list[tuple[Sample, np.ndarray | None]]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Returns a summary of a source, and the pictures' names under each problem found."""
    problems: dict[str, list[str]] = {}
    pictures = Counter(str(sample.path) for sample, _ in faces)
    for sample, image in tqdm(faces, desc="read", unit="face"):
        name = sample.path.name
        if not np.isfinite(sample.native_points).all():
            problems.setdefault("points that are not numbers", []).append(name)
            continue
        try:
            height, width = (read_image(sample.path) if image is None else image).shape[:2]
        except ZooError as error:
            problems.setdefault("missing or unreadable", []).append(f"{name} ({error})")
            continue
        known = sample.image_points[sample.weights > 0]
        outside = ((known < 0) | (known > [width, height])).any(1).mean() if len(known) else 1.0
        if outside > 0.5:
            problems.setdefault("most points outside the picture", []).append(name)
    twice = [Path(path).name for path, count in pictures.items() if count > 1]
    if twice:
        problems["listed more than once (several faces, or a duplicate)"] = twice
    bad = {file.split(" ")[0] for problem, files in problems.items() if not problem.startswith("listed") for file in files}
    known = provenance(source)
    return {
        "source": Path(source).stem, "faces": len(faces), "pictures": len(pictures), "usable": len(faces) - len(bad),
        "scheme": faces[0][0].scheme, "people": len({sample.group for sample, _ in faces}),
        "known points %": round(100 * float(np.mean([sample.weights > 0 for sample, _ in faces])), 1),
        "licence": known.licence if known else "unknown", "trains tags": "open, research" if known and known.tag == "open" else "research",
        "held out by default %": 100 * Configuration("").held_out,
    }, problems  # fmt: skip


def sheet(faces: list[tuple[Sample, np.ndarray | None]], seed: int = 0) -> np.ndarray:
    """Returns a contact sheet (rows x tile, columns x tile, 3) uint8 of aligned crops with the points their labels know."""
    rng = np.random.default_rng(seed)
    tiles = []
    for index in rng.permutation(len(faces))[: _COLUMNS * _ROWS]:
        sample, image = faces[index]
        alignment = Alignment.from_five(sample.five, _TILE_PX)
        crop = alignment.crop(read_image(sample.path) if image is None else image)
        points = alignment.to_crop(sample.image_points)
        points[sample.weights == 0] = np.nan
        tiles.append(_dots(crop, points))
    tiles += [np.full((_TILE_PX, _TILE_PX, 3), 255, np.uint8)] * (-len(tiles) % _COLUMNS)
    return np.vstack([np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)])


def _dots(crop: np.ndarray, points: np.ndarray) -> np.ndarray:
    return draw_points(crop, points) if np.isfinite(points).all() else _known_dots(crop, points)


def _known_dots(crop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Dots alone: with gaps there are no lines to draw."""
    out = crop.copy()
    for x, y in points[np.isfinite(points).all(1)]:
        cv2.circle(out, (round((x - 0.5) * 16), round((y - 0.5) * 16)), 20, (80, 255, 120), -1, cv2.LINE_AA, 4)
    return out
