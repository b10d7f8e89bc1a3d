"""What the product reads, each format as a small whole file and the function that opens it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from training.learning import runs
from training.learning.configuration import Configuration, to_json
from zoo import cards
from zoo.errors import ZooError
from zoo.files import read_json, read_npz
from zoo.images import read_image
from zoo.nets.weights import read_arrays
from zoo.runtime.interpreter import open_model
from zoo.video_reader import open_video
from zoo.video_writer import VideoWriter

MODEL = "mixed-035-064.research"  # the smallest


@dataclass(frozen=True)
class Format:
    """A format: `make(folder)` writes a whole file and returns its path, `read(path)` reads all of it."""

    make: Callable[[Path], Path]
    read: Callable[[Path], object]


def _picture(kind: str, mode: str = "RGB") -> Format:
    def make(folder: Path) -> Path:
        pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 4), np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, kind)
        return _written(folder / f"a.{kind.lower()}", buffer.getvalue())

    return Format(make, read_image)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _model(file: str) -> Format:
    def read(path: Path) -> None:
        model = open_model(path)
        model.forward(np.zeros((model.input_size, model.input_size, 3), np.uint8))

    return Format(lambda folder: _written(folder / "a.tflite", (cards.weights_folder(MODEL) / file).read_bytes()), read)


def _arrays(folder: Path) -> Path:
    np.savez_compressed(folder / "a.npz", bias=np.arange(500, dtype=np.float32), kernel=np.ones((3, 3, 8), np.float16))
    return folder / "a.npz"


def _checkpoint(folder: Path) -> Path:
    state = [np.ones(50, np.float32)]
    runs.save_checkpoint(folder, runs.Checkpoint(3, state, state, [{"step": 3, "nme_percent": 1.0}], 1.0))
    return folder / "checkpoint.npz"


def _configuration(folder: Path) -> Path:
    values = {"configuration": to_json(Configuration("mixed-035-064")), "parent": "x", "data": [{"source": "a", "faces": 3}]}
    return _written(folder / "config.json", json.dumps(values).encode())


def _video(folder: Path) -> Path:
    writer = VideoWriter(folder / "a.mp4", Fraction(25))
    for index in range(6):
        writer.add(np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8), index / 25)
    return writer.finish()


def _read_video(path: Path) -> None:
    video = open_video(path)
    try:
        list(video.frames())
    finally:
        video.close()


FORMATS: dict[str, Format] = {
    "TFLite, int8": _model("int8.tflite"),
    "TFLite, float16 weights": _model("float16.tflite"),
    "weights (.npz)": Format(_arrays, read_arrays),
    "arrays (.npz)": Format(_arrays, read_npz),
    "checkpoint": Format(_checkpoint, lambda path: runs.read_checkpoint(path.parent)),
    "configuration": Format(_configuration, lambda path: (runs.read_configuration(path.parent), runs.read_facts(path.parent))),
    "JSON": Format(_configuration, read_json),
    "video (MP4)": Format(_video, _read_video),
    **{kind: _picture(kind, "RGBA") for kind in ("PNG", "WEBP", "TIFF")},
    **{kind: _picture(kind) for kind in ("JPEG", "BMP", "GIF", "AVIF")},
}


def open_on(name: str, folder: Path, times: int, seed: int, send: Connection) -> None:
    """Opens mutated files in turn; sends each one's number, then what was found, the fault that ended it, and the peak in MB."""
    form, found, fault = FORMATS[name], Counter(), ""
    path = form.make(folder)
    content = path.read_bytes()
    for trial in range(times):
        send.send(trial)
        path.write_bytes(mutated(content, random.Random(f"{seed} {trial}")))
        try:
            form.read(path)
            found["read"] += 1
        except ZooError as error:
            found["refused"] += 1
            fault = f"more than one line: {error}" if "\n" in str(error) else ""
        except BaseException as error:
            fault = f"{type(error).__name__}: {error}"
        if fault:
            break
    status = Path("/proc/self/status").read_text(encoding="ascii")  # not ru_maxrss, which is taken over from the starting process
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    send.send((found, fault, peak_kb // 1024))


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Returns the content with 1 to 8 bytes changed, mostly near its ends, where headers lie; one in eight is cut as well."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        near = min(len(changed), chance.choice((64, 512, 4096, len(changed))))
        at = chance.randrange(near) if chance.random() < 0.7 else len(changed) - 1 - chance.randrange(near)
        changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, changed[at] ^ (1 << chance.randrange(8)), chance.randrange(256)))
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 1 / 8 else changed)
