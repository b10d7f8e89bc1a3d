"""Times .tflite files side by side: each setting in its own process, asked in turn in random order, so drift hits all alike."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from zoo import terminal
from zoo.errors import ZooError
from zoo.lookup import look_up
from zoo.machine import cpu_model, peak_mb, usable_cores
from zoo.mediapipe_files import needed_mediapipe_file
from zoo.runtime import interpreter as runtimes
from zoo.runtime.graph import read_graph

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ai-edge-litert", "tflite-runtime", "mediapipe", "numpy")
MESH = "MediaPipe face_landmark"  # what the rows call MediaPipe's own model
MESH_FILE = "face_landmark/face_landmark.tflite"
_WARM_UP_S = 0.3  # long enough for the clock of an idle core to rise
_CALLS_PER_TURN = 5
_UNTIMED_PER_TURN = 2  # bring the weights back into the caches that the other workers took


@dataclass(frozen=True)
class Job:
    """One worker's file and setting."""

    label: str
    path: str
    runtime: str
    threads: int
    xnnpack: bool


def benchmark(
    files: Sequence[str | Path],
    threads: Sequence[int] = (1, 2),
    xnnpack: Sequence[bool] = (True, False),
    runtime_names: Sequence[str] = ("ai-edge-litert",),
    with_mediapipe: bool = False,
    rounds: int = 40,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Returns one row per file and setting.

    Times are of `invoke()` alone, in milliseconds, over `rounds` turns of 5 calls each; one worker runs at a time, pinned to as
    many cores as it has threads.

    Args:
      files: .tflite files of one input, or names of published weights or runs (see `zoo.lookup`), each of which stands for its files.
      threads: thread counts to try.
      xnnpack: True with the delegate, False with the interpreter's own kernels.
      runtime_names: among `zoo.runtime.interpreter.RUNTIMES`.
      with_mediapipe: add the face_landmark.tflite that MediaPipe's wheel carries.
      rounds: how many turns each worker gets.
      seed: of the order within the rounds.

    Raises:
      ZooError: a file or name is unknown or broken, there are fewer cores than threads, or a worker ends early.
    """
    if rounds < 1:
        raise ZooError(f"rounds is {rounds}; 1 or more are possible")
    cores = usable_cores()
    for count in threads:
        if not 1 <= count <= len(cores):
            raise ZooError(f"threads is {count}; 1 to {len(cores)} are possible on the cores this process may use")
    paths = [pair for file in files for pair in resolve(file)]
    if with_mediapipe:
        paths.append((MESH, needed_mediapipe_file(MESH_FILE)))
    if not paths:
        raise ZooError("nothing to time: no file, no name and no --with-mediapipe")
    jobs = [Job(label, str(path), name, n, on) for name in runtime_names for n in threads for on in xnnpack for label, path in paths]
    macs = {str(path): _macs(path) for _, path in paths}
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_worker(job)) for job in _progress(jobs, "start")]
        times: list[list[float]] = [[] for _ in workers]
        order, shuffle = list(range(len(workers))), random.Random(seed)
        for _ in _progress(range(rounds), "rounds"):
            shuffle.shuffle(order)
            for index in order:
                times[index] += workers[index]({"calls": _CALLS_PER_TURN})["times_ms"]
        facts = [ask({"calls": 0}) for ask in workers]
    return [_row(job, spent, fact, macs[job.path], times[0]) for job, spent, fact in zip(jobs, times, facts, strict=True)]


def resolve(file: str | Path) -> list[tuple[str, Path]]:
    """Returns (label, path) of a file, or of each file that the name of published weights or of a run stands for."""
    found = look_up(str(file))
    if found.kind == "file":
        return [(f"{found.path.resolve().parent.name}/{found.path.stem}", found.path)]
    return [(f"{found.name} {precision}", path) for precision, path in found.files().items()]


def caption() -> str:
    """Returns one line that names the machine, its system and the packages: a time means nothing without it."""
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return f"{cpu_model()}, {len(usable_cores())} of {os.cpu_count()} cores; {_system()}; {', '.join(versions)}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command line's arguments."""
    parser.add_argument("files", nargs="*", metavar="NAME|RUN|FILE", help="published weights, a run that was exported, or a .tflite file")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N", help="thread counts (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=40, help=f"turns of {_CALLS_PER_TURN} calls for each setting (default: %(default)s)")
    parser.add_argument("--runtime", nargs="+", choices=runtimes.RUNTIMES, default=["ai-edge-litert"], help="(default: ai-edge-litert)")
    parser.add_argument("--xnnpack", choices=("both", "on", "off"), default="both", help="the delegate (default: both)")
    parser.add_argument("--with-mediapipe", action="store_true", help="time MediaPipe's face_landmark.tflite in the same run")
    parser.add_argument("--seed", type=int, default=0, help="of the order within the rounds (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the rows for programs")


def main(args: argparse.Namespace) -> int:
    """Prints the table and a caption that names the machine."""
    xnnpack = {"both": (True, False), "on": (True,), "off": (False,)}[args.xnnpack]
    rows = benchmark(args.files, args.threads, xnnpack, args.runtime, args.with_mediapipe, args.rounds, args.seed)
    if args.json:
        terminal.show([row | {"machine": caption()} for row in rows], as_json=True)
        return 0
    terminal.show(rows)
    print(f"\nMilliseconds of one call, over {args.rounds * _CALLS_PER_TURN} calls for each row; ratio to the first row. {caption()}.")
    return 0


def _row(job: Job, times_ms: list[float], fact: dict[str, Any], macs: int, first_ms: list[float]) -> dict[str, Any]:
    p10, median, p90 = np.percentile(times_ms, [10, 50, 90])
    return {
        "model": job.label,
        "runtime": job.runtime,
        "threads": job.threads,
        "xnnpack": "on" if job.xnnpack else "off",
        "delegated": f"{fact['delegated']}/{fact['operators']}",
        "median_ms": float(median),
        "p10_ms": float(p10),
        "p90_ms": float(p90),
        "ratio": float(median / np.median(first_ms)),
        "file_bytes": Path(job.path).stat().st_size,
        "mmac": macs / 1e6,
        "peak_mb": fact["peak_mb"],
    }


@contextlib.contextmanager
def _worker(job: Job) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Starts a worker, waits until it is warm, and gives the function that asks it; on leaving, the worker ends."""
    code = "import sys; from tflite.measure.benchmark import _serve; _serve(sys.argv[1])"
    arguments = asdict(job) | {"path": str(Path(job.path).resolve())}
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(question: dict[str, Any] | None) -> dict[str, Any]:
        try:
            if question is not None:
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ZooError(f"the worker for {job.label} ({job.runtime}, threads {job.threads}) ended with status {process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ZooError(answer["error"])
        return answer

    try:
        ask(None)  # it answers once when it is warm
        yield ask
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # the end of its input ends it
        process.stdout.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serve(arguments: str) -> None:
    """Is the worker: opens the file, warms up, then answers each line on stdin with the times of so many calls."""
    try:
        _answer(Job(**json.loads(arguments)))
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        print(json.dumps({"error": f"{error}"}), flush=True)


def _answer(job: Job) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, usable_cores()[: job.threads])  # before the interpreter starts its threads, which inherit it
    path = Path(job.path)
    interpreter = runtimes.open_interpreter(runtimes.read_model(path), path, job.threads, job.runtime, job.xnnpack)
    inputs = interpreter.get_input_details()
    if len(inputs) != 1:
        raise ZooError(f"{path} has {len(inputs)} inputs; one is expected")
    interpreter.set_tensor(inputs[0]["index"], any_input(inputs[0]))
    found = runtimes.delegation(interpreter)
    end = time.perf_counter() + _WARM_UP_S
    interpreter.invoke()
    while time.perf_counter() < end:
        interpreter.invoke()
    print(json.dumps({"warm": True}), flush=True)
    for line in sys.stdin:
        calls = json.loads(line)["calls"]
        for _ in range(_UNTIMED_PER_TURN if calls else 0):
            interpreter.invoke()
        times = []
        for _ in range(calls):
            start = time.perf_counter_ns()
            interpreter.invoke()
            times.append((time.perf_counter_ns() - start) / 1e6)
        answer = {"times_ms": times, "delegated": found.delegated, "operators": found.operators, "peak_mb": peak_mb()}
        print(json.dumps(answer), flush=True)


def any_input(detail: dict[str, Any]) -> np.ndarray:
    """Returns random values for an input, as its interpreter describes it."""
    generator = np.random.default_rng(0)
    dtype = np.dtype(detail["dtype"])
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, detail["shape"], dtype, endpoint=True)
    return generator.random(detail["shape"]).astype(dtype)


def _macs(path: Path) -> int:
    return read_graph(runtimes.read_model(path)).macs


def _progress(items: Sequence[Any], what: str) -> Any:
    from tqdm import tqdm

    return tqdm(items, desc=what, file=sys.stderr, disable=None, leave=False)


def _system() -> str:
    with contextlib.suppress(OSError, AttributeError):
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']} {platform.machine()}"
    return f"{platform.system()} {platform.machine()}"
