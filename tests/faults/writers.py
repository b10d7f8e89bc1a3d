"""What the product writes, each writer as one function that writes version `number` and one that reads it back whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from tflite.publish import release
from training.data import packs
from training.data.npz_columns import Column, write_columns
from training.learning import runs
from training.learning.configuration import Configuration
from zoo.files import read_json, read_npz, settle, write_json, write_whole
from zoo.images import read_image, write_image
from zoo.nets.weights import read_arrays, write_published
from zoo.video_reader import open_video
from zoo.video_writer import VideoWriter

SIDE = 96
_FIVE = np.array([[30.0, 40], [60, 40], [45, 55], [35, 70], [55, 70]])


@dataclass(frozen=True)
class Writer:
    """A writer: `write(folder, number)` makes or replaces what `read(folder)` gives the number of, or refuses."""

    write: Callable[[Path, int], object]
    read: Callable[[Path], int]


def _number(found: np.ndarray) -> int:
    values = np.unique(found)
    assert len(values) == 1, f"it holds parts of versions {values}"
    return int(values[0])


def _pixels(number: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), number % 200, np.uint8)


def _write_pack(folder: Path, number: int) -> None:
    faces = ((_pixels(number), np.zeros((106, 2)), np.ones(106), _FIVE, np.zeros(106, bool), None, "somebody") for _ in range(20))
    packs._make("drawn", faces, folder / "pack")


def _read_pack(folder: Path) -> int:
    return _number(np.load(folder / "pack" / "pixels.npy"))


def _write_publication(folder: Path, number: int) -> None:
    made = folder.parent / f"made-{folder.name}"
    shutil.rmtree(made, ignore_errors=True)
    for name in ("a.npz", "b.npz"):
        write_whole(made / name, lambda file: np.savez(file, value=np.full(200_000, number)))
    release._replace(made, folder / "weights")


def _read_publication(folder: Path) -> int:
    settle(folder)
    return _number(np.concatenate([read_npz(folder / "weights" / name)["value"] for name in ("a.npz", "b.npz")]))


def _write_checkpoint(folder: Path, number: int) -> None:
    if not (folder / "config.json").is_file():
        runs.save_configuration(folder, Configuration("mixed-035-064"), {})
    state = [np.full(50_000, number, np.float32)] * 2
    runs.save_checkpoint(folder, runs.Checkpoint(number, state, state, [{"step": number, "nme_percent": 1.0}], 1.0))


def _read_checkpoint(folder: Path) -> int:
    found = runs.read_checkpoint(folder)
    return _number(np.concatenate([found.step * np.ones(1), *found.model, *found.optimizer]))


def _write_labels(folder: Path, number: int) -> None:
    column = Column(np.dtype("i4"), (106,), lambda: (np.full((16, 106), number, np.int32) for _ in range(20)))
    write_columns(folder / "labels.npz", {}, 320, {"points": column})


def _write_video(folder: Path, number: int) -> None:
    writer = VideoWriter(folder / "a.mp4", Fraction(25))
    for index in range(1 + number % 5):
        writer.add(_pixels(number), index / 25)
    writer.finish()


def _read_video(folder: Path) -> int:
    video = open_video(folder / "a.mp4")
    try:
        return len(list(video.frames()))
    finally:
        video.close()


WRITERS: dict[str, Writer] = {
    "card or configuration (JSON)": Writer(
        lambda folder, number: write_json(folder / "a.json", [number] * 5000),
        lambda folder: _number(np.array(read_json(folder / "a.json"))),
    ),
    "picture": Writer(
        lambda folder, number: write_image(folder / "a.png", _pixels(number)), lambda folder: _number(read_image(folder / "a.png"))
    ),
    "weights": Writer(
        lambda folder, number: write_published(folder / "a.npz", {"bias": np.full(100_000, number % 1000)}),
        lambda folder: _number(read_arrays(folder / "a.npz")["bias"]),
    ),
    "checkpoint": Writer(_write_checkpoint, _read_checkpoint),
    "labels file": Writer(_write_labels, lambda folder: _number(read_npz(folder / "labels.npz")["points"])),
    "pack": Writer(_write_pack, _read_pack),
    "publication": Writer(_write_publication, _read_publication),
    "video": Writer(_write_video, _read_video),
}
