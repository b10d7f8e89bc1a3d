"""Where known sources come from, and what their licence lets weights trained on them be used for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

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
    "fairface_wide": Provenance(f"{_FAIRFACE}: faces with context", _MESH, _FAIRFACE_LICENCE, "open"),
    "wild_68_train": Provenance(_WILD, _PEOPLE, _WILD_LICENCE, "research"),
    "wild_68_val": Provenance(_WILD, _PEOPLE, _WILD_LICENCE, "research", for_choosing=True),
    "wild_68_val_pose": Provenance(f"{_WILD}, more pose", _PEOPLE, _WILD_LICENCE, "research", for_choosing=True),
    "utkface": Provenance("UTKFace", _MESH, "non-commercial research", "research"),
    "video_frames_68_auto": Provenance("YouTube Faces, video frames", "automatic points", "research", "research"),
}


# Labels of a folder itself, where those of a labels file that marks it are others.
OWN_LABELS = {"webmorph_189": "manual points"}


def provenance(source: str) -> Provenance | None:
    """Returns what is known of a source, or None; see `training.data.sources` for what may follow its path.

    A labels file is known by the folder it marks, whatever its own name, and by the one above where that is called images; a public set
    by its name here or by its layout.

    Raises:
      ZooError: a labels file is broken.
    """
    path, adapted_to, blended_with, teacher = Path(split_name(source)[0]), None, None, {}
    name = path.stem
    if path.suffix == ".npz" and path.is_file():
        arrays = headers(path)
        if "root" in arrays:
            root = Path(scalar(path, "root"))
            name = root.parent.name if root.name == "images" else root.name
        adapted_to, blended_with = (scalar(path, key) if key in arrays else None for key in ("adapted_to", "blended_with"))
        teacher = {key: scalar(path, key) for key in ("teacher", "teacher_sha256") if key in arrays}
    known = KNOWN.get(name) or _of_format(source)
    if adapted_to is not None:
        known = _adapted(name, known, adapted_to)
    if known is not None and teacher.get("teacher", "mesh") != "mesh":
        landmarker = f"MediaPipe's Face Landmarker (SHA-256 {teacher.get('teacher_sha256', 'unknown')[:12]})"
        known = replace(known, labels=known.labels.replace(_MESH, landmarker + _HOW))
    return known if blended_with is None else _blended(name, known, blended_with)


def _adapted(name: str, known: Provenance | None, adapted_to: str) -> Provenance:
    people = KNOWN.get(adapted_to)
    title, licence = (known.title, known.licence) if known else (name, "the trainer's own")
    labels = f"{_MESH}, bent by an adapter fitted on {adapted_to} ({people.labels if people else 'labels of its own'})"
    return Provenance(title, labels, f"pictures: {licence}; labels: as {adapted_to}", people.tag if people else "research")


def _blended(name: str, known: Provenance | None, weights: str) -> Provenance:
    """Returns a source whose labels are averaged with what weights of the zoo found: what trained these, trained the labels."""
    known = known or Provenance(name, "labels of its own", "the trainer's own", "")
    title, labels, licence, tag = known.title, known.labels, known.licence, known.tag
    said = f"{labels}; averaged with the points that {weights} finds in the picture and in its mirror image"
    theirs = split_tag(weights)[1] if is_weights_name(weights) else "research"  # what a run was trained on is not known here
    tag = "research" if "research" in (tag, theirs) else tag
    return Provenance(title, said, f"{licence}; labels also: as {weights}", tag)


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
