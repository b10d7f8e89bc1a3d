"""Where known sources come from, and what their licence lets weights trained on them be used for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.data.sources import parse_source, split_name
from training.readers.groups import TRAINING_SPLITS, split_word
from training.readers.npz_rows import headers, scalar
from zoo.errors import ZooError
from zoo.variants import is_weights_name, split_tag


@dataclass(frozen=True)
class Provenance:
    """One source: whose faces, whose labels, under what licence, the tag its weights may bear, and whether it is kept for choosing."""

    title: str
    labels: str
    licence: str
    tag: str
    for_choosing: bool = False


_HOW = ", averaged with its mirror image and remapped by geometry alone"
_MESH = f"MediaPipe's refined face mesh{_HOW}"
_FRL = "Face Research Lab London Set and Young Adult White Faces (DeBruine and Jones 2017)"
_FAIRFACE = "FairFace (Karkkainen and Joo, WACV 2021)"
_FAIRFACE_LICENCE = "CC BY 4.0; the licences of the single photographs (Flickr) are not supplied with the set"

_WILD, _PEOPLE = "photographs in the wild (Flickr)", "300-W annotations by people"
_WILD_LICENCE = "research purposes only, no commercial products"

# fmt: off
KNOWN: dict[str, Provenance] = {
    "synthetic": Provenance("faces drawn by this project", "exact", "Apache-2.0", "open"),
    "webmorph_189": Provenance(
        f"{_FRL}: 100 people, front, studio", f"{_MESH}; manual points at the spots both definitions share", "CC BY 4.0", "open"
    ),
    "london_smiling": Provenance(f"{_FRL}: 71 of the people, smiling", _MESH, "CC BY 4.0", "open"),
    "us_officials": Provenance(
        "official portraits of members of the US House and Senate", _MESH, "works of the US federal government", "open"
    ),
    "congress_gray": Provenance("Congressional Pictorial Directory, gray portraits", _MESH, "public domain", "open"),
    "fairface": Provenance(f"{_FAIRFACE}: faces in the wild, tight crops", _MESH, _FAIRFACE_LICENCE, "open"),
    "fairface_more": Provenance(
        f"{_FAIRFACE}: more children, dark skin and low light, tight crops", _MESH, _FAIRFACE_LICENCE, "open"
    ),
    "fairface_wide": Provenance(f"{_FAIRFACE}: faces with context", _MESH, _FAIRFACE_LICENCE, "open"),
    "wild_68_train": Provenance(_WILD, _PEOPLE, _WILD_LICENCE, "research"),
    "lfpw_68_train": Provenance("LFPW, its training split: photographs in the wild", _PEOPLE, _WILD_LICENCE, "research"),
    "aflw_pose_train": Provenance(
        "AFLW2000-3D: faces turned by 30 to 90 degrees",
        "68 points of a 3D model's fit, corrected by people, without the far half of the contour", "non-commercial research", "research",
    ),
    "jd_106_val": Provenance(
        "JD-landmark (challenge of 2019, corrected)", "106 points by people", "non-commercial research", "research", for_choosing=True
    ),
    "wild_68_val": Provenance(_WILD, _PEOPLE, _WILD_LICENCE, "research", for_choosing=True),
    "wild_68_val_pose": Provenance(f"{_WILD}, more pose", _PEOPLE, _WILD_LICENCE, "research", for_choosing=True),
    "utkface": Provenance("UTKFace", _MESH, "non-commercial research", "research"),
    "video_frames_68_auto": Provenance("YouTube Faces, video frames", "automatic points", "research", "research"),
}
# fmt: on


# What a labels file says of itself that matters here.
_MARKS = ("root", "adapted_to", "blended_with", "teacher", "teacher_sha256")
# Labels of a folder itself, where those of a labels file that marks it are others.
OWN_LABELS = {"webmorph_189": "manual points"}


def provenance(source: str) -> Provenance | None:
    """Returns what is known of a source, or None; see `training.data.sources` for what may follow its path.

    A labels file is known by the folder it marks, whatever its own name, and by the one above where that is called images; a public set
    by its name here or by its layout.

    Raises:
      ZooError: a labels file is broken.
    """
    path = Path(split_name(source)[0])
    name, marks, has_mesh = path.stem, {}, False
    if path.suffix == ".npz" and path.is_file():
        arrays = headers(path)
        has_mesh = "mesh" in arrays
        marks = {key: scalar(path, key) for key in _MARKS if key in arrays}
        if "root" in marks:
            root = Path(marks["root"])
            name = root.parent.name if root.name == "images" else root.name
    known = KNOWN.get(name) or _of_format(source)
    if known is not None and has_mesh and _MESH not in known.labels:
        known = replace(known, labels=f"{_MESH}; over it {known.labels}")
    if "adapted_to" in marks:
        known = _adapted(name, known, marks["adapted_to"])
    if known is not None and marks.get("teacher", "mesh") != "mesh":
        known = replace(known, labels=known.labels.replace(_MESH, _landmarker(marks.get("teacher_sha256", "unknown")) + _HOW))
    return _blended(name, known, marks["blended_with"]) if "blended_with" in marks else known


def _landmarker(file_sha256: str) -> str:
    return f"MediaPipe's Face Landmarker (Apache-2.0, SHA-256 {file_sha256[:12]})"


def _adapted(name: str, known: Provenance | None, adapted_to: str) -> Provenance:
    """Returns a source whose labels are a teacher's, adapted by a regression fitted on human labels of sets, `A` or `A, B`."""
    sets = adapted_to.split(", ")
    people = list(dict.fromkeys(KNOWN[one].labels if one in KNOWN else "labels of its own" for one in sets))
    title, licence, labels = (known.title, known.licence, known.labels) if known else (name, "the trainer's own", _MESH)
    adapted = f"{_MESH}, adapted by a regression fitted on {' and '.join(sets)} ({'; '.join(people)})"
    clean = all(one in KNOWN and KNOWN[one].tag == "open" for one in sets) and not (known and known.tag == "research")
    said = labels.replace(_MESH, adapted), f"pictures: {licence}; labels: as {' and '.join(sets)}", "open" if clean else "research"
    return Provenance(title, *said, for_choosing=bool(known and known.for_choosing))


def _blended(name: str, known: Provenance | None, weights: str) -> Provenance:
    """Returns a source whose labels are averaged with what weights of the zoo found: what trained these, trained the labels."""
    known = known or Provenance(name, "labels of its own", "the trainer's own", "")
    said = f"{known.labels}; averaged with the points that {weights} finds in the picture and in its mirror image"
    theirs = split_tag(weights)[1] if is_weights_name(weights) else "research"  # what a run was trained on is not known here
    tag = "research" if "research" in (known.tag, theirs) else known.tag
    return replace(known, labels=said, licence=f"{known.licence}; labels also: as {weights}", tag=tag)


def _of_format(source: str) -> Provenance | None:
    """Returns what the layout of a public set says of it, or None where the layout is anybody's or there is no such path."""
    try:
        kind = parse_source(source).format
    except ZooError:
        return None
    return Provenance(f"{kind.title}: {kind.home}", f"{kind.points} points, the set's own", kind.licence, kind.tag) if kind.tag else None


def check_tag(sources: tuple[tuple[str, float], ...], tag: str) -> None:
    """Raises a ZooError if a source may not train weights of this tag, or is kept for choosing or testing."""
    for name, _ in sources:
        kept = [word for word in split_name(name)[1] if split_word(word) not in (None, *TRAINING_SPLITS)]
        if kept:
            raise ZooError(f"source {name!r}: the split {kept[0]!r} is for choosing or testing and is never trained on")
        known = provenance(name)
        if known is None:
            continue
        if known.for_choosing:
            raise ZooError(f"source {name!r} is for choosing between models and is never trained on")
        if known.tag == "research" and tag == "open":
            raise ZooError(f"source {name!r} ({known.licence}) may train only weights tagged research; received tag {tag!r}")


def described(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a run keeps of one of its sources, `source` and `faces`, with what is known of it: title, labels, licence and tag."""
    known, stem = provenance(entry["source"]), Path(entry["source"]).stem
    if known is None:
        said = {"title": stem, "labels": "the trainer's own", "licence": "the trainer's own", "tag": "as declared"}
    else:
        said = {key: value for key, value in vars(known).items() if key != "for_choosing"}
    return {"source": stem, "faces": entry["faces"], **said}
