"""What a source is, how much there is of it and what may be done with it: the answers of `python -m training data`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data import checks
from training.data.provenance import OWN_LABELS, provenance
from training.data.sources import Source, split_name
from training.readers.groups import HELD_OUT
from training.readers.problems import Problems


def describe(name: str, source: Source | None, findings: checks.Findings, problems: Problems) -> dict[str, Any]:
    """Returns a summary of a source: what it is, how much there is, what may be done with it."""
    known, kind = provenance(name), source.format if source else None
    labelled, path = kind is None or kind.labelled, Path(split_name(name)[0])
    tags = {"open": "open, research", "research": "research"}.get(known.tag if known else "", "as its owner allows")
    found = {
        "source": path.name + "".join(f"@{word}" for word in split_name(name)[1]),
        "format": f"{kind.name}: {kind.title}" if kind else "drawn by this project",
        "pictures": findings.pictures, "faces": findings.faces if labelled else None, "usable": findings.usable,
        "left out": problems.left_out, "people or photographs": findings.people,
        "splits": {split or "without": count for split, count in findings.splits.items()} if any(findings.splits) else None,
        "split rule": kind.splits if kind else "each drawn face stands alone",
        "origin": known.title if known else "its owner's", "licence": known.licence if known else kind and kind.licence,
        "trains tags": "none: kept for choosing" if known and known.for_choosing else tags,
    }  # fmt: skip
    if not labelled:
        return found | {"labels": "none: mark them with `python -m training label`"}
    own = OWN_LABELS.get(path.stem) if kind and kind.name == "landmarks" else None
    return found | {
        "labels": own or (known.labels if known else kind and kind.points), "points a face": sorted(findings.points),
        "of the 106 known %": round(100 * findings.known / findings.faces, 1) if findings.faces else None,
        "normaliser": kind.normaliser if kind else "outer eye corners", "held out by default %": 100 * HELD_OUT,
    }  # fmt: skip
