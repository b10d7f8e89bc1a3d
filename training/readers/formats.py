"""The layouts that are read, one row each: what it holds, under what licence, how it is split, which function reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from training.readers.coco import read_coco
from training.readers.cofw import read_cofw
from training.readers.counted_text import read_jd, read_lapa
from training.readers.csv_table import FILE as CSV
from training.readers.csv_table import read_csv
from training.readers.face_synthetics import LABEL as FACE_SYNTHETICS
from training.readers.face_synthetics import read_face_synthetics
from training.readers.groups import split_word
from training.readers.labels_npz import read_labels
from training.readers.landmarks_npz import FILE as LANDMARKS
from training.readers.landmarks_npz import read_landmarks_npz
from training.readers.listing import PICTURES, named
from training.readers.pictures import read_pictures
from training.readers.problems import Problem
from training.readers.pts import SETS_300W, YAWS, read_300w, read_merl_rav, read_pts
from training.readers.sample import Sample
from training.readers.wflw import ATTRIBUTES, LIST, read_wflw
from zoo.errors import ZooError

_OUTER_EYES = "outer eye corners"
_OWN = "its owner's"
_RESEARCH = "non-commercial research"


@dataclass(frozen=True)
class Format:
    """One layout on disk.

    Attributes:
      name: what `--format` and `PATH@NAME` take.
      title: the set, or what it is.
      layout: files and folders.
      points: how many, and of what definition.
      pixels: the convention of its coordinates; `one_based` the same for programs.
      normaliser: what the set's own benchmark divides errors by.
      licence, tag: what its labels allow; tag "" where that is the owner's to say.
      splits: the rule by which nobody comes to both sides.
      home: where it is to be had.
      read: from a path to a stream of samples and of problems with single files.
      subsets: names among the samples' attributes that `PATH@SUBSET` takes.
      labelled: whether there are points at all.
    """

    name: str
    title: str
    layout: str
    points: str
    pixels: str
    normaliser: str
    licence: str
    tag: str
    splits: str
    home: str
    read: Callable[[Path], Iterator[Sample | Problem]]
    subsets: tuple[str, ...] = ()
    labelled: bool = True

    @property
    def one_based(self) -> bool:
        """Whether the first pixel's centre is (1, 1) rather than (0, 0)."""
        return "from 1" in self.pixels


_FROM_0, _FROM_1, _EDGES = "centres from 0", "centres from 1", "edges from 0"

_ROWS = (
    Format(
        "landmarks", "own faces", f"`images/NAME`, `{LANDMARKS}`: `names` (N,), `points` (N, count, 2), maybe `groups`, `splits`, "
        "`yaw` (N,)",
        "any that is read", _FROM_0, _OUTER_EYES, _OWN, "", "`groups`, else by name: `NAME_k` is face k of NAME; `splits` if there",
        "yours", read_landmarks_npz,
    ),
    Format(
        "labels", "labels file of `python -m training label`", "`NAME.npz`: `root`, `names`, `points`, `weights`, maybe `hidden`, "
        "`mesh` and `definition`",
        "106, teacher's", _EDGES, _OUTER_EYES, "its pictures'", "", "by name, as `landmarks`", "yours", read_labels,
    ),
    Format(
        "jd", "JD-landmark", "`picture/NAME.jpg`, `landmark/NAME.jpg.txt` (count, then x y), maybe `rect/` or `bbox/NAME.jpg.rect`",
        "106", _FROM_0, "root of the box of the points", _RESEARCH, "research",
        "folders named train, val, test; groups are photographs: the name without its last `_suffix`",
        "Grand Challenge of 106-Point Facial Landmark Localization (JD AI)", read_jd,
    ),
    Format(
        "lapa", "LaPa", "`{train,val,test}/images/NAME.jpg`, `landmarks/NAME.txt` (count, then x y)",
        "106", _FROM_0, _OUTER_EYES, _RESEARCH, "research", "its folders; groups are photographs: the name without its last `_suffix`",
        "lapa-dataset (JD AI)", read_lapa,
    ),
    Format(
        "wflw", "WFLW", f"`WFLW_annotations/**/{LIST}_rect_attr_{{train,test}}.txt` (207 fields a line), `WFLW_images/`; or one list",
        "98", _FROM_0, _OUTER_EYES, _RESEARCH, "research", "its lists; groups are pictures; test subsets by attribute",
        "Look at Boundary (Wu et al., CVPR 2018)", read_wflw, ATTRIBUTES,
    ),
    Format(
        "300w", "300W", "`NAME.pts` beside `NAME.png` or `.jpg` in `afw`, `helen`, `lfpw`, `ibug`, `01_Indoor`, `02_Outdoor`",
        "68", _FROM_1, _OUTER_EYES, "research purposes only", "research",
        "train: afw, helen and lfpw `trainset`; test: `testset` (common), ibug (challenging), Indoor and Outdoor; groups are photographs",
        "iBUG, Imperial College London", read_300w, ("common", "challenging", "indoor", "outdoor"),
    ),
    Format(
        "merl-rav", "MERL-RAV", "`{frontal,left,lefthalf,right,righthalf}/{trainset,testset}/NAME.pts` beside `NAME.jpg`",
        "68, hidden ones marked by sign", _FROM_0, "box", _RESEARCH, "research",
        "its folders; groups are pictures of AFLW; subsets by yaw", "MERL (Kumar et al., CVPR 2020); pictures: AFLW", read_merl_rav, YAWS,
    ),
    Format(
        "cofw", "COFW", "`COFW_{train,test}[_color].mat` (HDF5): `IsTr`, `phisTr`, `bboxesTr`; `IsT`, `phisT`, `bboxesT`",
        "29 and whether each is covered", _FROM_1, _OUTER_EYES, _RESEARCH, "research", "its files; each face stands alone",
        "Caltech (Burgos-Artizzu et al., ICCV 2013)", read_cofw,
    ),
    Format(
        "face-synthetics", "Face Synthetics", f"`ID.png`, `ID{FACE_SYNTHETICS}` (70 lines x y)",
        "70: 68 and the pupils", _FROM_0, _OUTER_EYES, _RESEARCH, "research", "none; each rendered face stands alone",
        "Microsoft (Wood et al., ICCV 2021)", read_face_synthetics,
    ),
    Format(
        "pts", "own faces in `.pts` files", "`NAME.pts` beside `NAME.jpg`, in folders to any depth, with or without a header",
        "any that is read", _FROM_1, _OUTER_EYES, _OWN, "", "folders named train, val, test; each picture stands alone", "yours", read_pts,
    ),
    Format(
        "coco", "keypoints in COCO's JSON", "`NAME.json`: `images` (id, file_name), `annotations` (image_id, `keypoints`)",
        "any that is read, visibility 0 is unknown", _FROM_0, _OUTER_EYES, _OWN, "",
        "train, val or test in the file's name; groups are pictures, or `group` of the annotation", "yours", read_coco,
    ),
    Format(
        "coco-wholebody", "COCO-WholeBody",
        "`coco_wholebody_{train,val}_*.json`: `face_kpts` where `face_valid`; pictures of COCO beside it",
        "68, visibility 0 is unknown", _FROM_0, "box", _RESEARCH, "research",
        "train or val in the file's name; groups are pictures", "COCO-WholeBody (Jin et al., ECCV 2020); pictures: COCO", read_coco,
    ),
    Format(
        "csv", "own faces in a table",
        f"`{CSV}` or another table: `file,x0,y0,x1,y1,...`, maybe `group`, `split`; pictures beside it or in `images/`",
        "any that is read, an empty pair is unknown", _FROM_0, _OUTER_EYES, _OWN, "",
        "columns `split` and `group`; without them each picture stands alone", "yours", read_csv,
    ),
    Format(
        "pictures", "pictures without labels", "pictures in folders to any depth", "none", "-", "-", _OWN, "",
        "by name, as `landmarks`", "yours", read_pictures, labelled=False,
    ),
)  # fmt: skip
FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}

_BY_SUFFIX = {".npz": "labels", ".json": "coco", ".csv": "csv", ".tsv": "csv", ".mat": "cofw"}
_MAX_DEPTH = 6


def detect(path: Path) -> Format:
    """Returns the format of a file or folder, by its layout alone.

    Raises:
      ZooError: there is no such path, or nothing in it that is read.
    """
    if path.is_file():
        name = "wflw" if path.name.lower().startswith(LIST) else _BY_SUFFIX.get(path.suffix.lower())
        name = "coco-wholebody" if name == "coco" and _sign(path.name) == "coco-wholebody" else name
        if name is None:
            raise ZooError(f"the file {path} is of no kind that is read: {', '.join(_BY_SUFFIX)} or a list of WFLW ({LIST}*.txt)")
        return FORMATS[name]
    if not path.is_dir():
        raise ZooError(f"there is no file or folder {str(path)!r}")
    if named(path, LANDMARKS).is_file():
        return FORMATS["landmarks"]
    seen: set[str] = set()
    _look(path, seen, _MAX_DEPTH)
    sets = [name for name in _SETS if name in seen]
    if len(sets) > 1:
        raise ZooError(f"the folder {path} holds several sets ({', '.join(sets)}): give the folder of one, or say --format")
    found = next((name for name in (*_SETS, *_GENERIC) if name in seen), None)
    if found is None:
        raise ZooError(f"the folder {path} holds neither labels nor pictures that are read; formats: {', '.join(FORMATS)}")
    if found == "pts":
        inside = {folder.lower() for folder in (*seen, path.name)}
        is_merl_rav = inside & set(YAWS) and any(split_word(folder) for folder in inside)
        found = "merl-rav" if is_merl_rav else "300w" if inside & set(SETS_300W) else "pts"
    return FORMATS[found]


# A set's own layout goes before what anybody's may look like.
_SETS = ("wflw", "cofw", "jd", "lapa", "face-synthetics", "pts")
_GENERIC = ("csv", "coco-wholebody", "coco", "pictures")
_PAIRS = (
    ("jd", "picture", "landmark"), ("jd", "pictures", "landmark"), ("jd", "picture", "landmarks"), ("jd", "pictures", "landmarks"),
    ("jd", "images", "landmark"), ("jd", "image", "landmark"), ("jd", "image", "landmarks"), ("lapa", "images", "landmarks"),
)  # fmt: skip


def _look(folder: Path, seen: set[str], depth: int) -> None:
    """Notes which formats a folder bears signs of, and the names of the folders within it."""
    inner: dict[str, str] = {}  # by their names in lower case
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    inner[entry.name.lower()] = entry.name
                else:
                    seen.add(_sign(entry.name))
    except OSError as error:
        raise ZooError(f"cannot read the folder {folder}: {error.strerror or error}") from None
    for name, pictures, labels in _PAIRS:
        if {pictures, labels} <= set(inner) and _has_text(folder / inner[labels]):
            seen.add(name)
    seen.update(set(inner) - set(FORMATS))
    if depth:
        for name in sorted(inner.values()):
            _look(folder / name, seen, depth - 1)


def _has_text(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(".txt") for entry in entries)


def _sign(name: str) -> str:
    """Returns the format that a file's name alone is a sign of, or ""."""
    lower = name.lower()
    if lower.endswith(PICTURES):
        return "pictures"
    if lower.startswith(f"{LIST}_rect_attr"):
        return "wflw"
    if lower.startswith("cofw") and lower.endswith(".mat"):
        return "cofw"
    if lower.endswith(FACE_SYNTHETICS):
        return "face-synthetics"
    if lower.endswith(".json"):
        return "coco-wholebody" if "wholebody" in lower else "coco"
    return "pts" if lower.endswith(".pts") else "csv" if lower == CSV else ""
