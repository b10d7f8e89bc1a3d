"""Writes labelled faces in the layout of every set that is read: what the tests of readers and of `data` read back.

A face here is edge-based points and a picture that is black but for a dot on one of them, so that half a pixel shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from training.readers import mapping
from training.synthetic.faces import draw_face
from zoo.schemes import to_scheme

SIDE = 160
DOT_AT = 60  # of the 106: the base of the nose, which every scheme has
SIGMA_PX = 3.0


@dataclass(frozen=True)
class Face:
    """Points (count, 2), edge-based; the 106 they were made from; a picture (SIDE, SIDE, 3) uint8."""

    points: np.ndarray
    points_106: np.ndarray
    image: np.ndarray


def face(count: int, seed: int = 0) -> Face:
    """Returns a drawn face's points in a scheme, and a picture with a dot on the base of its nose."""
    points_106 = _drawn(seed).copy()
    return Face(in_scheme(points_106, count), points_106, dot(points_106[DOT_AT], shade=seed))


@lru_cache
def _drawn(seed: int) -> np.ndarray:
    return draw_face(seed, SIDE).points.astype(np.float64)


def dot(at: np.ndarray, side: int = SIDE, shade: int = 0) -> np.ndarray:
    """Returns a dark picture with a bright dot centred there; `shade` makes pictures differ."""
    columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    spot = 240 * np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * SIGMA_PX**2))
    image = np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, 2)
    image[0, 0] = shade
    return image


def dot_in(image: np.ndarray) -> np.ndarray:
    """Returns where the dot of a picture is."""
    mass = image[..., 0].astype(float)
    mass[mass < 20] = 0
    return np.array([(mass.sum(axis) * (np.arange(mass.shape[1 - axis]) + 0.5)).sum() / mass.sum() for axis in (0, 1)])


def in_scheme(points_106: np.ndarray, count: int) -> np.ndarray:
    """Returns 106 points as a scheme with so many has them; points that the 106 do not tell lie on the chin."""
    if count in (106, 98, 68):
        return to_scheme(points_106, str(count))
    if count == 70:
        return np.vstack([to_scheme(points_106, "68"), points_106[[104, 105]]])
    points = np.tile(points_106[16], (count, 1))
    for places, given in _places(points_106, count):
        points[list(places.values())] = given[list(places)]
    return points


def _places(points_106: np.ndarray, count: int) -> list[tuple[Mapping[int, int], np.ndarray]]:
    if count == 29:
        return [(mapping._COFW_TO_106, points_106)]
    return [(mapping._WEBMORPH_TO_68, to_scheme(points_106, "68")), (mapping._PUPILS_189, points_106)]


def save(path: Path, image: np.ndarray) -> None:
    """Writes a picture without loss, whatever its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, "PNG")


def rows(points: np.ndarray, shift: float, join: str = " ") -> list[str]:
    """Returns a line per point as a file has them: `shift` is what to take away from edge-based coordinates."""
    return [join.join(f"{value - shift:.4f}" for value in point) for point in points]


def write_counted(label: Path, points: np.ndarray) -> None:
    """Writes a text file of JD-landmark or LaPa."""
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text("\n".join([str(len(points)), *rows(points, 0.5)]) + "\n")


def write_pts(label: Path, points: np.ndarray, shift: float = -0.5, header: bool = True) -> None:
    """Writes a `.pts` file, 1-based."""
    label.parent.mkdir(parents=True, exist_ok=True)
    lines = rows(points, shift)
    if header:
        lines = ["version: 1", f"n_points:  {len(points)}", "{", *lines, "}"]
    label.write_text("\n".join(lines) + "\n")


def jd(root: Path, faces: list[Face]) -> None:
    for i, one in enumerate(faces):
        name = f"AFW_{i}_1_0.jpg"
        save(root / "picture" / name, one.image)
        write_counted(root / "landmark" / f"{name}.txt", one.points)
        (root / "rect").mkdir(exist_ok=True)
        (root / "rect" / f"{name}.rect").write_text("10 20 110 120\n")


def lapa(root: Path, faces: list[Face], splits: tuple[str, ...] = ("train", "val", "test")) -> None:
    for i, one in enumerate(faces):
        folder = root / splits[i % len(splits)]
        save(folder / "images" / f"{1000 + i}_0.jpg", one.image)
        write_counted(folder / "landmarks" / f"{1000 + i}_0.txt", one.points)


def wflw_line(points: np.ndarray, name: str, flags: str = "0 0 0 0 0 0") -> str:
    """Returns a line of a WFLW list."""
    return f"{' '.join(rows(points, 0.5))} 10 20 110 120 {flags} {name}"


def wflw(root: Path, faces: list[Face]) -> None:
    for i, one in enumerate(faces):
        save(root / "WFLW_images" / "event" / f"{i}.jpg", one.image)
    lists = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    lines = [wflw_line(one.points, f"event/{i}.jpg", "1 0 0 0 1 0" if i else "0 0 0 0 0 0") for i, one in enumerate(faces)]
    (lists / "list_98pt_rect_attr_test.txt").write_text("\n".join(lines[1:]) + "\n")
    (lists / "list_98pt_rect_attr_train.txt").write_text(lines[0] + "\n")


def ibug_300w(root: Path, faces: list[Face]) -> None:
    for i, one in enumerate(faces):
        folder = root / ("afw", "helen/trainset", "ibug", "lfpw/testset", "01_Indoor")[i % 5]
        save(folder / f"image_{i:04}.png", one.image)
        write_pts(folder / f"image_{i:04}.pts", one.points)


def merl_rav(root: Path, faces: list[Face]) -> None:
    for i, one in enumerate(faces):
        folder = root / ("frontal/trainset", "lefthalf/testset")[i % 2]
        save(folder / f"image{i:05}_1.jpg", one.image)
        write_pts(folder / f"image{i:05}_1.pts", one.points, 0.5)


def cofw(root: Path, faces: list[Face]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "COFW_train_color.mat", "w") as mat:
        cells = mat.create_dataset("IsTr", (1, len(faces)), h5py.ref_dtype)
        labels = np.zeros((87, len(faces)))
        for i, one in enumerate(faces):
            # Columns first, as MATLAB writes; every other picture is grey.
            pixels = mat.create_dataset(f"pictures/{i}", data=one.image[..., 0].T if i % 2 else one.image.T)
            cells[0, i] = pixels.ref
            labels[:58, i] = (one.points + 0.5).T.ravel()
            labels[58 + i, i] = 1
        mat["phisTr"] = labels
        mat["bboxesTr"] = np.tile([[11.0], [21.0], [100.0], [100.0]], len(faces))


def face_synthetics(root: Path, faces: list[Face]) -> None:
    for i, one in enumerate(faces):
        save(root / f"{i:06}.png", one.image)
        save(root / f"{i:06}_seg.png", one.image)
        (root / f"{i:06}_ldmks.txt").write_text("\n".join(rows(one.points, 0.5)) + "\n")


def pts(root: Path, faces: list[Face]) -> None:
    for i, one in enumerate(faces):
        save(root / f"img_{i:03}.png", one.image)
        write_pts(root / f"img_{i:03}.pts", one.points, header=bool(i % 2))


def landmarks(root: Path, faces: list[Face], **extra: np.ndarray) -> None:
    names = [f"Ada_{i}.png" for i in range(len(faces))]
    for name, one in zip(names, faces, strict=True):
        save(root / "images" / name, one.image)
    points = np.array([one.points for one in faces]) - 0.5
    np.savez(root / "landmarks.npz", names=np.array(names), points=points, **extra)


def coco(root: Path, faces: list[Face], name: str = "faces_val.json", key: str = "keypoints", **extra: object) -> None:
    images = [{"id": 7 + i, "file_name": f"{i}.png"} for i in range(len(faces))]
    annotations = []
    for i, one in enumerate(faces):
        save(root / "images" / f"{i}.png", one.image)
        flat = np.column_stack([one.points - 0.5, np.full(len(one.points), 2.0)]).ravel().tolist()
        annotations.append({"id": i, "image_id": 7 + i, key: flat, "bbox": [10, 20, 100, 100], **extra})
    (root / name).write_text(json.dumps({"info": {"year": 2020}, "annotations": annotations, "images": images, "categories": []}))


def wholebody(root: Path, faces: list[Face]) -> None:
    coco(root, faces, "coco_wholebody_train_v1.0.json", "face_kpts", face_valid=True, face_box=[10, 20, 100, 100], keypoints=[0] * 51)


def csv_text(faces: list[Face], divider: str = ",") -> list[str]:
    """Returns the rows of a table, the first with the columns' names."""
    count = len(faces[0].points)
    header = divider.join(["file", *(f"{axis}{i}" for i in range(count) for axis in "xy"), "group", "split"])
    return [header, *(divider.join([f"{i}.png", *rows(one.points, 0.5, divider), f"person {i}", ""]) for i, one in enumerate(faces))]


def csv_table(root: Path, faces: list[Face]) -> None:
    for i, one in enumerate(faces):
        save(root / "images" / f"{i}.png", one.image)
    (root / "landmarks.csv").write_text("\n".join(csv_text(faces)) + "\n")


# Format, how many points, how it is written.
LAYOUTS: tuple[tuple[str, int, Callable[[Path, list[Face]], None]], ...] = (
    ("jd", 106, jd), ("lapa", 106, lapa), ("wflw", 98, wflw), ("300w", 68, ibug_300w), ("merl-rav", 68, merl_rav), ("cofw", 29, cofw),
    ("face-synthetics", 70, face_synthetics), ("pts", 68, pts), ("pts", 106, pts), ("landmarks", 98, landmarks),
    ("landmarks", 29, landmarks), ("landmarks", 70, landmarks), ("landmarks", 189, landmarks),
    ("coco", 68, coco), ("coco", 98, coco), ("coco-wholebody", 68, wholebody), ("csv", 106, csv_table), ("csv", 29, csv_table),
)  # fmt: skip
IDS = [f"{name}-{count}" for name, count, _ in LAYOUTS]
