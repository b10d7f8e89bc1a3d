"""Sources: what `--source` and `python -m training data` are given, and the stream of samples that comes of it.

A source is "synthetic", or `PATH` in any format of `training.readers.formats`, followed by any of `@FORMAT` (else the layout says it),
`@SPLIT` (train, val, test or the like) and `@SUBSET` (an attribute of the set, as `pose` in WFLW): `WFLW@test@pose`, `faces.csv@val`.
Without a split, `read_source` gives what is there to train on: the train split, and what no split has. A path that has such an ending
itself is taken as it is.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from training.readers.formats import FORMATS, Format, detect
from training.readers.groups import SPLITS, TRAINING_SPLITS, group_of, split_word
from training.readers.problems import Problem, Problems
from training.readers.sample import Sample
from zoo.errors import ZooError

__all__ = ["Sample", "Source", "fingerprint", "group_of", "parse_source", "read_all", "read_source"]


@dataclass(frozen=True)
class Source:
    """Where samples come from: a path, its format, and the split and subset asked for ("" for none)."""

    path: Path
    format: Format
    split: str = ""
    subset: str = ""


def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """Returns the path and the words behind it of a source's name `PATH[@WORD...]`; the disk is asked only whether a path exists."""
    path, words = name, ()
    while "@" in path and not os.path.exists(path):
        path, _, word = path.rpartition("@")
        words = (word, *words)
    return path, words


def parse_source(name: str) -> Source:
    """Returns the source of a name `PATH[@FORMAT][@SPLIT][@SUBSET]`; see the module.

    Raises:
      ZooError: there is no such path, or a word behind it is not known.
    """
    path, words = split_name(name)
    if not os.path.exists(path):
        raise ZooError(f"there is no file or folder {path!r}; a source is 'synthetic', or a path in one of {', '.join(FORMATS)}")
    chosen = next((word for word in words if word in FORMATS), None)
    kind = FORMATS[chosen] if chosen else detect(Path(path))
    split = subset = ""
    for word in words:
        if split_word(word) and not split:
            split = split_word(word)
        elif word in kind.subsets and not subset:
            subset = word
        elif word not in FORMATS:
            possible = (*FORMATS, *SPLITS, *kind.subsets)
            raise ZooError(f"source {name!r}: @{word} is not known or comes twice; possible for {kind.name}: {', '.join(possible)}")
    return Source(Path(path), kind, split, subset)


def read_all(source: Source, problems: Problems) -> Iterator[Sample]:
    """Yields every sample of a source, of all splits unless it names one; what is wrong with single labels goes to `problems`.

    Raises:
      ZooError: the source as a whole cannot be read.
    """
    for item in source.format.read(source.path):
        if isinstance(item, Problem):
            problems.add(item)
        elif source.split in ("", item.split) and (not source.subset or item.attributes.get(source.subset)):
            yield item


def read_source(name: str, problems: Problems | None = None) -> Iterator[Sample]:
    """Returns a stream of the samples of a source: of the split it names, or else those there are to train on.

    Args:
      name: see the module.
      problems: takes what is wrong with single labels; without it that is said at the end, a line for each kind.

    Raises:
      ZooError: there is no such source or it has no labels, at once; it cannot be read or has nothing to train on, as it streams.
    """
    source = parse_source(name)
    if not source.format.labelled:
        raise ZooError(f"source {name!r} holds pictures without labels: mark them with `python -m training label`")
    return _for_training(name, source, problems)


def _for_training(name: str, source: Source, problems: Problems | None) -> Iterator[Sample]:
    found, given = Problems() if problems is None else problems, Counter()
    for sample in read_all(source, found):
        given[sample.split] += 1
        if source.split or sample.split in TRAINING_SPLITS:
            yield sample
    if problems is None:
        for line in found.lines():
            tqdm.write(f"{name}: {line}")
        kept = [f"{given[split]} of {split}" for split in SPLITS if split not in TRAINING_SPLITS and given[split] and not source.split]
        if kept:
            tqdm.write(f"{name}: kept for choosing and testing: {', '.join(kept)}")
    if given and not source.split and not any(given[split] for split in TRAINING_SPLITS):
        there = ", ".join(f"{split} ({count} faces)" for split, count in given.items())
        raise ZooError(f"source {name!r} has nothing to train on, only {there}; say {name}@{next(iter(given))} to evaluate on it")


def fingerprint(name: str) -> str:
    """Returns a digest that changes when a source's labels, or the size or time of one of its pictures, change; nothing is decoded.

    Raises:
      ZooError: as `read_source`.
    """
    total = hashlib.sha256()
    for sample in read_source(name, Problems()):
        path = sample.path if sample.path.exists() else Path(str(sample.path).partition("#")[0])
        stat = os.stat(path) if path.exists() else None
        about = f"{sample.path.name} {stat and (stat.st_size, stat.st_mtime_ns)} {sample.group} {sample.split}"
        total.update(about.encode("utf-8", "surrogateescape"))
        for array in (sample.native_points, sample.image_points, sample.weights, sample.mesh):
            total.update(b"" if array is None else array.tobytes())
    return total.hexdigest()
