"""Who or what photograph a picture's name stands for: what a split must not divide."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from training.readers.names import short
from training.readers.problems import SPLIT, LabelFault

SPLITS = ("train", "val", "test")
# The splits that trainings may use; the others are for choosing and for testing.
TRAINING_SPLITS = ("", "train")
# Share of the groups that trainings keep for evaluation unless told otherwise.
HELD_OUT = 0.1
# The one vocabulary: names of folders and files, columns of tables, arrays, and words behind `@`.
_WORDS = {
    word: split
    for split, words in {
        "train": ("train", "training", "trainset", "trainingset", "trn"),
        "val": ("val", "valid", "validation", "validate", "valset", "validset", "validationset", "dev", "devset", "development"),
        "test": ("test", "testing", "testset", "testingset", "tst"),
    }.items()
    for word in words
}


def is_held_out(group: str, share: float) -> bool:
    """Whether a person or photograph is kept from training: the same answer in every source and every run."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") < share * 2**32


def split_word(word: str) -> str | None:
    """Returns the split ("train", "val", "test") that a word stands for, "" where there is none, None where the word is not known."""
    word = word.strip().lower()
    return _WORDS.get(re.sub("[ _-]", "", word)) if word else ""


def split_of_label(word: str) -> str:
    """Returns the split of a word in a label file; a LabelFault names one that is not known."""
    split = split_word(word)
    if split is None:
        raise LabelFault(SPLIT, short(word))
    return split


def group_of(name: str) -> str:
    """Returns the person or photograph a picture's name stands for.

    `smile_001_08.jpg` and `london_001_03.jpg` are one person, as are `tr_NAME_k.jpg` and `te_NAME_k.jpg`; `NAME_k.jpg` is face or frame k
    of NAME (unless NAME is a split); any other name stands alone.
    """
    stem = Path(name.replace("\\", "/")).stem
    stem = stem[3:] if stem.startswith(("tr_", "te_")) else stem
    head, _, tail = stem.rpartition("_")
    if head.startswith(("smile_", "london_")):
        return "london_" + head.split("_")[1]
    return head if head and head not in _WORDS and tail.isdigit() and len(tail) <= 3 else stem


def photograph_of(name: str) -> str:
    """Returns the photograph a picture of JD-landmark or LaPa was made from: its name without the last `_suffix`, in lower case.

    `AFW_134212_1_0.jpg` is the photograph and `AFW_134212_1_5.jpg` a warp of it; 300W's `afw/134212_1.jpg` is the same photograph
    and gets the same word from `photograph_of_300w`.
    """
    stem = Path(name).stem
    return (stem.rpartition("_")[0] or stem).lower()


def photograph_of_300w(folders: tuple[str, ...], stem: str) -> str:
    """Returns the photograph of a picture of 300W, in the words of `photograph_of`.

    Args:
      folders: names of the folders it lies in, in lower case.
      stem: of the picture.
    """
    collection = next((name for name in folders if name in ("afw", "helen", "ibug", "lfpw")), "")
    if collection == "lfpw":  # image_0001 in trainset and in testset are different photographs
        part = "test" if "testset" in folders else "train"
        return f"lfpw_image_{part}_{stem.rpartition('_')[2]}".lower()
    return f"{collection}_{stem}".lower() if collection else stem.lower()


def split_in(name: str) -> str:
    """Returns the split that a word in a file's or folder's name stands for (`list_train.txt`, `Test_data`, `val2017`), or ""."""
    return next((_WORDS[word] for word in re.split("[^a-z]+", name.lower()) if word in _WORDS), "")


def split_of_folder(root: Path, folder: Path) -> str:
    """Returns the split of a folder within a source: by the nearest folder's name that has one; the source's own must be just that word."""
    inner = next((split for split in map(split_in, reversed(folder.relative_to(root).parts)) if split), "")
    return inner or split_word(root.name) or ""


def clean_group(group: str) -> str:
    """Returns a group's name on one line and as text, whatever bytes the picture's name was made of."""
    return " ".join(group.encode("utf-8", "backslashreplace").decode().replace("\0", " ").split("\n"))
