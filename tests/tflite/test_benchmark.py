"""The benchmark times every file under every setting in turn, and says on what machine."""

import contextlib
import json

import numpy as np
import pytest
from stubs import make_stub_files  # noqa: F401

from tflite.__main__ import main
from tflite.measure import benchmark as benchmarks
from tflite.measure.benchmark import Job, benchmark, resolve
from zoo import cards
from zoo.errors import ZooError
from zoo.machine import usable_cores


def check(row):
    assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"] < 5000
    assert row["ratio"] > 0
    assert 20 < row["peak_mb"] < 4000


def test_rows_with_and_without_xnnpack(stub_files):
    rows = benchmark([stub_files["mixed"]], threads=(1,), rounds=2)
    assert [row["xnnpack"] for row in rows] == ["on", "off"]
    assert [row["delegated"] for row in rows] == ["17/17", "0/17"]
    assert rows[0]["ratio"] == 1
    assert rows[1]["ratio"] == pytest.approx(rows[1]["median_ms"] / rows[0]["median_ms"])
    for row in rows:
        check(row)
        assert row["file_bytes"] == stub_files["mixed"].stat().st_size
        assert row["threads"] == 1


@pytest.mark.slow
def test_the_command_times_both_runtimes_two_threads_and_mediapipe(stub_files, capsys):
    threads = ["1", "2"] if len(usable_cores()) > 1 else ["1"]
    files = [str(stub_files["conv"]), str(stub_files["float32"])]
    options = ["--rounds", "2", "--with-mediapipe", "--runtime", "ai-edge-litert", "tflite-runtime", "--xnnpack", "on", "--json"]
    assert main(["benchmark", *files, *options, "--threads", *threads]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3 * 2 * len(threads)
    for row in rows:
        check(row)
        assert "cores" in row["machine"]
    mediapipe = [row for row in rows if row["model"] == "MediaPipe face_landmark"]
    assert len(mediapipe) == 2 * len(threads)
    assert all(row["mmac"] == pytest.approx(35, rel=0.02) for row in mediapipe)


def test_every_round_asks_every_worker_once_in_random_order(stub_files, monkeypatch):
    asked = []

    @contextlib.contextmanager
    def worker(job):
        def ask(question):
            if question["calls"]:
                asked.append((job.threads, job.xnnpack, job.path))
            return {"times_ms": [float(job.threads)] * question["calls"], "delegated": 1, "operators": 1, "peak_mb": 50.0}

        yield ask

    monkeypatch.setattr(benchmarks, "_worker", worker)
    monkeypatch.setattr(benchmarks, "usable_cores", lambda: [0, 1])
    files = [stub_files["conv"], stub_files["float32"]]
    rows = benchmark(files, rounds=6)
    assert len(rows) == 8
    rounds = [tuple(asked[start : start + 8]) for start in range(0, len(asked), 8)]
    assert len(rounds) == 6
    assert all(len(set(order)) == 8 for order in rounds)
    assert len(set(rounds)) > 1
    assert [row["ratio"] for row in rows] == [row["threads"] for row in rows]


def test_a_name_stands_for_its_published_files():
    assert resolve("mixed-035-128") == [
        (f"mixed-035-128.open {precision}", cards.model_path("mixed-035-128.open", precision)) for precision in cards.FILES
    ]
    assert [label for label, _ in resolve("mixed-035-128.research:int8")] == ["mixed-035-128.research int8"]


def test_what_cannot_be_timed_is_refused_in_words(stub_files, tmp_path):
    with pytest.raises(ZooError, match=r"there is no file .*none\.tflite"):
        benchmark([tmp_path / "none.tflite"])
    with pytest.raises(ZooError, match="threads is 10000; 1 to"):
        benchmark([stub_files["conv"]], threads=(10000,))
    with pytest.raises(ZooError, match="rounds is 0"):
        benchmark([stub_files["conv"]], rounds=0)
    with pytest.raises(ZooError, match="nothing to time"):
        benchmark([])


def test_a_worker_reports_why_it_cannot_start(stub_files, tmp_path):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(stub_files["conv"].read_bytes()[:-100])
    with pytest.raises(ZooError, match="cut short or damaged"), benchmarks._worker(Job("cut", str(cut), "tflite-runtime", 1, True)):
        pass


def test_the_caption_names_machine_and_versions():
    caption = benchmarks.caption()
    assert f"numpy {np.__version__}" in caption
    assert "ai-edge-litert 2" in caption
    assert "cores" in caption
    assert "\n" not in caption
