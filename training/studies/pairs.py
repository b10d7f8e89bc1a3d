"""Pairs of pictures to verify: LFW's list, the `.bin` files of CFP-FP, AgeDB, CALFW and CPLFW, or made from a folder of persons."""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.readers.groups import group_of
from training.readers.picture import read_picture
from training.synthetic.faces import draw_face
from zoo.errors import ZooError, one_line
from zoo.images import as_rgb, list_images

FOLDS = 10
# Of one person, so that who has hundreds of pictures does not decide everything.
_MOST_PAIRS = 20
_SYNTHETIC_PERSONS, _SYNTHETIC_PICTURES = 40, 4


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture: a file, encoded bytes, or pixels (H, W, 3) uint8."""

    name: str
    content: Path | bytes | np.ndarray

    def read(self) -> np.ndarray:
        """Returns it as (H, W, 3) RGB uint8; a ZooError if it is missing or broken."""
        if isinstance(self.content, Path):
            return read_picture(self.content)
        return self.content if isinstance(self.content, np.ndarray) else _decoded(self.content, self.name)


@dataclass(frozen=True, eq=False)
class Pairs:
    """A verification benchmark.

    Attributes:
      title: what it is called.
      pictures: each once.
      indices: (P, 2) int, the two pictures of each pair.
      same: (P,) bool, whether they show one person.
      folds: (P,) int from 0: a fold's threshold is found on the others.
      persons: (pictures,) int, or None where the layout does not say who is who.
    """

    title: str
    pictures: tuple[Picture, ...]
    indices: np.ndarray
    same: np.ndarray
    folds: np.ndarray
    persons: np.ndarray | None

    def kept(self, usable: np.ndarray) -> Pairs:
        """Returns the benchmark without the pairs of pictures that are not usable (pictures,) bool."""
        chosen = usable[self.indices].all(1)
        return Pairs(self.title, self.pictures, self.indices[chosen], self.same[chosen], self.folds[chosen], self.persons)


def read_pairs(source: str, seed: int = 0) -> Pairs:
    """Returns the benchmark that a path or the word "synthetic" stands for.

    Args:
      source: "synthetic"; a `.bin` file; LFW's folder with `pairs.txt` in it; or a folder of persons (`PERSON/NAME.jpg`, or pictures whose
        names say who they are, see `training.readers.groups`).
      seed: of the pairs that are made.

    Raises:
      ZooError: it is none of these, or broken.
    """
    if source == "synthetic":
        return from_persons("drawn persons", *_drawn(), seed)
    path = Path(source)
    if path.is_file() and path.suffix == ".bin":
        return read_bin(path)
    if not path.is_dir():
        raise ZooError(
            f"there is no folder and no .bin file {source!r}; possible: synthetic, NAME.bin, a folder with pairs.txt, or of persons"
        )
    if (path / "pairs.txt").is_file():
        return read_lfw(path)
    files = list_images([path])
    inner = {file.parent for file in files}
    by_folder = len(inner) > 1 or (path / "images" not in inner and path not in inner)
    persons = [file.parent.name if by_folder else group_of(file.name) for file in files]
    return from_persons(path.name, [Picture(file.name, file) for file in files], persons, seed)


def from_persons(title: str, pictures: Sequence[Picture], persons: Sequence[str], seed: int = 0) -> Pairs:
    """Returns pairs made of who is who: persons are disjoint between folds, genuine and impostor pairs are as many in each.

    Raises:
      ZooError: fewer persons have two pictures, or are there, than ten folds need.
    """
    rng = np.random.default_rng(seed)
    known, person = np.unique(np.asarray(persons), return_inverse=True)
    several = int((np.bincount(person) > 1).sum())
    if several < FOLDS or len(known) < 2 * FOLDS:
        needed = f"{2 * FOLDS} and {FOLDS} are needed for {FOLDS} folds"
        raise ZooError(f"{title} has {len(known)} persons, {several} of them with two pictures or more; {needed}")
    # Those with several pictures are dealt out first, so that every fold has genuine pairs.
    order = sorted(rng.permutation(len(known)), key=lambda one: (person == one).sum() < 2)
    fold_of = np.empty(len(known), int)
    fold_of[order] = np.arange(len(known)) % FOLDS
    indices, same, folds = [], [], []
    for fold in range(FOLDS):
        inside = np.flatnonzero(fold_of[person] == fold)
        genuine = []
        for one in np.flatnonzero(fold_of == fold):
            own = list(itertools.combinations(np.flatnonzero(person == one), 2))
            genuine += [own[i] for i in rng.permutation(len(own))[:_MOST_PAIRS]]
        others = [(a, b) for a, b in itertools.combinations(inside, 2) if person[a] != person[b]]
        impostor = [others[i] for i in rng.permutation(len(others))[: len(genuine)]]
        genuine = genuine[: len(impostor)]
        indices += genuine + impostor
        same += [True] * len(genuine) + [False] * len(impostor)
        folds += [fold] * (len(genuine) + len(impostor))
    return Pairs(title, tuple(pictures), np.array(indices), np.array(same), np.array(folds), person)


def read_lfw(root: Path) -> Pairs:
    """Returns LFW's benchmark (Huang et al. 2007): `pairs.txt` beside, or above, the persons' folders.

    The first line gives folds and pairs of each kind in a fold; then come, fold by fold, lines `NAME i j` of one person and
    `NAME i OTHER j` of two. Picture i of NAME is `NAME/NAME_000i` with any usual suffix.

    Raises:
      ZooError: a line is of another form, their number is not what the first line says, or a picture is missing.
    """
    file = root / "pairs.txt"
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        folds, each = (int(word) for word in lines[0]) if len(lines[0]) == 2 else (1, int(lines[0][0]))
    except (OSError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise ZooError(f"{file} does not begin with the numbers of folds and of pairs: {error}") from None
    if len(lines) - 1 != 2 * folds * each:
        raise ZooError(f"{file} has {len(lines) - 1} pairs; its first line says {folds} folds of 2 x {each}")
    names: dict[tuple[str, int], int] = {}
    indices, same = [], []
    for number, words in enumerate(lines[1:], 2):
        if len(words) not in (3, 4) or not all(words[i].isdecimal() for i in (1, -1)):
            raise ZooError(f"{file}, line {number}: 'NAME i j' or 'NAME i OTHER j' is expected, received {' '.join(words)!r}")
        one, other = (words[0], int(words[1])), (words[0] if len(words) == 3 else words[2], int(words[-1]))
        indices.append([names.setdefault(key, len(names)) for key in (one, other)])
        same.append(len(words) == 3)
    pictures = [Picture(f"{name}_{i:04d}", _lfw_picture(root, name, i)) for name, i in names]
    persons = np.unique([name for name, _ in names], return_inverse=True)[1]
    return Pairs(root.name, tuple(pictures), np.array(indices), np.array(same), np.arange(len(same)) // (2 * each), persons)


def _lfw_picture(root: Path, name: str, index: int) -> Path:
    for folder in (root / name, *(inner / name for inner in sorted(root.iterdir()) if inner.is_dir())):
        found = sorted(folder.glob(f"{name}_{index:04d}.*")) if folder.is_dir() else []
        if found:
            return found[0]
    raise ZooError(f"{root / 'pairs.txt'} names picture {index} of {name}, which is not in {root / name}")


def read_bin(path: Path) -> Pairs:
    """Returns the benchmark in a `.bin` file: a pickle of encoded pictures, two for each pair, and whether they show one person.

    Nothing but lists, bytes, flags and arrays of them is unpickled: a pickle could run anything else.

    Raises:
      ZooError: the file is damaged, holds something else, or the numbers do not fit.
    """
    try:
        content = _Plain(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        encoded, same = content
        encoded = [bytes(np.asarray(one, np.uint8)) if isinstance(one, np.ndarray) else bytes(one) for one in encoded]
        same = np.array([bool(flag) for flag in same])
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged pickle raises anything
        raise ZooError(f"{path} is no .bin file of pictures and flags: {one_line(error)}") from None
    if not len(same) or len(encoded) != 2 * len(same):
        raise ZooError(f"{path} has {len(encoded)} pictures and {len(same)} flags; two pictures for each flag are expected")
    pictures = tuple(Picture(f"{path.stem} {number}", one) for number, one in enumerate(encoded))
    folds = np.arange(len(same)) * FOLDS // len(same)
    return Pairs(path.stem, pictures, np.arange(len(encoded)).reshape(-1, 2), same, folds, None)


class _Plain(pickle.Unpickler):
    """Unpickles arrays and plain values, and refuses whatever else a pickle may name."""

    _ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"), ("_codecs", "encode"),
    }  # fmt: skip

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not unpickled")
        return super().find_class(module, name)


def _decoded(content: bytes, name: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as file:
            return as_rgb(np.asarray(file.convert("RGB")))
    except Exception:  # Pillow raises anything on what is damaged
        raise ZooError(f"picture {name} is no JPEG or PNG that can be read") from None


def _drawn() -> tuple[list[Picture], list[str]]:
    """Returns drawn persons, each from several sides."""
    pictures, persons = [], []
    rng = np.random.default_rng(5)
    for person in range(_SYNTHETIC_PERSONS):
        for view in range(_SYNTHETIC_PICTURES):
            yaw, pitch, roll = rng.uniform([-25, -8, -10], [25, 8, 10])
            face = draw_face(2_000_000 + person, yaw=float(yaw), pitch=float(pitch), roll=float(roll))
            pictures.append(Picture(f"drawn_{person}_{view}", face.image))
            persons.append(str(person))
    return pictures, persons
