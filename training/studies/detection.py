"""How many faces are found, which way up and how small, how exactly, and in what time beside MediaPipe's mesh?"""

from __future__ import annotations

import argparse
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from training.evaluation import plots
from training.evaluation.faces import Face, known_points, measurable, picture, samples, title
from training.evaluation.models import landmarker
from training.studies.outcome import Outcome
from zoo import terminal
from zoo.alignment import Alignment
from zoo.detector import SEARCHES, detect_faces
from zoo.errors import ZooError
from zoo.landmarker import Landmarker, Prediction
from zoo.machine import cpu_model, pinned_to_one_core
from zoo.schemes import SCHEMES, to_scheme

QUESTION = "How many faces are found, which way up and how small, how accurately, and in what time beside MediaPipe's mesh?"
ANGLES_DEG = tuple(range(0, 360, 15))
# Pictures that small faces are put into (width, height), and the distances between the eyes in pixels.
CANVASES = {(448, 448): (7, 9, 12, 16, 20, 40), (1920, 1080): (9, 12, 16, 20, 28, 38, 60)}
FACE_WIDTH = 2.5  # of the detector's box, in distances between the eyes
SMALL_SHARE = 5.0  # % of the longer side: faces of this and more are promised by the fast search
PASSES = (1, 2, 3)
MESH = "MediaPipe FaceMesh, static"
# A face counts as found when its mean error is below this share of the distance between the outer eye corners.
FOUND = 0.15
SMALL_PX, LARGE_PX = 448, (1920, 1080)
_PER_CANVAS = {(448, 448): 2, (1920, 1080): 8}


@dataclass(frozen=True, eq=False)
class Placed:
    """A face in a picture (H, W, 3) uint8: its true points (N, 2) in the picture's pixels, and which of them are known (N,) bool."""

    image: np.ndarray
    points: np.ndarray
    known: np.ndarray
    scheme: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the study's arguments."""
    parser.add_argument("--source", default="synthetic", metavar="SET", help="take the faces of this labelled set (default %(default)s)")
    parser.add_argument("--faces", type=int, default=24, metavar="N", help="so many, evenly spread over the set (default %(default)s)")
    parser.add_argument("--weights", default="mixed-035-128", metavar="NAME|FILE", help="(default %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="of the timing; 0 times nothing (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of places, backgrounds and the order of the timing (default %(default)s)")


def run(args: argparse.Namespace) -> Outcome:
    """Rotates, shrinks, finds and times; a ZooError where an input cannot be used."""
    if args.faces < 2 or args.rounds < 0:
        raise ZooError(f"2 faces and 0 rounds are the least, received {args.faces} and {args.rounds}")
    find = landmarker(args.weights)
    everybody = measurable(samples(args.source))
    faces = [everybody[i] for i in np.unique(np.linspace(0, len(everybody) - 1, min(args.faces, len(everybody))).round().astype(int))]
    placed = [_placed(face) for face in tqdm(faces, desc="read", unit="face")]
    rotation, passes = rotation_rows(find, placed), passes_rows(find, placed)
    small = small_rows(find, placed, args.seed)
    speed = speed_rows(find, placed, args.rounds, args.seed) if args.rounds else []
    tables = {"Rotation": rotation, "Small faces": small, "Passes": passes} | ({"Speed": speed} if speed else {})
    conditions = {
        "faces": f"{len(faces)} of {title(args.source)}", "weights": args.weights, "seed": args.seed,
        "machine": _machine() if speed else "nothing was timed",
    }  # fmt: skip
    return Outcome("detection", QUESTION, findings(rotation, small, speed), tables, conditions, _NOTES, plot(rotation, small))


def _placed(face: Face) -> Placed:
    sample = face[0]
    return Placed(picture(face), np.asarray(sample.native_points, np.float64), known_points(sample), sample.scheme)


# ---- what is found ---------------------------------------------------------------------------------------------------------------------


def error(found: Sequence[Prediction], face: Placed) -> float:
    """Returns the mean error of the nearest face found, as a share of the outer eye corners' distance; infinite if there is none."""
    a, b = SCHEMES[face.scheme].outer_eyes
    eyes = float(np.linalg.norm(face.points[a] - face.points[b]))
    errors = [np.linalg.norm(to_scheme(one.points, face.scheme) - face.points, axis=1)[face.known].mean() / eyes for one in found]
    return float(min(errors, default=np.inf))


def rotated(face: Placed, degrees: float) -> Placed:
    """Returns the picture rotated clockwise within a black border that holds all of it."""
    height, width = face.image.shape[:2]
    side = int(np.ceil(np.hypot(width, height)))
    middle = Alignment(np.array([[1.0, 0, (side - width) / 2], [0, 1, (side - height) / 2]]), side)
    turn = middle.perturbed(degrees)
    return Placed(turn.crop(face.image), turn.to_crop(face.points), face.known, face.scheme)


def rotation_rows(find: Landmarker, faces: Sequence[Placed]) -> list[dict[str, Any]]:
    """Returns for each angle how many faces are found and how accurately, also as a multiple of the error upright."""
    rows: list[dict[str, Any]] = []
    for degrees in tqdm(ANGLES_DEG, desc="rotate", unit="angle"):
        turned = [rotated(face, degrees) for face in faces]
        found = [find.detect(face.image) for face in turned]
        rows.append({"degrees": degrees} | _recall([error(some, face) for some, face in zip(found, turned, strict=True)]))
    for row in rows:
        row["error of upright's"] = round(row["nme %"] / rows[0]["nme %"], 3)
    return rows


def _recall(errors: Sequence[float]) -> dict[str, float]:
    good = np.array([one for one in errors if one < FOUND])
    return {"found %": round(100 * len(good) / len(errors), 1), "nme %": round(100 * float(good.mean()), 3) if len(good) else float("nan")}


def passes_rows(find: Landmarker, faces: Sequence[Placed]) -> list[dict[str, Any]]:
    """Returns for each number of passes how accurate detected faces are."""
    return [
        {"passes": passes} | _recall([error(find.detect(face.image, passes=passes), face) for face in faces])
        for passes in tqdm(PASSES, desc="passes")
    ]


def small_rows(find: Landmarker, faces: Sequence[Placed], seed: int) -> list[dict[str, Any]]:
    """Returns for each canvas and size of face which share is found by each search, and how many others are beside."""
    rows = []
    for (width, height), sizes in CANVASES.items():
        for eyes_px in tqdm(sizes, desc=f"{width} x {height}", unit="size"):
            row: dict[str, Any] = {
                "picture": f"{width} x {height}", "eyes px": eyes_px, "face %": round(100 * FACE_WIDTH * eyes_px / max(width, height), 1),
            }  # fmt: skip
            scenes = list(_scenes(faces, width, height, eyes_px, seed))
            for search in SEARCHES:
                errors, count = [], 0
                for scene in scenes:
                    found = find.detect(scene[0].image, search=search)
                    errors += [error(found, face) for face in scene]
                    count += len(found)
                row |= {f"{search} found %": _recall(errors)["found %"], f"{search} others": count - sum(one < FOUND for one in errors)}
            rows.append(row)
    return rows


def _scenes(faces: Sequence[Placed], width: int, height: int, eyes_px: float, seed: int) -> list[list[Placed]]:
    """Returns pictures of a smooth random background with some faces each, as far apart as they need, so that each face is in one."""
    rng, count = np.random.default_rng([seed, width, int(eyes_px)]), _PER_CANVAS[width, height]
    scenes = []
    for first in range(0, len(faces), count):
        image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 7)
        taken: list[tuple[int, int, int, int]] = []
        scene = []
        for face in faces[first : first + count]:
            small, points = _shrunk(face, eyes_px)
            place = _free_place(rng, small.shape, (height, width), taken)
            if place is None:
                continue
            (x, y), (h, w) = place, small.shape[:2]
            image[y : y + h, x : x + w] = small
            taken.append((x, y, x + w, y + h))
            scene.append((points + [x, y], face))
        if scene:
            scenes.append([Placed(image, points, face.known, face.scheme) for points, face in scene])
    return scenes


def _shrunk(face: Placed, eyes_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the picture and its points scaled to a distance of the eyes' centres."""
    left, right = (face.points[list(eye)].mean(0) for eye in SCHEMES[face.scheme].eyes)
    scale = eyes_px / float(np.linalg.norm(left - right))
    small = cv2.resize(face.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return small, face.points * [small.shape[1] / face.image.shape[1], small.shape[0] / face.image.shape[0]]


def _free_place(rng: np.random.Generator, small: tuple, shape: tuple[int, int], taken: Sequence[tuple]) -> tuple[int, int] | None:
    for _ in range(200):
        if small[0] > shape[0] or small[1] > shape[1]:
            return None
        y, x = int(rng.integers(0, shape[0] - small[0] + 1)), int(rng.integers(0, shape[1] - small[1] + 1))
        if all(x + small[1] <= x0 or x1 <= x or y + small[0] <= y0 or y1 <= y for x0, y0, x1, y1 in taken):
            return x, y
    return None


# ---- time ------------------------------------------------------------------------------------------------------------------------------


def speed_rows(find: Landmarker, faces: Sequence[Placed], rounds: int, seed: int) -> list[dict[str, Any]]:
    """Returns for each picture the median milliseconds of the parts of `detect` and of MediaPipe's mesh, in turns on one core."""
    pictures = {
        f"{SMALL_PX} x {SMALL_PX}, 1 face": (_canvas(faces[:1], SMALL_PX, SMALL_PX, seed), 1),
        f"{LARGE_PX[0]} x {LARGE_PX[1]}, 2 faces": (_canvas(faces[:2], *LARGE_PX, seed), 2),
    }
    rows = []
    with pinned_to_one_core():
        for name, (image, count) in pictures.items():
            mesh = static_mesh(count)
            ways: dict[str, Callable[[], Any]] = {
                "detector": lambda image=image: detect_faces(image),
                "one pass": lambda image=image: find.detect(image, passes=1),
                "fast": lambda image=image: find.detect(image),
                "thorough": lambda image=image: find.detect(image, search="thorough"),
                MESH: lambda image=image, mesh=mesh: mesh(image),
            }
            times = _in_turns(ways, rounds, seed)
            row: dict[str, Any] = {"picture": name}
            row |= {f"{way}, ms": round(float(np.median(values)), 2) for way, values in times.items()}
            rows.append(row | {f"{way} of the mesh's time": round(row[f"{way}, ms"] / row[f"{MESH}, ms"], 2) for way in SEARCHES})
    return rows


def _canvas(faces: Sequence[Placed], width: int, height: int, seed: int) -> np.ndarray:
    """Returns a picture with the faces side by side at most of its height, at 448 px filling it."""
    image = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8), (0, 0), 9)
    for index, face in enumerate(faces):
        side = min(SMALL_PX, width // len(faces), height)
        x, y = (2 * index + 1) * width // (2 * len(faces)) - side // 2, (height - side) // 2
        image[y : y + side, x : x + side] = cv2.resize(face.image, (side, side), interpolation=cv2.INTER_AREA)
    return image


def static_mesh(faces: int) -> Callable[[np.ndarray], Any]:
    """Returns MediaPipe's refined face mesh for single pictures, as a function of (H, W, 3) uint8 RGB."""
    with terminal.without_stderr():
        from mediapipe.python.solutions.face_mesh import FaceMesh
    mesh = FaceMesh(static_image_mode=True, max_num_faces=faces, refine_landmarks=True)
    return lambda image: mesh.process(image).multi_face_landmarks


def _in_turns(ways: dict[str, Callable[[], Any]], rounds: int, seed: int) -> dict[str, list[float]]:
    """Returns milliseconds by way, a value for each round; the first round warms up."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    order, shuffle = list(ways), random.Random(seed)
    for _ in tqdm(range(rounds + 1), desc="time", unit="round"):
        shuffle.shuffle(order)
        for way in order:
            start = time.perf_counter()
            ways[way]()
            times[way].append(1e3 * (time.perf_counter() - start))
    return {way: values[1:] for way, values in times.items()}


def _machine() -> str:
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("ai-edge-litert", "mediapipe", "numpy"))
    return f"{cpu_model()}, one core; Python {platform.python_version()}, {packages}"


# ---- what is said of it ----------------------------------------------------------------------------------------------------------------


def findings(rotation: Sequence[dict], small: Sequence[dict], speed: Sequence[dict]) -> tuple[str, str, str]:
    """Returns three sentences that follow from the figures."""
    upright, least = rotation[0], min(rotation, key=lambda row: row["found %"])
    worst = max(rotation, key=lambda row: row[_OF_UPRIGHT])
    first = (
        f"Upright {upright['found %']:g} % of the faces are found, with an error of {upright['nme %']:.2f} % of the distance between the "
        f"outer eye corners; of pictures rotated in steps of 15 degrees, at least {least['found %']:g} % (at {least['degrees']} degrees), "
        f"with at most {worst[_OF_UPRIGHT]:.2f} times the error (at {worst['degrees']} degrees)."
    )
    promised = [row for row in small if row["face %"] >= SMALL_SHARE]
    fast, thorough, all_sizes = (
        float(np.mean([row[f"{search} found %"] for row in rows]))
        for search, rows in (("fast", promised), ("thorough", promised), ("thorough", small))
    )
    second = (
        f"Of faces of {SMALL_SHARE:g} % of the picture's longer side and more the fast search finds {fast:.1f} %, the thorough one "
        f"{thorough:.1f} %; of all sizes tried, down to {min(row['eyes px'] for row in small)} px between the eyes, the thorough one finds "
        f"{all_sizes:.1f} %."
    )
    if not speed:
        return first, second, "Nothing was timed."
    fast, thorough = (f"{search} of the mesh's time" for search in ("fast", "thorough"))
    parts = [f"{row[fast]:.2f} times (thorough {row[thorough]:.2f}) on {row['picture']}" for row in speed]
    return first, second, f"On one core `detect` takes, of the time of MediaPipe's FaceMesh in the same run, {' and '.join(parts)}."


_OF_UPRIGHT = "error of upright's"
_NOTES = """A face is found when the mean error over its labelled points is below 15 % of the distance between the outer eye corners.
Rotated pictures are put into a black border, nothing is cut off. Small faces are whole pictures scaled down and put on a smooth random
background; "face %" is 2.5 times the distance between the eyes, the detector's box, over the longer side; "others" are finds that are no
labelled face, some of which are faces that nobody labelled. Times are medians, in turns in random order; "detector" is `detect_faces`,
"one pass" adds one run of the network for each face, "fast" (the default) two."""


def plot(rotation: Sequence[dict], small: Sequence[dict]) -> Any:
    """Returns the figure: error and recall by angle, and recall by size."""
    figure, axes = plots.new_figure(2)
    by_angle, by_size = axes[0]
    degrees = [row["degrees"] for row in rotation]
    by_angle.plot(degrees, [row["found %"] for row in rotation], label="found, %", **plots.style(0))
    by_angle.plot(degrees, [100 * row[_OF_UPRIGHT] for row in rotation], label="error, % of upright's", **plots.style(1))
    by_angle.set(xlabel="rotation, degrees", ylim=(0, 140))
    plots.legend_below(by_angle)
    shapes = dict.fromkeys(row["picture"] for row in small)
    for index, (shape, search) in enumerate((shape, search) for shape in shapes for search in SEARCHES):
        rows = [row for row in small if row["picture"] == shape]
        sizes, found = [row["eyes px"] for row in rows], [row[f"{search} found %"] for row in rows]
        by_size.plot(sizes, found, marker="o", markersize=3, label=f"{shape}, {search}", **plots.style(index))
    by_size.set(xlabel="distance between the eyes, px", ylabel="found, %", ylim=(0, 105), xscale="log")
    plots.legend_below(by_size)
    return figure
