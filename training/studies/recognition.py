"""Do better landmarks make better face recognition? The same pictures, aligned in turn by different points, through one recogniser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from training.evaluation import plots
from training.evaluation.models import landmarker, resolve
from training.evaluation.words import in_points, listed, signed
from training.studies import recogniser as recognisers
from training.studies import verification
from training.studies.outcome import Outcome
from training.studies.pairs import Pairs, read_pairs
from training.studies.verification import Estimate
from training.teacher import mesh as teacher
from zoo import cards
from zoo.detector import detect_faces
from zoo.errors import ZooError
from zoo.schemes import SCHEMES

QUESTION = "Do better landmarks make better face recognition?"
NAIVE, MESH = "detector's naive points", "MediaPipe mesh"
NOISES = (0.02, 0.05, 0.1, 0.2)  # standard deviation of each coordinate, in eye distances
BIASES = (0.05, 0.1)  # nose and mouth this much lower in all pictures, in eye distances, as the detector's are
DEFAULT_NOISY = "mixed-035-128.open:int8"
_JUDGED = f"TAR@FAR {verification.FARS[0]:g}"


@dataclass(frozen=True)
class Arm:
    """One way to align: what it is called, whose points it takes, and what is done to them.

    Attributes:
      name, base: of this way, and of the points that noise or bias was put on (its own name where none was).
      noise, bias: in eye distances.
      scores: (P,) inner products of the pairs' vectors.
      figures: by name, with intervals.
    """

    name: str
    base: str
    noise: float
    bias: float
    scores: np.ndarray
    figures: dict[str, Estimate]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the study's arguments."""
    parser.add_argument(
        "--pairs",
        default="synthetic",
        metavar="SET",
        help="'synthetic' (drawn persons, the default), a folder of persons, LFW's folder with pairs.txt, or a .bin file",
    )
    parser.add_argument(
        "--recogniser", metavar="FILE", help="an .onnx or .tflite file of 112 x 112 pixels (default: none, pixels are compared)"
    )
    parser.add_argument(
        "--normalisation", default="imagenet", choices=tuple(recognisers.NORMALISATIONS), help="of its input (default %(default)s)"
    )
    parser.add_argument("--bgr", action="store_true", help="it takes blue first")
    parser.add_argument("--weights", action="append", metavar="NAME|FILE", help="align by these (default: all published, int8 and float32)")
    parser.add_argument(
        "--noisy",
        action="append",
        metavar="NAME",
        help=f"put noise and bias on these, too; '{MESH}' is possible (default: {DEFAULT_NOISY})",
    )
    parser.add_argument("--draws", type=int, default=verification.DRAWS, help="of the bootstrap (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of pairs, noise and draws (default %(default)s)")


def run(args: argparse.Namespace) -> Outcome:
    """Aligns, embeds, compares; a ZooError where an input cannot be used."""
    if args.draws < 10:
        raise ZooError(f"--draws must be at least 10, received {args.draws}")
    names = args.weights or [f"{name}:{precision}" for name in cards.published() for precision in reversed(cards.FILES)]
    noisy = args.noisy or ([DEFAULT_NOISY] if args.weights is None else args.weights[:1])
    names = list(dict.fromkeys([*names, *(name for name in noisy if name not in (NAIVE, MESH))]))  # what is disturbed is shown undisturbed
    for name in names:
        resolve(name)
    title, embed = recognisers.open_recogniser(args.recogniser, args.normalisation, args.bgr)
    pairs = read_pairs(args.pairs, args.seed)
    points, usable, eyes = find_points(pairs, names)
    kept = pairs.kept(usable)
    if not (kept.same.any() and (~kept.same).any()):
        raise ZooError(f"{pairs.title}: the detector found a face in {int(usable.sum())} of {len(usable)} pictures, which leaves no pairs")
    weights = verification.draw_weights(kept.indices, kept.persons, args.draws, args.seed)
    arms, ways = [], plan([NAIVE, *names, MESH], [NAIVE, *noisy])
    moved = [disturb(points[base], eyes, noise, bias, args.seed) for _, base, noise, bias in ways]
    for (name, base, noise, bias), vectors in zip(ways, embedded(pairs, moved, usable, embed), strict=True):
        scores = (vectors[kept.indices[:, 0]] * vectors[kept.indices[:, 1]]).sum(1)
        arms.append(Arm(name, base, noise, bias, scores, verification.estimates(scores, kept.same, kept.folds, weights)))
    return outcome(arms, kept, title, int((~usable).sum()), args)


def plan(bases: Sequence[str], noisy: Sequence[str]) -> list[tuple[str, str, float, float]]:
    """Returns every way to align as (name, base, noise, bias)."""
    ways = [(name, name, 0.0, 0.0) for name in bases]
    for base in dict.fromkeys(noisy):
        ways += [(f"{base}, noise {noise:g}", base, noise, 0.0) for noise in NOISES]
        ways += [(f"{base}, lowered {bias:g}", base, 0.0, bias) for bias in BIASES]
    return ways


def find_points(pairs: Pairs, names: Sequence[str]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Returns everybody's points on every picture.

    The detector's largest face counts; every landmarker is aligned by its naive points. A picture in which it, or the mesh, sees no face
    is used by no way to align, so that all are measured on the same pairs.

    Returns:
      Points (pictures, 4 or 5, 2) by name, image pixels; which pictures are usable (pictures,) bool; eye distances (pictures,) in pixels.
    """
    finders = {name: landmarker(name) for name in names}
    count, five = len(pairs.pictures), SCHEMES["106"].five_points
    points = {NAIVE: np.zeros((count, 4, 2)), MESH: np.zeros((count, 5, 2))} | {name: np.zeros((count, 5, 2)) for name in names}
    usable = np.zeros(count, bool)
    for index, picture in enumerate(tqdm(pairs.pictures, desc=f"landmarks of {pairs.title}", unit="picture")):
        image = picture.read()
        faces = detect_faces(image, "both")
        meshes = teacher.find_meshes(image) if faces else []
        if not meshes:
            continue
        naive = faces[0].points
        mesh = min((teacher.mesh_to_106(some) for some in meshes), key=lambda some: np.linalg.norm(some.mean(0) - naive.mean(0)))
        if np.linalg.norm(mesh.mean(0) - naive.mean(0)) > 2 * np.linalg.norm(naive[0] - naive[1]):
            continue  # another face
        try:
            found = {name: five(find.at(image, faces[0]).points) for name, find in finders.items()}
        except ZooError:
            continue
        points[NAIVE][index], points[MESH][index], usable[index] = naive, five(mesh), True
        for name, some in found.items():
            points[name][index] = some
    eyes = np.linalg.norm(points[MESH][:, 0] - points[MESH][:, 1], axis=1)
    return points, usable & (eyes > 0), eyes


def disturb(points: np.ndarray, eyes: np.ndarray, noise: float, bias: float, seed: int) -> np.ndarray:
    """Returns points (pictures, N, 2) with Gaussian noise on every coordinate, nose and mouth lowered along the face; amounts in `eyes`."""
    rng = np.random.default_rng([seed, points.shape[1]])
    across = points[:, 1] - points[:, 0]
    down = np.stack([-across[:, 1], across[:, 0]], 1) / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    moved = points + noise * eyes[:, None, None] * rng.standard_normal(points.shape)
    moved[:, 2:] += bias * (eyes[:, None] * down)[:, None]
    return moved


def embedded(pairs: Pairs, ways: Sequence[np.ndarray], usable: np.ndarray, embed: recognisers.Embed) -> np.ndarray:
    """Returns the unit vectors (ways, pictures, D) of crops aligned by each way's points (pictures, 4 or 5, 2); each picture is read once.

    Pictures that are not used have zeros.
    """
    vectors = None
    for index in tqdm(np.flatnonzero(usable), desc="recognise", unit="picture", leave=False):
        image = pairs.pictures[index].read()
        for way, points in enumerate(ways):
            vector = embed(recognisers.aligned(image, points[index])[None])[0]
            if vectors is None:
                vectors = np.zeros((len(ways), len(pairs.pictures), len(vector)))
            vectors[way, index] = vector
    return vectors


# ---- what is said of it ---------------------------------------------------------------------------------------------------------------


def rows(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Returns a row for each way to align, with its change against the naive points on the same pairs."""
    table = []
    for arm in arms:
        row: dict[str, Any] = {"aligned by": arm.name}
        for name, one in arm.figures.items():
            row |= {f"{name} %": round(100 * one.value, 2), f"{name} 95 %": f"{100 * one.low:.2f}..{100 * one.high:.2f}"}
        change = arm.figures[_JUDGED].less(arms[0].figures[_JUDGED])
        row[f"{_JUDGED} change"] = None if arm is arms[0] else f"{signed(change.value)} ({signed(change.low)}..{signed(change.high)})"
        table.append(row)
    return table


def outcome(arms: Sequence[Arm], pairs: Pairs, recogniser: str, unused: int, args: argparse.Namespace) -> Outcome:
    """Returns the study's outcome."""
    genuine = int(pairs.same.sum())
    conditions = {
        "pairs": f"{genuine} genuine and {len(pairs.same) - genuine} impostor pairs of {pairs.title}, {len(np.unique(pairs.folds))} folds",
        "persons": "not known" if pairs.persons is None else len(np.unique(pairs.persons[pairs.indices])),
        "pictures": f"{len(np.unique(pairs.indices))} used; {unused} of {len(pairs.pictures)} left out, since no face was found in them",
        "recogniser": recogniser, "draws": args.draws, "seed": args.seed,
    }  # fmt: skip
    seen = [f"`{arm.name}`" for arm in arms if arm.name == arm.base and pairs.title in _trained_on(arm.name)]
    if seen:
        conditions["seen in training"] = f"these pictures, but not who is in them, by {listed(seen)}"
    return Outcome(
        "recognition", QUESTION, findings(arms, recogniser), {"Ways to align": rows(arms)}, conditions, _NOTES, plot(arms, pairs)
    )


def _trained_on(name: str) -> set[str]:
    """Returns the sources that published weights were trained on, by their cards; none for anything else."""
    weights = name.partition(":")[0]
    return {row["source"] for row in cards.read_card(weights)["data"]} if weights in cards.published() else set()


def findings(arms: Sequence[Arm], recogniser: str) -> tuple[str, str, str]:
    """Returns three sentences that follow from the figures."""
    naive, clean = arms[0], [arm for arm in arms[1:] if not arm.noise and not arm.bias]
    ours = [arm for arm in clean if arm.name != MESH]
    best = max(ours, key=lambda arm: arm.figures[_JUDGED].value)
    mesh = next((arm for arm in clean if arm.name == MESH), None)
    told = [arm for arm in ours if arm.figures[_JUDGED].less(naive.figures[_JUDGED]).distinct]
    first = (
        f"{_JUDGED} is {_value(naive)} by the {NAIVE}, {_value(best)} by `{best.name}`, the best of {len(ours)} files of the zoo"
        + (f", and {_value(mesh)} by MediaPipe's mesh" if mesh else "")
        + f"; against the naive points `{best.name}` changes it by {_change(best, naive)}, {_verdict(best, naive)}"
        + (f", and against the mesh by {_change(best, mesh)}, {_verdict(best, mesh)}" if mesh else "")
        + f"; of the {len(ours)} files {len(told)} can be told from the naive points."
    )
    return first, _noise_sentence(arms), _claim_sentence(best, naive, mesh, recogniser)


def _noise_sentence(arms: Sequence[Arm]) -> str:
    said = []
    for base in dict.fromkeys(arm.base for arm in arms if arm.noise):
        clean = next((arm for arm in arms if arm.name == base), None)
        noisy = sorted((arm for arm in arms if arm.base == base and arm.noise), key=lambda arm: arm.noise)
        lowered = [arm for arm in arms if arm.base == base and arm.bias]
        if clean is None:
            continue
        harmful = [arm for arm in noisy if _harms(arm, clean)]
        costs = listed([f"{_change(arm, clean)} at {arm.noise:g}" for arm in noisy])
        told = f"the first that can be told is {harmful[0].noise:g}" if harmful else "none of which can be told"
        biased = listed([f"{_change(arm, clean)} at {arm.bias:g}" for arm in lowered])
        said.append(
            f"noise on the points of `{base}`, in eye distances, changes it by {costs}, {told}; lowering nose and mouth by {biased}"
        )
    return (". ".join(f"{text[0].upper()}{text[1:]}" for text in said) or "No noise was put on any points") + "."


def _harms(arm: Arm, clean: Arm) -> bool:
    change = arm.figures[_JUDGED].less(clean.figures[_JUDGED])
    return change.distinct and change.value < 0


def _claim_sentence(best: Arm, naive: Arm, mesh: Arm | None, recogniser: str) -> str:
    if recogniser == recognisers.STAND_IN:
        return "No recogniser was given: pixels were compared in its place, which says that the study runs and nothing of recognition."
    change = best.figures[_JUDGED].less(naive.figures[_JUDGED])
    if change.distinct and change.value > 0:
        found = "landmarks more exact than the detector's do help this recogniser on these pictures"
    elif change.distinct:
        found = "landmarks more exact than the detector's harm this recogniser on these pictures"
    else:
        found = "landmarks more exact than the detector's make no difference to this recogniser that these pictures could show"
    if mesh is not None and not best.figures[_JUDGED].less(mesh.figures[_JUDGED]).distinct:
        found += "; between landmarks of the zoo and the mesh they show none"
    return f"The paper tests the effect of its landmarks on recognition with a public model and public benchmarks; here {found}."


def _value(arm: Arm) -> str:
    one = arm.figures[_JUDGED]
    return f"{100 * one.value:.2f} % (95 % {100 * one.low:.2f}..{100 * one.high:.2f})"


def _change(arm: Arm, other: Arm) -> str:
    change = arm.figures[_JUDGED].less(other.figures[_JUDGED])
    return in_points(change.value, change.low, change.high)


def _verdict(arm: Arm, other: Arm) -> str:
    change = arm.figures[_JUDGED].less(other.figures[_JUDGED])
    return "within noise" if not change.distinct else "more than noise"


def plot(arms: Sequence[Arm], pairs: Pairs) -> Any:
    """Returns TAR against landmark noise, with intervals, and ROC curves."""
    figure, axes = plots.new_figure(2, width=6.2, height=4.4)
    left, right = axes[0]
    for index, base in enumerate(dict.fromkeys(arm.base for arm in arms if arm.noise)):
        some = sorted((arm for arm in arms if arm.base == base and not arm.bias), key=lambda arm: arm.noise)
        for number, name in enumerate(f"TAR@FAR {far:g}" for far in verification.FARS):
            values = np.array([[arm.figures[name].value, arm.figures[name].low, arm.figures[name].high] for arm in some]).T * 100
            line = {"color": plots.COLOURS[index], "linestyle": plots.LINES[number]}
            left.plot([arm.noise for arm in some], values[0], "o", label=f"{base}, {name}", **line)
            left.fill_between([arm.noise for arm in some], values[1], values[2], color=plots.COLOURS[index], alpha=0.12, linewidth=0)
    left.set(xlabel="noise on every coordinate, eye distances", ylabel="TAR, %")
    left.legend(fontsize=7, frameon=False, loc="lower left")
    shown = [arm for arm in arms if not arm.bias and arm.noise in (0.0, NOISES[-1])]
    for index, arm in enumerate(shown):
        far, tar = verification.roc(arm.scores, pairs.same)
        right.plot(np.maximum(far, 0.5 / max(1, len(far))), 100 * tar, linewidth=1.2, label=arm.name, **plots.style(index))
    right.set(xscale="log", xlabel="FAR", ylabel="TAR, %")
    right.legend(fontsize=6, frameon=False, loc="lower right")
    return figure


_NOTES = (
    "Every picture is cut to 112 x 112 pixels by the least-squares similarity from five points (of the detector's: four, with the mouth's "
    "centre) to ArcFace's template, and goes through the recogniser once, not mirrored. All ways to align use the same pictures and pairs: "
    "those in which detector and mesh see a face; the landmarkers are aligned by the detector's naive points. Accuracy: each fold's "
    "threshold is found on the other folds. TAR@FAR: share of genuine pairs above the threshold that so many impostors reach. Intervals: "
    "bootstrap over persons (over pairs where nobody says who is who), the same draws for every way, so that changes are paired. Noise: "
    "Gaussian, standard deviation on every coordinate; lowered: nose and mouth moved down along the face in every picture, both in eye "
    "distances. Of the paper only the abstract is known to this project: its recogniser, its benchmarks and its figures are not reproduced."
)
