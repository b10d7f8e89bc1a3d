"""Where known sources come from, and what their licence lets weights trained on them be used for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.errors import ZooError


@dataclass(frozen=True)
class Provenance:
    """One source: whose faces, whose labels, under what licence, the tag its weights may bear, and whether it is kept for choosing."""

    title: str
    labels: str
    licence: str
    tag: str
    for_choosing: bool = False


_MESH = "MediaPipe's refined face mesh, averaged with its mirror image and remapped by geometry alone"
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


def provenance(source: str) -> Provenance | None:
    """Returns what is known of a source, or None; a labels file is known by the folder it marks, whatever its own name."""
    path, adapted_to = Path(source), None
    name = path.stem
    if path.suffix == ".npz" and path.is_file():
        with np.load(path, allow_pickle=False) as archive:
            name = Path(str(archive["root"])).name if "root" in archive.files else name
            adapted_to = str(archive["adapted_to"]) if "adapted_to" in archive.files else None
    known = KNOWN.get(name)
    if adapted_to is None:
        return known
    people = KNOWN.get(adapted_to)
    title, licence = (known.title, known.licence) if known else (name, "the trainer's own")
    labels = f"{_MESH}, bent by an adapter fitted on {adapted_to} ({people.labels if people else 'labels of its own'})"
    return Provenance(title, labels, f"pictures: {licence}; labels: as {adapted_to}", people.tag if people else "research")


def check_tag(sources: tuple[tuple[str, float], ...], tag: str) -> None:
    """Raises a ZooError if a source may not train weights of this tag."""
    for name, _ in sources:
        known = provenance(name)
        if known is None:
            continue
        if known.for_choosing:
            raise ZooError(f"source {name!r} is for choosing between models and is never trained on")
        if known.tag == "research" and tag == "open":
            raise ZooError(f"source {name!r} ({known.licence}) may train only weights tagged research; received tag {tag!r}")
