"""`python -m training evaluate`: errors of runs, published weights and files on labelled pictures, from picture to points."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from training import runs
from training.batches import is_held_out
from training.configuration import Configuration
from training.sources import Sample, read_source
from zoo import metrics, terminal
from zoo.errors import ZooError
from zoo.files import write_whole
from zoo.images import read_image
from zoo.landmarker import Landmarker, load
from zoo.schemes import SCHEMES, to_scheme
from zoo.variants import get

ALIGNMENTS = ("noisy", "detector", "exact")
# How far MediaPipe's short-range detector lies from labelled points: standard deviations measured on photographs in the wild.
_NOISE_ROTATION_DEG, _NOISE_SCALE, _NOISE_SHIFT = 3.6, 0.06, (0.028, 0.031)
# A detected face counts as the labelled one if its centre is this near, in eye distances.
_SAME_FACE = 1.0


@dataclass(frozen=True)
class Evaluation:
    """Errors of one model on one source; a face the detector missed has infinite errors.

    Attributes:
      model, source: their names.
      pictures: (N,) names.
      core12, nme, box: (N,) inter-ocular errors over twelve spots and over all points of the set's own scheme, and the
        error over the root of the box area; shares, not percent. `nme` and `box` are over the known points.
      scheme: of `nme`.
      parts: mean inter-ocular error by part of the face, over faces found.
    """

    model: str
    source: str
    pictures: tuple[str, ...]
    core12: np.ndarray
    nme: np.ndarray
    box: np.ndarray
    scheme: str
    parts: dict[str, float]

    def row(self) -> dict[str, Any]:
        """Returns the figures of a table, in percent; None where every face was missed."""
        found = np.isfinite(self.nme)

        def percent(errors: np.ndarray) -> float | None:
            return round(100 * float(errors[found].mean()), 3) if found.any() else None

        interval = metrics.mean_interval(100 * self.core12[found]) if found.any() else None
        return {
            "model": self.model, "source": Path(self.source).stem, "faces": len(self.nme), "missed": int((~found).sum()),
            "core12 %": percent(self.core12), "core12 95 %": interval and f"{interval[0]:.2f}..{interval[1]:.2f}",
            "points": int(self.scheme), "nme %": percent(self.nme), "box nme %": percent(self.box),
            "AUC@0.08": round(metrics.auc(self.nme), 4), "FR@0.08 %": round(100 * metrics.failure_rate(self.nme), 2),
        }  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "models", nargs="+", metavar="NAME|RUN|FILE", help="published weights (name[.tag][:float32]), a run, or a .tflite file"
    )
    parser.add_argument("--source", action="append", metavar="SET",
                        help="'synthetic' (the default), a labels file, or a folder with images/ and landmarks.npz")  # fmt: skip
    parser.add_argument("--align", choices=ALIGNMENTS, default="noisy",
                        help="five points: the labels' with the detector's noise (default), the detector's, the labels'")  # fmt: skip
    parser.add_argument("--held-out", action="store_true", help="only the people that trainings with the default --held-out never saw")
    parser.add_argument("--csv", metavar="FILE", help="write the errors of every face")
    parser.add_argument("--json", action="store_true", help="print the rows for programs")


def main(args: argparse.Namespace) -> int:
    """Prints a row for each model and source."""
    sources = {name: samples(name, Configuration("").held_out if args.held_out else None) for name in args.source or ["synthetic"]}
    results = []
    for model in args.models:
        find = landmarker(model)
        results += [evaluate(find, some, name, model, args.align) for name, some in sources.items()]
    if args.csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["model", "source", "picture", "core12", "nme", "box_nme"])
        for result in results:
            writer.writerows(
                [result.model, result.source, *row] for row in zip(result.pictures, result.core12, result.nme, result.box, strict=True)
            )
        write_whole(args.csv, text.getvalue())
    terminal.show([result.row() for result in results], args.json)
    return 0


def samples(source: str, held_out: float | None = None) -> list[tuple[Sample, np.ndarray | None]]:
    """Returns a source's samples, each with its picture where that is drawn rather than read; a share keeps held-out people alone."""
    if source == "synthetic":
        from training.synthetic import draw_face

        first = 1_000_000  # seeds that no training draws
        faces = [(seed, draw_face(seed)) for seed in range(first, first + 64)]
        scheme = SCHEMES["106"]
        return [
            (
                Sample(
                    Path(f"synthetic_{seed}"), f.points, np.ones(106, np.float32), scheme.five_points(f.points), str(seed), "106", f.points
                ),
                f.image,
            )
            for seed, f in faces
        ]
    found = [(s, None) for s in read_source(source) if held_out is None or is_held_out(s.group, held_out)]
    if not found:
        raise ZooError(f"source {source!r} has no {'faces' if held_out is None else 'held-out people'}")
    return found


def landmarker(model: str) -> Landmarker:
    """Returns the landmarker of a run (in Keras), of a file, or of published weights, `:float32` behind a name for these."""
    if not model.endswith(".tflite"):
        try:
            folder = runs.run_folder(model)
        except ZooError as no_run:
            name, _, precision = model.partition(":")
            try:
                return load(name, precision or "int8")
            except ZooError as error:
                raise ZooError(f"{model!r} is neither a .tflite file nor published nor a run: {error}; {no_run}") from None
        return _of_run(folder)
    return load(model)


def _of_run(folder: Path) -> Landmarker:
    from zoo.nets import build, from_arrays
    from zoo.nets.weights import read_arrays

    configuration = runs.read_configuration(folder)
    spec, arrays = get(configuration.variant), read_arrays(runs.weights_path(folder))
    if configuration.quantized:
        with terminal.without_stderr():
            from training import qat
        parent = runs.run_folder(runs.read_facts(folder)["parent"])
        _, model = qat.build_quantized(spec, read_arrays(runs.weights_path(parent)))
        qat.set_quantized(model, arrays)
        to_input: Callable = qat.to_input
    else:
        with terminal.without_stderr():
            import keras
        model = build(spec, keras)
        from_arrays(model, arrays)
        to_input = np.float32
    return Landmarker(lambda crop: np.asarray(model.predict_on_batch(to_input(crop[None])))[0], spec.size, folder.name)


def evaluate(
    find: Landmarker, faces: Sequence[tuple[Sample, np.ndarray | None]], source: str, model: str, align: str = "noisy", seed: int = 0
) -> Evaluation:
    """Returns a model's errors on labelled faces.

    Args:
      faces: from `samples`.
      align: one of `ALIGNMENTS`; the noise is the same for every model with the same seed.
    """
    core, nme, box, parts = [], [], [], {name: [] for name in SCHEMES[faces[0][0].scheme].parts}
    for index, (sample, image) in enumerate(tqdm(faces, desc=f"{model} on {Path(source).stem}", unit="face")):
        image = read_image(sample.path) if image is None else image
        points = _points(find, image, sample, align, np.random.default_rng([seed, index]))
        if points is None:
            core, nme, box = [*core, np.inf], [*nme, np.inf], [*box, np.inf]
            continue
        scheme = SCHEMES[sample.scheme]
        mapped = to_scheme(points, sample.scheme)
        known = sample.weights > 0 if sample.scheme == "106" else np.ones(scheme.count, bool)
        errors = metrics.point_errors(mapped, sample.native_points, sample.scheme)
        spots = [i for i in scheme.core12 if known[i]]
        core.append(errors[spots].mean())
        nme.append(errors[known].mean())
        box.append(metrics.box_nme(mapped[known], sample.native_points[known]))
        for name, part in scheme.parts.items():
            chosen = [i for i in part.indices if known[i]]
            if chosen:
                parts[name].append(errors[chosen].mean())
    names = tuple(sample.path.name for sample, _ in faces)
    means = {name: float(np.mean(values)) for name, values in parts.items() if values}
    return Evaluation(model, source, names, np.array(core), np.array(nme), np.array(box), faces[0][0].scheme, means)


def _points(find: Landmarker, image: np.ndarray, sample: Sample, align: str, rng: np.random.Generator) -> np.ndarray | None:
    if align != "detector":
        return find(image, sample.five if align == "exact" else with_noise(sample.five, rng)).points
    eyes = np.linalg.norm(sample.five[0] - sample.five[1])
    found = find.detect(image, range="short", min_score=0.3)
    distances = [np.linalg.norm(np.asarray(face.five)[:3].mean(0) - sample.five[:3].mean(0)) / eyes for face in found]
    return found[int(np.argmin(distances))].points if distances and min(distances) < _SAME_FACE else None


def with_noise(five: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns five points (5, 2) turned, scaled and displaced about their centre as a detector would place them."""
    centre, eyes = five.mean(0), np.linalg.norm(five[0] - five[1])
    angle, scale = np.deg2rad(rng.normal(0, _NOISE_ROTATION_DEG)), np.exp(rng.normal(0, _NOISE_SCALE))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (five - centre) @ turn.T + centre + rng.normal(0, _NOISE_SHIFT) * eyes
