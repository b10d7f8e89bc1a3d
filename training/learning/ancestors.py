"""The weights that were ever published, from the repository's history: `python -m training.learning.ancestors` writes `ancestors.json`.

Each version of a card names the SHA-256 of `float.npz` and the training that made it. A start that a card names by published weights is
the version of these that was published before it; any other start is known by its name alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.learning.lineage import BACKBONE, HISTORY
from zoo import terminal
from zoo.cards import WEIGHTS
from zoo.errors import ZooError
from zoo.files import write_whole


def history(repository: Path) -> dict[str, Any]:
    """Returns `weights`, by SHA-256 of their float file in the order of their publication, and `sources`, what the cards say of these.

    A card that names its own ancestors needs no entry.

    Raises:
      ZooError: the folder is no clone with its history.
    """
    weights: dict[str, dict[str, Any]] = {}
    sources: dict[str, dict[str, str]] = {}
    last: dict[str, str] = {}  # the version of each name that an earlier commit published
    for cards in _commits(repository):
        found = {}
        for card in cards:
            digest = card["files"]["float.npz"]["sha256"]
            if "ancestors" in card or digest in weights:
                continue
            training, quick = card["training"]["float"], card["training"]["float"]["configuration"]
            same = next((one for one, entry in weights.items() if _training(entry) == _training_of(card)), None)
            init = weights[same]["init_sha256"] if same else last.get(_published(quick["init"]))
            weights[digest] = {
                "name": card["name"], "date": card["date"], "tag": card["tag"], "steps": quick["steps"], "minutes": training["minutes"],
                "init": quick["init"], "init_sha256": init, "sources": [[_key(sources, one), one["faces"]] for one in card["data"]],
            }  # fmt: skip
            found[card["name"]] = digest
        last |= found
    return {"sources": sources, "weights": weights}


def _key(sources: dict[str, dict[str, str]], one: dict[str, Any]) -> str:
    """Returns the key of what a card says of a source, put among the others; a source whose labels changed has several."""
    said, number = {key: one[key] for key in ("source", "title", "licence", "tag")}, 1
    while sources.setdefault(key := one["source"] + (f" {number}" if number > 1 else ""), said) != said:
        number += 1
    return key


def _published(init: str) -> str:
    name = init.removesuffix(BACKBONE)
    return name if name.rpartition(".")[2] in ("open", "research") else f"{name}.open"


def _training(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Returns what tells a training: versions that agree in it are the same weights, stored in another form."""
    return entry["name"], entry["date"], entry["init"], entry["steps"], entry["minutes"]


def _training_of(card: dict[str, Any]) -> tuple[Any, ...]:
    training = card["training"]["float"]
    return card["name"], card["date"], training["configuration"]["init"], training["configuration"]["steps"], training["minutes"]


def _commits(repository: Path) -> Iterator[list[dict[str, Any]]]:
    """Yields, from the oldest on, the cards that each commit wrote."""
    where = f"{WEIGHTS.parent.name}/{WEIGHTS.name}/*/card.json"
    names: list[str] = []
    commit = ""
    for line in [*_git(repository, "log", "--reverse", "--diff-filter=AM", "--format=@%H", "--name-only", "--", where).splitlines(), "@"]:
        if not line.startswith("@"):
            names += [line] if line else []
            continue
        if names:
            yield [json.loads(_git(repository, "show", f"{commit}:{name}")) for name in names]
        commit, names = line[1:], []


def as_text(found: dict[str, Any]) -> str:
    """Returns the history as JSON with an entry a line, for whoever reads it over."""
    parts = []
    for part, entries in found.items():
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items())
        parts.append(f'  "{part}": {{\n{lines}\n  }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _git(repository: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ZooError(f"{repository} is no clone of this repository with its history: {getattr(error, 'stderr', error)}".strip()) from None
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file anew."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given:
        raise ZooError(f"python -m training.learning.ancestors takes no arguments; received {' '.join(given)}")
    print(f"wrote {write_whole(HISTORY, as_text(history(WEIGHTS.parents[1])))}")
    return 0


if __name__ == "__main__":
    sys.exit(terminal.run(main))
