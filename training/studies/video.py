"""How steady, how late and how fast are points on moving pictures, beside MediaPipe's mesh in tracking mode on the same frames?"""

from __future__ import annotations

import argparse
import functools
import platform
import random
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from tqdm import tqdm

from training.evaluation import plots
from training.evaluation.faces import Face, measurable, picture, samples, title
from training.evaluation.metrics import Difference, mean_interval, paired_difference
from training.evaluation.models import landmarker, resolve
from training.evaluation.words import in_points, says
from training.studies import motion
from training.studies.motion import FRAMES_PER_S, SIZE_PX, Frame
from training.studies.outcome import Outcome
from training.studies.steadiness import WARM_UP_FRAMES, Follow, Steadiness, measure
from training.teacher.finder import mesh_vertices
from training.teacher.mesh import mesh_to_106
from zoo import terminal
from zoo.errors import ZooError
from zoo.landmarker import Landmarker
from zoo.machine import cpu_model, pinned_to_one_core
from zoo.one_euro import Smoothing
from zoo.schemes import SCHEMES
from zoo.tracker import Tracker

QUESTION = "How steady, how late and how fast are the points on video, beside MediaPipe's mesh?"
MESH, PLAIN_MESH = "MediaPipe mesh", "MediaPipe mesh without irises"
WAYS = {"detector": (False, None), "tracking": (True, None), "tracking + filter": (True, Smoothing())}
DEFAULT_WEIGHTS = tuple(
    f"{head}-035-128.research:{precision}" for head in ("mixed", "deconv", "shuffle") for precision in ("int8", "float32")
)
FASTER = 2.0  # how many times MediaPipe's rate is asked for
_TIMED_FACES = (1, 4)
_FRAMES_PER_TURN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the study's arguments."""
    parser.add_argument("--source", default="synthetic", metavar="SET", help="take the faces of this labelled set (default %(default)s)")
    parser.add_argument("--faces", type=int, default=24, metavar="N", help="so many, evenly spread over the set (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each clip (default %(default)s)")
    parser.add_argument("--weights", action="append", metavar="NAME|FILE", help="the first is compared with MediaPipe's mesh; repeatable")
    parser.add_argument("--rounds", type=int, default=12, help="of the timing; 0 times nothing (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of motion and noise (default %(default)s)")


def run(args: argparse.Namespace) -> Outcome:
    """Renders, follows, compares; a ZooError where an input cannot be used."""
    frames = round(args.seconds * FRAMES_PER_S)
    if args.faces < 2 or frames < 2 * WARM_UP_FRAMES or args.rounds < 0:
        least = 2 * WARM_UP_FRAMES / FRAMES_PER_S
        raise ZooError(f"2 faces, {least:g} s and 0 rounds are the least, received {args.faces}, {args.seconds:g} and {args.rounds}")
    names = list(args.weights or DEFAULT_WEIGHTS)
    for name in names:
        resolve(name)
    everybody = measurable(samples(args.source))
    faces = [everybody[i] for i in np.unique(np.linspace(0, len(everybody) - 1, min(args.faces, len(everybody))).round().astype(int))]
    finders = {name: landmarker(name) for name in names}
    ways = {f"{name}, {way}": functools.partial(_ours, find, *how) for name, find in finders.items() for way, how in WAYS.items()}
    ways[MESH] = mesh_follower
    found: dict[str, list[Steadiness]] = {way: [] for way in ways}
    for index, face in enumerate(tqdm(faces, desc="faces", unit="face")):
        clips = [
            list(make(picture(face), face[0].five, frames, args.seed + index)) for make in (motion.resting, motion.still, motion.moving)
        ]
        eyes_px = motion.scale_of(face[0].five) * SCHEMES[face[0].scheme].eye_distance(face[0].native_points)
        for way, start in ways.items():
            found[way].append(measure(start, *clips, eyes_px))
    blind = [way for way, some in found.items() if any(one.missed == 1 for one in some)]
    if blind:
        raise ZooError(f"{blind[0]} found one of the {len(faces)} faces in no frame: nothing can be compared; take other faces")
    speed = time_all(finders, faces, args.rounds, args.seed) if args.rounds else {}
    tables = {"Steadiness": rows(found, [face[0].group for face in faces])} | ({"Speed": speed_rows(speed)} if speed else {})
    conditions = {
        "faces": f"{len(faces)} of {title(args.source)}",
        "clips": f"{frames} frames of {SIZE_PX} x {SIZE_PX} px, {FRAMES_PER_S:g} a second",
        "seed": args.seed,
        "machine": _machine() if speed else "nothing was timed",
    }
    sentences = findings(found, speed, names, [face[0].group for face in faces])
    return Outcome("video", QUESTION, sentences, tables, conditions, _NOTES, plot(found, speed))


def _ours(find: Landmarker, tracking: bool, smoothing: Smoothing | None) -> Follow:
    track = Tracker(find, max_faces=1, tracking=tracking, smoothing=smoothing)

    def follow(frame: Frame) -> np.ndarray | None:
        found = track(frame.image, frame.time_s)
        return found[0].prediction.points if found else None

    return follow


def mesh_follower(faces: int = 1, irises: bool = True) -> Follow:
    """Returns MediaPipe's face mesh in tracking mode, as a function of frames; its points are mapped to the 106 by geometry."""
    with terminal.without_stderr():
        from mediapipe.python.solutions.face_mesh import FaceMesh
    mesh = FaceMesh(static_image_mode=False, max_num_faces=faces, refine_landmarks=irises)

    def follow(frame: Frame) -> np.ndarray | None:
        found = mesh.process(frame.image).multi_face_landmarks
        if not found or not irises:
            return None
        return mesh_to_106(mesh_vertices(found[0].landmark, *frame.image.shape[:2]))

    return follow


# ---- speed ----------------------------------------------------------------------------------------------------------------------------


def time_all(finders: Mapping[str, Landmarker], faces: Sequence[Face], rounds: int, seed: int) -> dict[tuple[str, int], list[float]]:
    """Returns milliseconds a frame, end to end once tracking, by (way, faces in the frame): a value for each round.

    The process is pinned to one core, so that MediaPipe's own threads make no difference; the ways take turns in random order.
    """
    with pinned_to_one_core():
        takers: dict[tuple[str, int], Callable[[Frame], Any]] = {}
        scenes = {count: _scene(faces, count, seed) for count in _TIMED_FACES}
        for count in _TIMED_FACES:
            for name, find in finders.items():
                track = Tracker(find, max_faces=count)
                takers[name, count] = lambda frame, track=track: track(frame.image, frame.time_s)
            takers[MESH, count] = mesh_follower(count)
            takers[PLAIN_MESH, count] = mesh_follower(count, irises=False)
        times: dict[tuple[str, int], list[float]] = {key: [] for key in takers}
        order, shuffle = list(takers), random.Random(seed)
        for turn in tqdm(range(rounds + 1), desc="time", unit="round"):
            shuffle.shuffle(order)
            for key in order:
                scene = scenes[key[1]]
                some = [scene[i % len(scene)] for i in range(turn * _FRAMES_PER_TURN, (turn + 1) * _FRAMES_PER_TURN)]
                began_s = turn * _FRAMES_PER_TURN / FRAMES_PER_S
                some = [Frame(frame.image, began_s + i / FRAMES_PER_S, frame.motion) for i, frame in enumerate(some)]
                start = time.perf_counter()
                for frame in some:
                    takers[key](frame)
                times[key].append(1e3 * (time.perf_counter() - start) / len(some))
    return {key: values[1:] for key, values in times.items()}  # the first round finds the faces


def _scene(faces: Sequence[Face], count: int, seed: int) -> list[Frame]:
    """Returns frames with one moving face, or with four side by side, there and back so that it can go on without a cut."""
    clips = []
    for index in range(count):
        face = faces[index % len(faces)]
        clips.append(list(motion.moving(picture(face), face[0].five, 30, seed + index)))
    tiles = [[clip[i].image for clip in clips] for i in range(30)]
    images = [np.vstack([np.hstack(row) for row in (some[:2], some[2:])]) if count == 4 else some[0] for some in tiles]
    frames = [Frame(image, 0.0, clip.motion) for image, clip in zip(images, clips[0], strict=True)]
    return frames + frames[-2:0:-1]


def speed_rows(speed: Mapping[tuple[str, int], Sequence[float]]) -> list[dict[str, Any]]:
    """Returns a row for each way, with its rate as a multiple of MediaPipe's in the same run."""
    table = []
    for name in dict.fromkeys(name for name, _ in speed):
        row: dict[str, Any] = {"way": name}
        for count in _TIMED_FACES:
            ms, mesh, plain = (float(np.median(speed[key, count])) for key in (name, MESH, PLAIN_MESH))
            faces = f"{count} face{'s' * (count > 1)}"
            row |= {
                f"{faces}, ms": round(ms, 2),
                f"{faces}, frames/s": round(1e3 / ms),
                f"{faces}, of the mesh's rate": round(mesh / ms, 2),
                f"{faces}, of the plain mesh's rate": round(plain / ms, 2),
            }
        table.append(row)
    return table


def _machine() -> str:
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("ai-edge-litert", "mediapipe", "numpy"))
    return f"{cpu_model()}, one core; Python {platform.python_version()}, {packages}"


# ---- what is said of it ---------------------------------------------------------------------------------------------------------------


def rows(found: Mapping[str, Sequence[Steadiness]], groups: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a row for each way: means over faces, with intervals of the two main figures."""
    table = []
    for way, some in found.items():
        row: dict[str, Any] = {"way": way}
        for name, label in (("resting", "at rest"), ("resting_all", "at rest, all 106"), ("still", "trembling"), ("moving", "moving")):
            values = np.array([getattr(one, name) for one in some])
            row[f"{label} %"] = round(float(values.mean()), 3)
            if name in ("resting", "moving"):
                low, high = mean_interval(values, groups=groups)
                row[f"{label} 95 %"] = f"{low:.3f}..{high:.3f}"
        row["lag ms"] = round(float(np.mean([one.lag_ms for one in some])), 2)
        row["missed %"] = round(100 * float(np.mean([one.missed for one in some])), 2)
        table.append(row)
    return table


def _difference(
    found: Mapping[str, Sequence[Steadiness]], way: str, other: str, figure: str, groups: Sequence[str], unit: float = 100
) -> Difference:
    pair = [np.array([getattr(one, figure) for one in found[name]]) / unit for name in (way, other)]
    return paired_difference(*pair, groups)


def findings(
    found: Mapping[str, Sequence[Steadiness]], speed: Mapping[tuple[str, int], Sequence[float]], names: Sequence[str], groups: Sequence[str]
) -> tuple[str, str, str]:
    """Returns three sentences that follow from the figures."""
    main, means = names[0], {way: _means(some) for way, some in found.items()}
    filtered, raw, detected = (f"{main}, {way}" for way in ("tracking + filter", "tracking", "detector"))
    rest, unfiltered = (_difference(found, way, MESH, "resting", groups) for way in (filtered, raw))
    all_points = _difference(found, filtered, MESH, "resting_all", groups)
    first = (
        f"Before a camera at rest the points of `{main}` tremble by {means[filtered].resting:.3f} % of the eye distance once tracked and "
        f"filtered, by {means[raw].resting:.3f} % without the filter, by {means[detected].resting:.3f} % with the detector in every frame, "
        f"MediaPipe's mesh by {means[MESH].resting:.3f} %: filtered less the mesh is {_steadier(rest)}, over all 106 points "
        f"{_steadier(all_points)}, and without the filter {_steadier(unfiltered)}."
    )
    off = _difference(found, filtered, MESH, "moving", groups)
    late, raw_late = (_difference(found, way, MESH, "lag_ms", groups, unit=1) for way in (filtered, raw))
    verdict = ("nearer" if off.mean < 0 else "further off") if off.distinct else "not to be told apart"
    second = (
        f"In motion they lie {means[filtered].moving:.2f} % from where they were at rest and are {means[filtered].lag_ms:.1f} ms late "
        f"({means[raw].moving:.2f} % and {means[raw].lag_ms:.1f} ms without the filter), the mesh {means[MESH].moving:.2f} % and "
        f"{means[MESH].lag_ms:.1f} ms: {says(off)}, {verdict}; the aim, no more "
        f"lag than the mesh, {_aim(late)}, without the filter {_aim(raw_late)}; {_others(means, names)}."
    )
    return first, second, _speed_sentence(speed, main)


def _aim(late: Difference) -> str:
    interval = f"{late.mean:+.1f} ms, 95 % {late.low:+.1f}..{late.high:+.1f}"
    if late.mean <= 0:
        return f"is met ({interval})"
    return f"is missed ({interval})" if late.distinct else f"is not settled ({interval})"


def _steadier(change: Difference) -> str:
    verdict = ("steadier" if change.mean < 0 else "less steady") if change.distinct else "not to be told apart"
    return f"{in_points(change.mean, change.low, change.high, places=3)}, {verdict}"


def _means(some: Sequence[Steadiness]) -> Steadiness:
    return Steadiness(*(float(np.mean([getattr(one, name) for one in some])) for name in Steadiness.__dataclass_fields__))


def _others(means: Mapping[str, Steadiness], names: Sequence[str]) -> str:
    if len(names) == 1:
        return "no other file was measured"
    said = ", ".join(f"{means[f'{name}, tracking + filter'].resting:.3f} % by `{name}`" for name in names[1:])
    return f"at rest the others tremble by {said}"


def _speed_sentence(speed: Mapping[tuple[str, int], Sequence[float]], main: str) -> str:
    if not speed:
        return "Nothing was timed."
    parts, reached = [], {MESH: True, PLAIN_MESH: True}
    for count in _TIMED_FACES:
        ours, mesh, plain = (float(np.median(speed[name, count])) for name in (main, MESH, PLAIN_MESH))
        reached = {name: reached[name] and theirs / ours >= FASTER for name, theirs in ((MESH, mesh), (PLAIN_MESH, plain))}
        rates = f"{mesh / ours:.2f} times the rate of MediaPipe's mesh and {plain / ours:.2f} times that of its mesh without irises"
        parts.append(f"with {count} face{'s' * (count > 1)} {1e3 / ours:.0f} frames a second, {rates}")
    said = {True: "is reached", False: "is not reached"}
    return (
        f"On one core, once tracking, `{main}` takes {' and '.join(parts)}; the aim, twice the rate with either number of faces, "
        f"{said[reached[MESH]]} against the mesh and {said[reached[PLAIN_MESH]]} against the one without irises."
    )


def plot(found: Mapping[str, Sequence[Steadiness]], speed: Mapping[tuple[str, int], Sequence[float]]) -> Any:
    """Returns trembling at rest against the distance in motion, a mark for each way, and the frames a second where they were timed."""
    figure, axes = plots.new_figure(2 if speed else 1, width=6.4, height=4.6)
    panel, marks = axes[0, 0], dict(zip(WAYS, "sv*", strict=True))
    names = list(dict.fromkeys(way.rpartition(", ")[0] for way in found if way != MESH))
    for way, some in found.items():
        name, _, how = way.rpartition(", ")
        colour = "#111111" if way == MESH else plots.COLOURS[names.index(name) % len(plots.COLOURS)]
        means = _means(some)
        panel.plot(means.resting, means.moving, "D" if way == MESH else marks[how], color=colour, markersize=8)
    for index, name in enumerate(names):
        panel.plot([], [], "-", color=plots.COLOURS[index % len(plots.COLOURS)], label=name)
    for how, mark in marks.items():
        panel.plot([], [], mark, color="#777777", label=how)
    panel.plot([], [], "D", color="#111111", label=MESH)
    panel.set(xlabel="trembling at rest, % of the eye distance", ylabel="off in motion, % of the eye distance")
    plots.legend_below(panel)
    if speed:
        bars, keys = axes[0, 1], list(dict.fromkeys(name for name, _ in speed))
        for offset, count in zip((-0.2, 0.2), _TIMED_FACES, strict=True):
            rates = [1e3 / float(np.median(speed[key, count])) for key in keys]
            places = np.arange(len(keys)) + offset
            bars.barh(places, rates, 0.38, color=plots.COLOURS[_TIMED_FACES.index(count)], label=f"{count} face{'s' * (count > 1)}")
        bars.set_yticks(range(len(keys)), keys, fontsize=7)
        bars.invert_yaxis()
        bars.set(xlabel="frames a second, one core")
        plots.legend_below(bars)
    return figure


_NOTES = (
    "Clips are rendered from labelled pictures, each frame resampled once from the picture by a known similarity, then given fresh noise "
    f"(standard deviation {motion.NOISE_LEVELS:g} of 255) and JPEG compression (quality {motion.QUALITIES[0]} to {motion.QUALITIES[1]}). "
    f"At rest: nothing else changes. Trembling: shifts up to {motion.STILL_SHIFT_PX:g} px and turns up to {motion.STILL_ROTATION_DEG:g} "
    "degrees, new in every frame, which a filter cannot follow and is not meant to. Moving: a sway of "
    f"{motion.SWAY:g} eye distances, turns up to {motion.TURN_DEG:g} degrees, a factor of {motion.GROWTH:g} in size, periods of some two "
    "seconds. Points are mapped back by the known motion; %: of the outer eye corners' distance, over the twelve spots of core12, the "
    f"first {WARM_UP_FRAMES} frames left out. Lag: least squares of what is off on the velocity, after what goes with place, turn and "
    "size; below 0 the points lead. MediaPipe: its FaceMesh with irises, static_image_mode off, which tracks. Heads here turn in the "
    "picture's plane alone. Speed: whole frames, as many faces as are asked for, so that none is searched for; one process on one core. "
    "MediaPipe's mesh filters nothing that shows in these figures: without the filter is what compares networks, with it is what users get."
)
