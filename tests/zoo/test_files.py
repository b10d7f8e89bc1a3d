"""Files are written whole or not at all, broken ones are named in one line, and commands end with the status they promise."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from zoo.errors import ZooError, unknown
from zoo.files import claimed, read_json, read_npz, replacing, replacing_folder, settle, sha256, write_json, write_whole
from zoo.nets.weights import read_arrays
from zoo.terminal import format_table, run, show

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def handlers():
    """Puts back the signal handlers that `run` sets."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- writing ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"\x00\xff", b"\x00\xff"), ("größer\n", "größer\n".encode()), (lambda file: file.write(b"by hand"), b"by hand")],
    ids=["bytes", "text", "function"],
)
def test_content_of_every_kind_is_written_with_the_folders_it_needs(tmp_path, content, expected):
    path = write_whole(tmp_path / "a" / "b" / "file", content)
    assert path.read_bytes() == expected
    assert left_in(path.parent) == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "file"
    path.write_text("old and longer")
    assert write_whole(path, "new").read_text() == "new"


def broken_writer(file):
    file.write(b"half")
    raise RuntimeError("the writer failed")


def full_disk(file):
    file.write(b"half")
    raise OSError(28, "No space left on device")


def interrupted(file):
    file.write(b"half")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("writer", "error"), [(broken_writer, RuntimeError), (full_disk, ZooError), (interrupted, KeyboardInterrupt)],
)  # fmt: skip
@pytest.mark.parametrize("existing", [True, False])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, writer, error, existing):
    path = tmp_path / "file"
    if existing:
        path.write_text("old")
    with pytest.raises(error):
        write_whole(path, writer)
    assert left_in(tmp_path) == (["file"] if existing else [])
    assert not existing or path.read_text() == "old"


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_disk_that_fails_at_any_step_leaves_the_old_file(tmp_path, monkeypatch, step):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(ZooError, match=r"cannot write .*file: No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert left_in(tmp_path) == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder", tmp_path / ("long" * 100)):
        with pytest.raises(ZooError, match="cannot write") as error:
            write_whole(path, "new")
        assert str(path) in str(error.value)
    assert left_in(tmp_path) == ["file", "folder"]


def test_a_link_to_nothing_in_the_way_is_named(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for target in (tmp_path / "link" / "a", tmp_path / "link" / "b" / "a"):
        with pytest.raises(ZooError, match=r"cannot write .*a: .*link is a link to nothing"):
            write_whole(target, "new")


# ---- folders ---------------------------------------------------------------------------------------------------------------------------


def filled(folder, text):
    (folder / "file").write_text(text)


def test_a_folder_is_replaced_as_a_whole_and_nothing_else_stays(tmp_path):
    target = tmp_path / "deep" / "folder"
    for text in ("old", "new"):
        with replacing_folder(target) as arriving:
            filled(arriving, text)
            (arriving / text).touch()
        assert (target / "file").read_text() == text and left_in(target) == sorted(["file", text])
        assert left_in(tmp_path / "deep") == ["folder"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_folder_that_fails_half_way_leaves_the_old_one(tmp_path, error):
    with replacing_folder(tmp_path / "folder") as arriving:
        filled(arriving, "old")
    with pytest.raises(ZooError if error is OSError else error), replacing_folder(tmp_path / "folder") as arriving:
        filled(arriving, "half")
        raise error("no")
    assert left_in(tmp_path) == ["folder"] and (tmp_path / "folder" / "file").read_text() == "old"


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path, monkeypatch):
    with replacing_folder(tmp_path / "folder") as arriving:
        filled(arriving, "old")
    real = os.rename

    def fail(source, target):
        if str(source).endswith(".writing"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(ZooError, match="No space left"), replacing_folder(tmp_path / "folder") as arriving:
        filled(arriving, "new")
    assert left_in(tmp_path) == ["folder"] and (tmp_path / "folder" / "file").read_text() == "old"


KILLED = """
import os, signal, sys
from pathlib import Path
from zoo import files
target, step = Path(sys.argv[1]), int(sys.argv[2])
real, seen = os.rename, []
def rename(source, place):
    if len(seen) == step:
        os.kill(os.getpid(), signal.SIGKILL)
    seen.append(place)
    real(source, place)
os.rename = rename
with files.replacing_folder(target) as arriving:
    (arriving / "file").write_text("new")
"""


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_kill_between_the_renames_loses_nothing(tmp_path, step):
    """At every step the old or the new folder is there once somebody reads, and the next writer clears what is left."""
    with replacing_folder(tmp_path / "folder") as arriving:
        filled(arriving, "old")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "folder"), str(step)], cwd=ROOT, check=False)
    settle(tmp_path)
    assert (tmp_path / "folder" / "file").read_text() == ("new" if step == 2 else "old")
    with replacing_folder(tmp_path / "folder") as arriving:
        filled(arriving, "newer")
    assert left_in(tmp_path) == ["folder"] and (tmp_path / "folder" / "file").read_text() == "newer"


def test_what_killed_writers_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    code = "import os, signal, sys; from zoo.files import *; from zoo import files\n"
    killed = code + "with files.replacing(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / "file")], cwd=ROOT, check=False)
    assert len(left_in(tmp_path)) == 1
    (tmp_path / ".file.mine").write_text("somebody else's")
    with replacing(tmp_path / "file") as living:
        assert left_in(tmp_path) == sorted([".file.mine", living.name])
        living.write_text("slow")
        write_whole(tmp_path / "file", "quick")
        assert living.read_text() == "slow"
    assert left_in(tmp_path) == [".file.mine", "file"] and (tmp_path / "file").read_text() == "slow"


def test_a_claim_is_one_process_alone_and_ends_with_it(tmp_path):
    hold = "import sys, time; from pathlib import Path; from zoo.files import claimed\n"
    hold += "with claimed(Path(sys.argv[1]), 'taken'): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "run")], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ZooError, match="taken"), claimed(tmp_path / "run", "taken"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with claimed(tmp_path / "run", "taken"):
        (tmp_path / "run" / "file").touch()
    assert left_in(tmp_path / "run") == ["file"]


def test_json_comes_back_and_stays_readable(tmp_path):
    value = {"name": "größe", "values": [1, 2.5, None, True]}
    path = write_json(tmp_path / "card.json", value)
    assert read_json(path) == value
    assert "größe" in path.read_text(encoding="utf-8") and path.read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"{'a': 1}"])
def test_broken_json_is_named(tmp_path, content):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(ZooError, match=r"card\.json is not JSON"):
        read_json(path)
    with pytest.raises(ZooError, match=r"cannot read .*none\.json: No such file"):
        read_json(tmp_path / "none.json")


def test_arrays_come_back_without_those_to_omit(tmp_path):
    path = write_whole(tmp_path / "a.npz", lambda file: np.savez(file, a=np.arange(3), b=np.array(["x"]), large=np.zeros(5)))
    found = read_npz(path, omit=("large",))
    assert set(found) == {"a", "b"} and found["a"].tolist() == [0, 1, 2] and found["b"].tolist() == ["x"]


def broken_archives(folder):
    """Writes archives that are broken in every way that comes about in practice; returns them by how they broke."""
    whole, packed = folder / "whole.npz", folder / "packed.npz"
    np.savez(whole, a=np.arange(1000), b=np.ones(50))
    np.savez_compressed(packed, a=np.arange(1000))
    content, small = whole.read_bytes(), packed.read_bytes()
    damaged, flipped = bytearray(content), bytearray(small)
    damaged[500:520] = bytes(20)
    flipped[150:170] = b"\xff" * 20
    made = {"cut": content[:-100], "begun": content[:60], "empty": b"", "text": b"step,loss\n1,2\n"}
    made |= {"damaged": bytes(damaged), "packed": bytes(flipped)}
    for name, data in made.items():
        (folder / f"{name}.npz").write_bytes(data)
    np.save(folder / "one.npy", np.arange(3))
    np.savez(folder / "pickle.npz", a=np.array([{}], object))
    return {name: folder / f"{name}.npz" for name in [*made, "pickle", "missing"]} | {"one": folder / "one.npy", "folder": folder}


def test_an_archive_broken_in_any_way_is_named_in_one_line(tmp_path):
    for how, path in broken_archives(tmp_path).items():
        with pytest.raises(ZooError) as error:
            read_npz(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value), how


def archive_of_zeros(path, megabytes):
    """Writes a small archive that holds many megabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w", force_zip64=True) as member:
        header = {"descr": "<f4", "fortran_order": False, "shape": (megabytes << 18,)}
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(megabytes):
            member.write(bytes(1 << 20))
    return path


def test_arrays_that_take_too_much_are_refused_by_their_headers(tmp_path):
    path = archive_of_zeros(tmp_path / "zeros.npz", 600)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(ZooError, match="take 600 MB; at most 512 MB"):
        read_npz(path)
    with pytest.raises(ZooError, match="take 600 MB; at most 256 MB"):
        read_arrays(path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    assert read_npz(path, omit=("a",)) == {}


def test_a_header_that_promises_more_than_there_is_takes_no_memory_first(tmp_path):
    for shape in ((1 << 40,), (-4,), (3, -4, -5)):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("a.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
            member.write(bytes(100))
        with pytest.raises(ZooError):
            read_npz(tmp_path / "a.npz")


def test_json_too_deep_or_too_large_is_named(tmp_path, monkeypatch):
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(ZooError, match="too deep within one another"):
        read_json(tmp_path / "deep.json")
    monkeypatch.setattr("zoo.files.MOST_JSON_BYTES", 1 << 16)
    with pytest.raises(ZooError, match=r"deep\.json has .* MB"):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize(
    ("array", "words"), [(np.array([True]), "of type bool"), (np.array(["x"]), "of type"), (np.array([1.0, np.nan]), "no finite")]
)
def test_weights_are_finite_numbers(tmp_path, array, words):
    np.savez(tmp_path / "w.npz", kernel=array)
    with pytest.raises(ZooError, match=f"no file of weights: kernel .*{words}"):
        read_arrays(tmp_path / "w.npz")


def test_sha256_is_that_of_the_whole_file(tmp_path):
    content = np.random.default_rng(0).bytes(3_000_001)
    assert sha256(write_whole(tmp_path / "file", content)) == hashlib.sha256(content).hexdigest()


# ---- commands --------------------------------------------------------------------------------------------------------------------------


def fails_with(error):
    def main(argv):
        raise error

    return main


def test_what_a_command_returns_is_its_status():
    assert run(lambda argv: None) == 0
    assert run(lambda argv: 3) == 3
    assert run(lambda argv: len(argv), ["a", "b"]) == 2


def test_a_users_error_ends_in_one_line_and_status_1(capsys):
    assert run(fails_with(ZooError("no such\n   thing"))) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: no such thing\n")


def test_an_interrupt_ends_in_status_130(capsys):
    assert run(fails_with(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(fails_with(ZeroDivisionError()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_unwinds_the_stack(number, capsys):
    unwound = []

    def main(argv):
        try:
            signal.raise_signal(number)
        finally:
            unwound.append(True)

    assert run(main) == 130
    assert unwound


def test_a_reader_that_leaves_early_gets_no_traceback():
    code = "from zoo.terminal import run, show\nimport sys\nsys.exit(run(lambda argv: show([{'row': i} for i in range(200000)])))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 141


def test_a_table_lines_up_and_leaves_gaps_as_dashes(capsys):
    rows = [{"name": "a", "value": 1.23456, "list": (1, 2)}, {"name": "longer", "value": None, "list": ()}]
    assert format_table(rows).splitlines() == ["name    value  list", "a        1.23  1, 2", "longer      -"]
    assert format_table(rows, ["value"]).splitlines() == ["value", " 1.23", "    -"]
    assert format_table([]) == "(nothing)"
    show(rows, as_json=True)
    assert json.loads(capsys.readouterr().out) == [{**rows[0], "list": [1, 2]}, {**rows[1], "list": []}]


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    message = str(unknown("variant", "mixd-035-128", ["deconv-035-128", "mixed-035-128"]))
    assert "unknown variant 'mixd-035-128'; did you mean 'mixed-035-128'?" in message and "deconv-035-128" in message
    assert str(unknown("scheme", "x", [])) == "unknown scheme 'x'. Possible: none"
    assert issubclass(ZooError, ValueError) and isinstance(unknown("a", "b", ["c"]), ZooError)
