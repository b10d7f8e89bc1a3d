"""Label files made wrong by code: bytes, words, values and arrays changed at random, by a seed."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np

WORDS = (
    "nan", "inf", "-inf", "1e999", "-1", "0", "1e-400", "99999999999999999999999999", "x", "", "null", "1,2", "0x10", "1_0", "½", "٣",
    "\0", "../../x", "a.png.pts", "C:\\a\\b.png", "²", "True", "-", "{", "}", '"', "\\", "\x85", "\u2028", "\U0001f600",
)  # fmt: skip
VALUES = (
    None, True, False, -1, 0, 3.5, float("nan"), float("inf"), 10**30, -(10**30), 2**63, "", "x", "a\0b.png", "../x", [], [1], [None],
    ["x"], {}, {"a": 1}, [[1, 2]], "9" * 400, "\ud800", 1e308, [10**400], "C:\\x\\y.png",
)  # fmt: skip
FIELDS = ("id", "image_id", "file_name", "keypoints", "bbox", "face_kpts", "face_box", "face_valid", "group", "x")
# Arrays that may stand in the place of any other: shapes and types of (3, 68, 2) points, and odder ones.
_SHAPE = (3, 68, 2)
ARRAYS: tuple[np.ndarray, ...] = (
    *(np.zeros(shape) for shape in ((), (0,), (1, 2, 3, 4), (3, 0, 2), (2**20, 0))),
    *(np.zeros(_SHAPE, kind) for kind in (np.complex128, "M8[s]", "m8[s]", bool, ">f8", "f2", "S3")),
    *(np.full(_SHAPE, value) for value in (np.nan, 1e308, "x")), np.full((3, 106, 2), 1e308), np.asfortranarray(np.ones(_SHAPE)),
    np.array(["a", "b"]), np.array([b"a\xff", b"b"]), np.array([None, "a"], object), np.zeros(3, "V5"), np.array([1, 2, 3]),
    np.zeros(3, [("a", "f4"), ("b", "i2")]), np.array(["a\0b", "\ud800x", "../x"]),
)  # fmt: skip


def mutate(content: bytes, name: str, rng: random.Random) -> bytes:
    """Returns a label file changed once to four times, in the way of its kind or byte by byte."""
    kind = Path(name).suffix.lower()
    structured = {".json": _json, ".npz": _npz, ".mat": _mat}.get(kind, _text)
    ways = [structured, structured, structured, _bytes] if kind != ".mat" else [_mat, _bytes]
    for _ in range(rng.randint(1, 4)):
        try:
            content = rng.choice(ways)(content, rng)
        except Exception:  # what an earlier change broke cannot be changed by its structure
            content = _bytes(content, rng)
    return content


def _bytes(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return rng.randbytes(20)
    data, at = bytearray(content), rng.randrange(len(content))
    way = rng.randrange(7)
    if way == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif way == 1:
        data[at : at + rng.randint(1, 40)] = rng.randbytes(rng.randint(0, 40))
    elif way == 2:
        del data[at:]
    elif way == 3:
        data[at:at] = rng.choice((b"\0", b"\xff\xfe", b"\r", b"\n", b"\xef\xbb\xbf", b"\x1a", b"\n" * 50, b" " * 200))
    elif way == 4:
        del data[at : at + rng.randint(1, 400)]
    elif way == 5:
        data = bytearray(rng.choice((b"", b"\n", b"{", b"[]", b"\xff" * 9, bytes(data) * 2, bytes(data[::-1]))))
    else:
        text = bytes(data).decode("latin-1").encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "cp500")))
        data = bytearray(text)
    return bytes(data)


def _text(content: bytes, rng: random.Random) -> bytes:
    lines = content.decode("utf-8").split("\n")
    at = rng.randrange(len(lines))
    way = rng.randrange(6)
    if way <= 2:
        split = "," if "," in lines[at] else " "
        words = lines[at].split(split)
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        lines[at] = split.join(words)
    elif way == 3:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif way == 4:
        del lines[at]
    else:
        line = lines[at]
        lines[at] = rng.choice((*WORDS, line + " {", line.upper(), line + "\t", line * 2, '"' + line, line.replace(" ", ",")))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _json(content: bytes, rng: random.Random) -> bytes:
    value = json.loads(content)
    places: list[tuple[Any, Any]] = []

    def walk(inner: Any) -> None:
        for key in list(inner) if isinstance(inner, dict) else range(min(len(inner), 8)) if isinstance(inner, list) else ():
            places.append((inner, key))
            walk(inner[key])

    walk(value)
    if not places:
        return json.dumps(rng.choice(VALUES)).encode()
    holder, key = rng.choice(places)
    if isinstance(holder, dict) and rng.random() < 0.2:
        holder[rng.choice(FIELDS)] = holder.pop(key)
    elif isinstance(holder, dict) and rng.random() < 0.1:
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _npz(content: bytes, rng: random.Random) -> bytes:
    with np.load(io.BytesIO(content), allow_pickle=True) as archive:
        arrays = {key: archive[key] for key in archive.files}
    key = rng.choice(list(arrays))
    way = rng.randrange(5)
    if way <= 1:
        arrays[key] = rng.choice(ARRAYS)
    elif way == 2:
        arrays[key] = arrays[key][: rng.randrange(3)] if arrays[key].ndim else arrays[key].reshape(1)
    elif way == 3:
        arrays[rng.choice(("names", "points", "weights", "root", "mesh", "groups", "splits", "other"))] = arrays.pop(key)
    else:
        arrays[rng.choice(("groups", "splits", "mesh", "weights"))] = rng.choice(ARRAYS)
    out = io.BytesIO()
    rng.choice((np.savez, np.savez_compressed))(out, **arrays)
    return out.getvalue()


def _mat(content: bytes, rng: random.Random) -> bytes:
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as mat:
        key = rng.choice([key for key in mat if key != "pictures"])
        way = rng.randrange(4)
        if way == 0:
            del mat[key]
        elif way == 1:
            del mat[key]
            array = rng.choice(ARRAYS)
            mat[key] = array if array.dtype.kind in "biufcS" else np.zeros((87, 1))
        elif way == 2:
            del mat[key]
            mat.create_group(key)
        else:
            mat[rng.choice(("IsT", "phisT", "bboxesT", "x"))] = np.zeros((87, 2))
    return file.getvalue()
