"""What a source holds and what is wrong with it, found in one pass over its faces that remembers 50 bytes of each."""

from __future__ import annotations

import itertools
import os
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from training.data.exif_turn import made_before_turning
from training.readers.mapping import POINTS
from training.readers.picture import digest, probe
from training.readers.problems import (
    BROKEN,
    CONFLICT,
    CONVENTION,
    MISSING,
    MOSTLY_OUTSIDE,
    NO_FACE,
    NORMALISED,
    OUTSIDE,
    REPEATED,
    SAME_CONTENT,
    Problem,
    Problems,
)  # fmt: skip
from training.readers.sample import Sample
from zoo.alignment import Alignment
from zoo.errors import ZooError

# A face, and its picture where that is drawn rather than read.
Face = tuple[Sample, np.ndarray | None]
_AHEAD = 4  # pictures waiting for each thread
# Points all within this many pixels of the corner of a picture larger than that were never pixels.
_NORMALISED_PX, _SMALL_PICTURE_PX = 2.5, 16
# Two labels in one picture are of one face where their boxes overlap by this share of their union.
_SAME_FACE = 0.5
# How far the eyes are apart on the wrong side, over the distance from eyes to mouth, before they count as exchanged.
_MIRRORED = 0.2
# Points just outside one side of the pictures that say how pixels are counted, and what share of as many may say otherwise.
_WITNESSES, _CONTRARY = 3, 0.1


@dataclass
class Findings:
    """What was found, growing as faces pass.

    Attributes:
      faces, usable: how many labels were read, and how many of them can be used.
      known: sum over faces of the share of the 106 points that are known.
      splits, points: how many faces of each split, and with how many points of the set's own.
      kept: a few usable faces, drawn evenly, for a sheet.
      paths, contents, labels, groups: 64-bit digests, one for each face.
      boxes: four numbers for each face.
      borders: how many points lie [more than a pixel before the first pixel's edge, up to a pixel before it, within the first
        pixel, up to a pixel after the last, more than that].
    """

    faces: int = 0
    usable: int = 0
    known: float = 0.0
    splits: Counter = field(default_factory=Counter)
    points: Counter = field(default_factory=Counter)
    kept: list[Face] = field(default_factory=list)
    paths: array = field(default_factory=lambda: array("Q"))
    contents: array = field(default_factory=lambda: array("Q"))
    labels: array = field(default_factory=lambda: array("Q"))
    groups: array = field(default_factory=lambda: array("Q"))
    boxes: array = field(default_factory=lambda: array("f"))
    borders: np.ndarray = field(default_factory=lambda: np.zeros(5, np.int64))

    @property
    def pictures(self) -> int:
        """How many different pictures are named."""
        return len(np.unique(self.paths))

    @property
    def people(self) -> int:
        """How many groups there are: people or photographs that a split never divides."""
        return len(np.unique(self.groups))


def inspect(faces: Iterable[Face], problems: Problems, keep: int, *, open_pictures: bool = True, seed: int = 0) -> Findings:
    """Returns what passes by, and tells `problems` what is wrong with single faces.

    Args:
      faces: a stream; it is never held.
      keep: how many usable faces to keep for a sheet, drawn evenly from all.
      open_pictures: whether to read every picture whole, on all cores; otherwise only whether it is there is asked.
      seed: of the draw.
    """
    findings, rng = Findings(), np.random.default_rng(seed)
    looked = _ahead(_look, faces) if open_pictures else ((face, _glance(face)) for face in faces)
    for (sample, image), seen in looked:
        findings.faces += 1
        findings.splits[sample.split] += 1
        findings.points[int(sample.attributes.get(POINTS, len(sample.native_points)))] += 1
        findings.known += float((sample.weights > 0).mean())
        _remember(findings, sample, seen)
        size = seen[:2] if isinstance(seen, tuple) else None
        wrong = seen if isinstance(seen, Problem) else unusable(sample, size)
        if wrong is not None:
            problems.add(wrong)
            continue
        if size is not None:
            _look_at_border(findings, sample, size, problems)
        findings.usable += 1
        place = len(findings.kept) if len(findings.kept) < keep else int(rng.integers(findings.usable))
        if place < len(findings.kept):
            findings.kept[place] = (sample, image)
        elif place < keep:
            findings.kept.append((sample, image))
    return findings


def _ahead(look: Callable[[Face], object], faces: Iterable[Face]) -> Iterator[tuple[Face, object]]:
    """Yields each face with what `look` says of it, asked in threads a few faces ahead."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Face, Future]] = deque()
        for face in faces:
            waiting.append((face, pool.submit(look, face)))
            if len(waiting) > _AHEAD * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def _look(face: Face) -> tuple[int, int, int] | Problem:
    """Returns (width, height, digest) of a face's picture, or what is wrong with it."""
    sample, image = face
    if image is not None:
        return image.shape[1], image.shape[0], digest(image.tobytes())
    try:
        return probe(sample.path)
    except ZooError as error:
        there = sample.path.exists() or "#" in sample.path.name
        return Problem(BROKEN if there else MISSING, sample.path.name, str(error).removeprefix(f"{sample.path} ") if there else "")


def _glance(face: Face) -> Problem | None:
    sample, image = face
    there = image is not None or sample.path.exists() or "#" in sample.path.name
    return None if there else Problem(MISSING, sample.path.name)


def _remember(findings: Findings, sample: Sample, seen: object) -> None:
    findings.paths.append(digest(os.fsencode(sample.path)))
    findings.contents.append(seen[2] if isinstance(seen, tuple) else 0)
    findings.labels.append(digest(sample.native_points.tobytes()))
    findings.groups.append(digest(sample.group.encode()))
    known = sample.image_points[sample.weights > 0]
    findings.boxes.extend((*known.min(0), *known.max(0)) if len(known) else (0.0,) * 4)


def unusable(sample: Sample, size: tuple[int, int] | None) -> Problem | None:
    """Returns what makes a face unusable whose picture can be read, or None; a sample without labels is fine.

    Args:
      sample: the face.
      size: width and height of its picture, or None where that was not opened.
    """
    if not sample.scheme:
        return None
    name, known = sample.path.name, sample.image_points[sample.weights > 0]
    if not len(known):
        return Problem(NO_FACE, name, "none of the 106 points is known")
    if size is not None:
        if min(size) > _SMALL_PICTURE_PX and np.abs(known).max() < _NORMALISED_PX:
            where = f"all within {np.abs(known).max():.1f} px of the corner of a picture of {size[0]} x {size[1]}"
            return Problem(NORMALISED, name, where)
        outside = _outside(known, size)
        if outside > len(known) / 2:
            turned = made_before_turning(sample, size)
            if turned is not None:
                return turned
            return Problem(MOSTLY_OUTSIDE, name, f"{outside} of {len(known)} outside {size[0]} x {size[1]}")
    try:
        Alignment.from_five(sample.five, 128)
    except ZooError as error:
        return Problem(NO_FACE, name, str(error))
    if size is not None:
        turned = made_before_turning(sample, size)
        if turned is not None:
            return turned
    return Problem(NO_FACE, name, "left and right, or x and y, are exchanged") if _is_mirrored(sample.five) else None


def _outside(known: np.ndarray, size: tuple[int, int]) -> int:
    return int(((known < 0) | (known > size)).any(1).sum())


def _look_at_border(findings: Findings, sample: Sample, size: tuple[int, int], problems: Problems) -> None:
    """Counts the points near the border of the picture, and tells `problems` of those outside."""
    known = sample.image_points[sample.weights > 0]
    after = known - size
    findings.borders += [
        (known < -1).sum(), ((known >= -1) & (known < 0)).sum(), ((known >= 0) & (known < 1)).sum(),
        ((after > 0) & (after <= 1)).sum(), (after > 1).sum(),
    ]  # fmt: skip
    outside = _outside(known, size)
    if outside:
        problems.add(Problem(OUTSIDE, sample.path.name, f"{outside} of {len(known)}"))


def _is_mirrored(five: np.ndarray) -> bool:
    """Whether the mouth lies on the wrong side of the line from the left to the right eye; a profile may lie a little on either."""
    across, down = five[1] - five[0], five[3:].mean(0) - five[:2].mean(0)
    return across[0] * down[1] - across[1] * down[0] < -_MIRRORED * (down @ down)


def convention(findings: Findings, one_based: bool) -> Problem | None:
    """Returns a problem where the border of the pictures says that pixels are counted from the other number than the format does.

    Labels that stop at the picture's border stop at its last pixel. Read as counted from 0 what is counted from 1, they reach a pixel
    too far to the right and below, and never the first pixel; the other way round a pixel too far to the left and above.
    """
    far_before, before, first, after, far_after = map(int, findings.borders)
    if not one_based and after >= _WITNESSES and first + far_before + far_after <= _CONTRARY * after:
        said = f"look 1-based where 0-based is expected: {after} points a pixel beyond the last, {first} on the first: subtract 1"
        return Problem(CONVENTION, said)
    if one_based and before >= _WITNESSES and far_before + far_after <= _CONTRARY * before:
        return Problem(CONVENTION, f"look 0-based where 1-based is expected: {before} points before the first pixel: add 1")
    return None


def duplicates(findings: Findings, again: Callable[[], Iterator[Face]], problems: Problems) -> None:
    """Tells `problems` of pictures listed twice, with another or the same label, and of pictures with two names.

    Args:
      findings: of all faces.
      again: gives the same faces in the same order; asked only if there is a name to be found.
      problems: the tally.
    """
    paths, contents, labels = (np.frombuffer(values, np.uint64) for values in (findings.paths, findings.contents, findings.labels))
    boxes = np.frombuffer(findings.boxes, np.float32).reshape(-1, 4)
    rows: dict[str, list[int]] = {CONFLICT: [], REPEATED: [], SAME_CONTENT: []}
    for same in _repeated(paths):
        for later in range(1, len(same)):
            for earlier in range(later):
                a, b = same[earlier], same[later]
                if labels[a] == labels[b]:
                    rows[REPEATED].append(b)
                    break
                if _overlap(boxes[a], boxes[b]) > _SAME_FACE:
                    rows[CONFLICT].append(b)
                    break
    other: dict[int, int] = {}
    for same in _repeated(contents):
        _, first = np.unique(paths[same], return_index=True)
        different = np.sort(same[first])
        if contents[same[0]] and len(different) > 1:
            rows[SAME_CONTENT] += different[1:].tolist()
            other |= dict.fromkeys(different[1:].tolist(), int(different[0]))
    names = _names(again, {row for found in rows.values() for row in found[:3]} | set(other.values()) if any(rows.values()) else set())
    for kind, found in rows.items():
        for row in found:
            detail = f"as {names[other[row]]}" if kind == SAME_CONTENT and row in names else ""
            problems.add(Problem(kind, names.get(row, ""), detail))


def _repeated(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the places of each value that comes more than once, in order."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, values[order][1:] != values[order][:-1]]) if len(order) else np.zeros(0, int)
    for start, end in itertools.pairwise([*starts.tolist(), len(order)]) if (len(starts) < len(order)) else ():
        if end - start > 1:
            yield order[start:end]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the share of the union of two boxes (x1, y1, x2, y2) that is common to them."""
    common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common
    return float(common / union) if union > 0 else 1.0


def _names(again: Callable[[], Iterator[Face]], rows: set[int]) -> dict[int, str]:
    """Returns the names of the pictures of some rows."""
    if not rows:
        return {}
    wanted = itertools.islice(again(), max(rows) + 1)
    return {row: sample.path.name for row, (sample, _) in enumerate(wanted) if row in rows}
