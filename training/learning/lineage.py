"""What weights descend from: every start of a run, and the start's own, until ImageNet or nothing; what one of them may not do, none may.

A run writes its ancestors into `config.json` when it begins (`recorded`), a card keeps them. Weights published before that are found in
`ancestors.json`, which `python -m training.learning.ancestors` makes of the repository's history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.data.provenance import described
from training.learning import runs
from zoo import lookup
from zoo.cards import published, read_card, weights_folder
from zoo.errors import ZooError
from zoo.files import read_json, sha256
from zoo.lookup import Found, look_up

BACKBONE = ":backbone"  # what follows a start's name where the head does not come along
HISTORY = Path(__file__).with_name("ancestors.json")
# Why an ancestor, or what is before it, is not known better; "" where all is.
BY_NAME, UNKNOWN, NOT_RECORDED = (
    "known by name alone", "a file of which nothing is known",
    "the run did not record its start: the version that was published before starts were recorded",
)  # fmt: skip


@dataclass(frozen=True)
class Ancestor:
    """Weights that others started from.

    Attributes:
      name: `variant.tag` of published weights, a run's, or a file's.
      sha256: of the weights' file (`float.npz` of published weights, `weights.npz` of a run), or None where it is not known.
      tag: "open" or "research", or "" where that is not known.
      date: of publication, "" of others.
      steps: of its own training, without that of its ancestors.
      sources: of its own training: `source`, `faces`, `title`, `licence` and `tag`.
      note: what is not known, in words.
    """

    name: str
    sha256: str | None
    tag: str
    date: str = ""
    steps: int | None = None
    sources: tuple[Mapping[str, Any], ...] = ()
    note: str = ""


_IMAGENET_SOURCE = {"source": "imagenet", "title": "ImageNet weights of MobileNetV2 (Google)", "licence": "Apache-2.0", "tag": "open"}
IMAGENET = Ancestor("imagenet", None, "open", sources=(_IMAGENET_SOURCE,))
# Files of Google's ImageNet weights by their SHA-256 and, where only a card of before names them, by name.
_IMAGENET_FILES = {"dcfa47d77947cceb880ff4ffe036418bf5817e3d4b4377bfa9a126f4add13a1f": "mobilenet_v2_035_224_imagenet.npz"}


def weights_of(init: str) -> Path | None:
    """Returns the file of a start's weights, or None for "imagenet" and for no start; see `Configuration.init`.

    Raises:
      ZooError: there is nothing of this name, or nothing to begin with.
    """
    found = _found(init)
    if isinstance(found, Path) or found is None:
        return found
    return found.path / "float.npz" if found.kind == "published" else runs.weights_path(found.path)


def _found(init: str) -> Found | Path | None:
    """Returns published weights or a run, an .npz file's path, or None for other starts."""
    if init in ("", "imagenet"):
        return None
    if init.endswith(".npz") and Path(init).is_file():
        return Path(init)
    possible = "imagenet, a .npz file, published weights or a run are possible"
    try:
        found = look_up(init.removesuffix(BACKBONE))
    except ZooError as error:
        raise ZooError(f"--init {init!r} is not known: {possible}; {error}") from None
    if found.kind == "file":
        raise ZooError(f"--init {init!r} is a file no training begins with: {possible}")
    return found


def of_init(init: str) -> list[Ancestor]:
    """Returns the ancestors of what starts from `init`, the nearest first, the start itself among them.

    Raises:
      ZooError: there is nothing of this name, or nothing to begin with.
    """
    found = _found(init)
    if found is None:
        return [IMAGENET] if init else []
    if isinstance(found, Path):
        return _of_file(found)
    return _of_published(found.name) if found.kind == "published" else _of_run_and_itself(found.path)


def _of_file(path: Path) -> list[Ancestor]:
    """Returns the ancestors of what starts from a file of any name: it is known by its SHA-256."""
    digest = sha256(path)
    if digest in _IMAGENET_FILES:
        return [Ancestor(_IMAGENET_FILES[digest], digest, "open", sources=IMAGENET.sources)]
    for name in published():
        if sha256(weights_folder(name) / "float.npz") == digest:
            return _of_published(name)
    if digest in _history()["weights"]:
        return _of_history(digest)
    for other in (path, *sorted(lookup.RUNS.glob("*/weights.npz"))):
        if (other.parent / "config.json").is_file() and sha256(other) == digest:
            return _of_run_and_itself(other.parent)
    return [Ancestor(path.name, digest, "", note=UNKNOWN)]


def _of_published(name: str) -> list[Ancestor]:
    card, digest = read_card(name), sha256(weights_folder(name) / "float.npz")
    if "ancestors" not in card and digest in _history()["weights"]:
        return _of_history(digest)
    training = card["training"]["float"]["configuration"]
    itself = Ancestor(name, digest, card["tag"], card["date"], training["steps"], tuple(map(_short, card["data"])))
    if "ancestors" in card:
        return [itself, *map(from_dict, card["ancestors"])]
    return [itself, *_by_name(training["init"])]


def _of_history(digest: str) -> list[Ancestor]:
    history = _history()
    entry = history["weights"][digest]
    sources = tuple({**history["sources"][key], "faces": faces} for key, faces in entry["sources"])
    itself = Ancestor(entry["name"], digest, entry["tag"], entry["date"], entry["steps"], sources)
    return [itself, *(_of_history(entry["init_sha256"]) if entry["init_sha256"] else _by_name(entry["init"]))]


def _by_name(init: str) -> list[Ancestor]:
    """Returns the ancestors of what a card of before says it started from, by a name that stands for nothing here any more."""
    if not init:
        return []
    if init == "imagenet" or init in _IMAGENET_FILES.values():
        return [Ancestor(init, None, "open", sources=IMAGENET.sources, note="" if init == "imagenet" else BY_NAME)]
    return [Ancestor(init.removesuffix(BACKBONE), None, "research" if "research" in init else "", note=BY_NAME)]


def _of_run_and_itself(folder: Path) -> list[Ancestor]:
    configuration = runs.read_configuration(folder)
    sources = tuple(_short(described(entry)) for entry in runs.read_facts(folder).get("data", []))
    tag = "research" if "research" in {configuration.tag, *(source["tag"] for source in sources)} else configuration.tag
    itself = Ancestor(folder.name, sha256(runs.weights_path(folder)), tag, steps=configuration.steps, sources=sources)
    return [itself, *of_run(folder)]


def of_run(folder: Path) -> list[Ancestor]:
    """Returns the ancestors of a run, the nearest first, as it recorded them; of a quantisation-aware run, those of its float parent."""
    facts, configuration = runs.read_facts(folder), runs.read_configuration(folder)
    if configuration.quantized and "parent" in facts:
        return of_run(runs.run_folder(facts["parent"]))
    if "ancestors" in facts:
        return [from_dict(entry) for entry in facts["ancestors"]]
    name = configuration.init.removesuffix(BACKBONE)
    versions = [digest for digest, entry in _history()["weights"].items() if entry["name"] in (name, f"{name}.open")]
    if not versions:
        try:
            return of_init(configuration.init)
        except ZooError:
            return _by_name(configuration.init)
    first, *rest = _of_history(versions[-1])
    return [from_dict(asdict(first) | {"note": NOT_RECORDED}), *rest]


def recorded(ancestors: Sequence[Ancestor]) -> dict[str, Any]:
    """Returns what a run's `config.json` and a card keep of its ancestors; `from_dict` reads one of them back."""
    return {"ancestors": [asdict(one) | {"sources": [dict(source) for source in one.sources]} for one in ancestors]}


def from_dict(entry: Mapping[str, Any]) -> Ancestor:
    """Returns an ancestor as a `config.json` or a card keeps it."""
    return Ancestor(**{**entry, "sources": tuple(entry.get("sources", ()))})


def check_ancestors(ancestors: Sequence[Ancestor], tag: str) -> None:
    """Raises a ZooError if weights of this tag may not descend from these."""
    for one in ancestors:
        research = [source["source"] for source in one.sources if source.get("tag") == "research"]
        if tag == "open" and (one.tag == "research" or research):
            through = "" if one is ancestors[0] else f", which {ancestors[0].name} descends from,"
            trained = f" (trained on {research[0]})" if research else ""
            raise ZooError(f"start {one.name!r}{through} is research{trained}: it starts only weights tagged research; received {tag!r}")


def _short(source: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a card says of a source, without its labels, which are told where it is the card's own."""
    return {key: source[key] for key in ("source", "faces", "title", "licence", "tag") if key in source}


@lru_cache(maxsize=1)
def _history() -> dict[str, Any]:
    return read_json(HISTORY)
