"""Prepared pictures: each face cut out of its picture once, without resampling beyond whole-block averages, in memory-mapped files.

A pack is keyed by the content it was made from, so a changed source is prepared anew and an unchanged one is only opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from training.data.checks import unusable
from training.data.sources import fingerprint, read_source
from training.readers.picture import read_picture
from training.readers.problems import Problems
from training.readers.sample import MESH_COUNT, Sample
from zoo.alignment import Alignment, four_points
from zoo.errors import ZooError
from zoo.files import replacing_folder

CACHE = Path("data/packs")
_VERSION = 7
# The cut-out spans this many crops, so that every jitter stays inside it, and keeps at least this many pixels per crop side.
_SPAN, _DETAIL_PX = 1.5, 320
_NAMED_FAULTS = 3
NOTHING_HIDDEN = np.zeros(106, bool)
# What is kept of each face beside its pixels and its group, one file each: type and shape of a row.
_COLUMNS = {
    "offsets": ("<i8", ()), "shapes": ("<i8", (2,)), "points": ("<f4", (106, 2)), "weights": ("<f4", (106,)), "five": ("<f4", (4, 2)),
    "hidden": ("|u1", (106,)), "meshes": ("<f4", (MESH_COUNT, 3)),
}  # fmt: skip


# One face on its way into a pack, as `Pack` describes it: picture, points, weights, naive points, hidden points, mesh if any, and group.
Face = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, str]


@dataclass(frozen=True)
class Pack:
    """Prepared faces of one source.

    Attributes:
      name: of the source.
      pixels: all pictures, flat, uint8, memory-mapped.
      offsets, shapes: (N,) where a picture starts and (N, 2) its height and width.
      points: (N, 106, 2) float32 in the prepared picture's pixels.
      weights: (N, 106) float32.
      five: (N, 4, 2) float32 naive points in the same frame.
      groups: (N,) who or what photograph.
      hidden: (N, 106) uint8, 1 for points that the label says something stands before.
      meshes: (N, 478, 3) float32 in the same frame, memory-mapped, where the labels came with meshes.
    """

    name: str
    pixels: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    points: np.ndarray
    weights: np.ndarray
    five: np.ndarray
    groups: np.ndarray
    hidden: np.ndarray
    meshes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def image(self, index: int) -> np.ndarray:
        """Returns picture `index` as (H, W, 3) uint8, a view of the file."""
        height, width = self.shapes[index]
        start = self.offsets[index]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)


def prepare(source: str, cache: Path = CACHE) -> Pack:
    """Returns the pack of a source that is read, made now or found in the cache; `training.synthetic.packs` has that of drawn faces.

    Raises:
      ZooError: the source cannot be read or holds no usable face.
    """
    return open_pack(source, fingerprint(source), lambda: _read(source), cache)


def open_pack(source: str, content: str, faces: Callable[[], Iterator[Face]], cache: Path) -> Pack:
    """Returns the pack of a source, made now or found in the cache.

    Args:
      source: its name.
      content: changes with what the faces are made of.
      faces: gives them; asked only where the cache has no pack of this content.
      cache: folder of all packs.

    Raises:
      ZooError: there is no usable face.
    """
    key = hashlib.sha256(f"{_VERSION} {_SPAN} {_DETAIL_PX}{content}".encode()).hexdigest()[:16]
    folder = cache / f"{_label(source)}-{key}"
    if not folder.is_dir():
        _make(source, faces(), folder)
    # Mapped, not read: also what there is of every face grows with the source.
    columns = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in _COLUMNS if (folder / f"{name}.npy").is_file()}
    pixels, groups = np.load(folder / "pixels.npy", mmap_mode="r"), np.char.decode(np.load(folder / "groups.npy"))
    return Pack(source, pixels, **columns, groups=groups)


def _label(source: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(source).name.removesuffix(".npz")) or "source"


def _make(source: str, faces: Iterator[Face], folder: Path) -> None:
    with replacing_folder(folder) as building:
        _write(source, faces, building)


def _write(source: str, faces: Iterator[Face], building: Path) -> None:
    count = size = width = 0
    with contextlib.ExitStack() as opened:
        raw = {name: opened.enter_context(open(building / f"{name}.raw", "wb")) for name in (*_COLUMNS, "pixels", "groups")}
        for image, image_points, point_weights, naive, hidden, mesh, group in faces:
            row = {"offsets": size, "shapes": image.shape[:2], "points": image_points, "weights": point_weights}
            row |= {"five": four_points(naive), "hidden": hidden} | ({} if mesh is None else {"meshes": mesh})
            for name, value in row.items():
                raw[name].write(np.asarray(value, _COLUMNS[name][0]).tobytes())
            raw["pixels"].write(image.tobytes())
            raw["groups"].write(f"{group}\n".encode())
            count, size, width = count + 1, size + image.size, max(width, len(group.encode()))
    if not count:
        raise ZooError(f"source {source!r} holds no usable face")
    if (building / "meshes.raw").stat().st_size < count * _row_bytes("meshes"):  # not every face has one
        (building / "meshes.raw").unlink()
    _raw_to_npy(building / "pixels.raw", building / "pixels.npy", "|u1", (size,))
    for name, (kind, shape) in _COLUMNS.items():
        if (building / f"{name}.raw").is_file():
            _raw_to_npy(building / f"{name}.raw", building / f"{name}.npy", kind, (count, *shape))
    _lines_to_npy(building / "groups.raw", building / "groups.npy", count, width)


def _row_bytes(name: str) -> int:
    kind, shape = _COLUMNS[name]
    return np.dtype(kind).itemsize * int(np.prod(shape))


def _lines_to_npy(lines: Path, npy: Path, count: int, width: int) -> None:
    """Turns lines of text into a .npy of bytes of one width, line by line."""
    with open(npy, "wb") as out, open(lines, "rb") as source:
        np.lib.format.write_array_header_1_0(out, {"descr": f"|S{max(1, width)}", "fortran_order": False, "shape": (count,)})
        for line in source:
            out.write(line.rstrip(b"\n").ljust(max(1, width), b"\0"))
    lines.unlink()


def _raw_to_npy(raw: Path, npy: Path, descr: str, shape: tuple[int, ...]) -> None:
    """Turns raw bytes into a .npy without holding them in memory."""
    with open(npy, "wb") as out, open(raw, "rb") as source:
        np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
        shutil.copyfileobj(source, out, 1 << 22)
    raw.unlink()


def _read(source: str) -> Iterator[Face]:
    left_out, total = 0, sum(1 for _ in read_source(source, Problems()))
    for sample in tqdm(read_source(source), total=total, desc=f"prepare {Path(source).stem}", unit="face"):
        try:
            yield *cut(sample), sample.group
        except ZooError as error:
            if left_out < _NAMED_FAULTS:
                tqdm.write(f"left out: {error}")
            left_out += 1
    if left_out > _NAMED_FAULTS:
        tqdm.write(f"left out: {left_out - _NAMED_FAULTS} more")


def cut(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Returns the part of a face's picture that any jittered crop can see, averaged over whole blocks if it is large.

    Returns:
      The part (h, w, 3) uint8; in its frame the points (106, 2), their weights (106,), the four naive points (4, 2), which points are
      hidden (106,) and, where the labels came with one, the mesh (478, 3).

    Raises:
      ZooError: the picture cannot be read, or `training.data.checks` finds its points unusable.
    """
    image = read_picture(sample.path)
    wrong = unusable(sample, image.shape[1::-1])
    if wrong:
        raise ZooError(f"{wrong.name}: {wrong.kind}")
    points, mesh, five = sample.image_points, sample.mesh, four_points(sample.five)
    alignment = Alignment.from_five(five, 1)
    corners = alignment.to_image(np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * _SPAN - (_SPAN - 1) / 2)
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(corners.min(0)).astype(int), 0, [width - 1, height - 1])
    x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int), [x0 + 1, y0 + 1], [width, height])
    block = max(1, int(1 / alignment.scale / _DETAIL_PX))
    columns, rows = max(1, (x1 - x0) // block), max(1, (y1 - y0) // block)
    part = image[y0 : y0 + rows * block, x0 : x0 + columns * block] if block > 1 else image[y0:y1, x0:x1]
    if block > 1:
        part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    if mesh is not None:
        mesh = (mesh.astype(np.float64) - [x0, y0, 0]) / block
    hidden = NOTHING_HIDDEN if sample.hidden is None else sample.hidden
    return np.ascontiguousarray(part), (points - [x0, y0]) / block, sample.weights, (five - [x0, y0]) / block, hidden, mesh
