"""A training that was stopped and resumed ends where one that never stopped does, and a stop at any moment leaves a whole checkpoint."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import packs, runs
from training.configuration import Configuration
from zoo.errors import ZooError
from zoo.files import read_npz

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
FACES, STEPS, STOP = 12, 6, 3
# Sums in parallel threads may be added up in another order.
SAME_WEIGHTS = 1e-5
TINY = Configuration("mixed-035-096", steps=STEPS, batch=4, warmup_steps=2, average=0.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Works in a folder of its own, with few synthetic faces, and leaves everything as it was."""
    place = tmp_path_factory.mktemp("resume")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(packs, "_SYNTHETIC_FACES", FACES)
        patch.setattr("training.loop._CHECK_CROPS", 4)
        patch.setattr("training.quantize._CALIBRATION_BATCHES", 1)
        yield place


@pytest.fixture(scope="module")
def straight(folder):
    """Returns the folder of a float run that was never stopped."""
    from training.fit import fit

    assert fit(TINY, Path("runs/straight"))
    return Path("runs/straight")


def assert_same_weights(first, second):
    a, b = (read_npz(runs.weights_path(folder)) for folder in (first, second))
    assert list(a) == list(b)
    for key in a:
        assert np.abs(a[key].astype(np.float64) - b[key]).max() <= SAME_WEIGHTS, key


def test_a_float_run_ends_where_it_would_have_without_a_stop(straight):
    from training.fit import fit

    stopped = Path("runs/stopped")
    assert not fit(TINY, stopped, stop_at=STOP)
    halfway = runs.read_checkpoint(stopped)
    assert halfway.step == STOP
    assert fit(runs.read_configuration(stopped), stopped, resume=True)
    assert runs.read_checkpoint(stopped).step == STEPS
    assert_same_weights(straight, stopped)
    a, b = runs.read_checkpoint(straight), runs.read_checkpoint(stopped)
    for one, other in zip([*a.model, *a.optimizer], [*b.model, *b.optimizer], strict=True):
        assert np.abs(one.astype(np.float64) - other).max() <= SAME_WEIGHTS
    kept = halfway.history[0]
    assert [row["step"] for row in b.history] == [STOP, STEPS] and b.history[0] == kept
    assert (stopped / "history.csv").read_text().splitlines()[0] == "step,loss,nme_percent,learning_rate,seconds"


def test_weights_that_are_kept_are_averaged_and_trained(straight):
    weights, checkpoint = read_npz(runs.weights_path(straight)), runs.read_checkpoint(straight)
    kernel = next(value for value in checkpoint.model if value.shape == weights["maps_conv/kernel"].shape)
    assert not np.array_equal(kernel, weights["maps_conv/kernel"])  # the checkpoint holds the last weights, the file the average
    assert np.abs(kernel - weights["maps_conv/kernel"]).max() < 0.1


def test_another_seed_ends_elsewhere(straight):
    from training.fit import fit

    other = Path("runs/other")
    assert fit(replace(TINY, steps=1, seed=1), other)
    a, b = (read_npz(runs.weights_path(folder))["Conv1/kernel"] for folder in (straight, other))
    assert np.abs(a - b).max() > 0.01


def test_a_finished_run_resumes_to_itself(straight):
    from training.fit import fit

    before = read_npz(runs.weights_path(straight))
    assert fit(TINY, straight, resume=True)
    after = read_npz(runs.weights_path(straight))
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_a_quantisation_aware_run_ends_where_it_would_have_without_a_stop(straight):
    from training.quantize import quantize

    tiny = replace(TINY, quantized=True, steps=4, warmup_steps=1, learning_rate=1e-4, init="straight")
    assert quantize(tiny, straight, Path("runs/whole"))
    halves = Path("runs/halves")
    assert not quantize(tiny, straight, halves, stop_at=2)
    assert quantize(runs.read_configuration(halves), straight, halves, resume=True)
    assert_same_weights(Path("runs/whole"), halves)


@pytest.mark.parametrize("how", ["cut", "foreign", "empty", "missing", "of another network"])
def test_a_checkpoint_that_cannot_be_used_is_named_in_one_line(straight, how):
    from training.fit import fit

    broken = Path("runs") / f"broken {how}"
    runs.save_configuration(broken, TINY, {})
    content = (straight / "checkpoint.npz").read_bytes()
    path = broken / "checkpoint.npz"
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "foreign":
        np.savez(path, a=np.zeros(3))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "of another network":
        runs.save_checkpoint(broken, runs.Checkpoint(3, [np.zeros(3)], [np.zeros(3)], [], 0.0))
    with pytest.raises(ZooError, match="checkpoint") as error:
        fit(TINY, broken, resume=True)
    assert "\n" not in str(error.value)


SCRIPT = f"""
import sys
from training import packs
from training.__main__ import main
from zoo import terminal
packs._SYNTHETIC_FACES = {FACES}
sys.exit(terminal.run(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint_that_can_be_resumed_from(folder, straight, number):
    name = f"signal{int(number)}"
    command = ["fit", "mixed-035-096", "--batch", "4", "--steps", "5000", "--run", name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *command], cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    seen = b""
    deadline = time.monotonic() + 240
    while b"nme=" not in seen and time.monotonic() < deadline:  # the bar says so after the first step
        block = os.read(process.stderr.fileno(), 4096)
        if not block:
            break
        seen += block
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (seen + err).decode()
    assert err.decode().endswith("interrupted\n") and "Traceback" not in err.decode()
    checkpoint = runs.read_checkpoint(Path("runs") / name)
    assert 1 <= checkpoint.step < 5000
    assert read_npz(runs.weights_path(Path("runs") / name))
    assert not [path.name for path in (Path("runs") / name).iterdir() if path.name.startswith(".")]
    assert out == b""


def test_a_signal_within_a_step_is_heard_after_it(straight, monkeypatch):
    """Weights of step n + 1 under the number n would train a step twice."""
    import keras

    from training.fit import fit

    stopped, steps = Path("runs/within"), []
    real = keras.Model.train_on_batch

    def signalled(self, *args, **options):
        loss = real(self, *args, **options)
        steps.append(loss)
        if len(steps) == STOP:
            signal.raise_signal(signal.SIGTERM)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", signalled)
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            fit(TINY, stopped)
        assert signal.getsignal(signal.SIGTERM) is before
    assert runs.read_checkpoint(stopped).step == STOP
    assert fit(TINY, stopped, resume=True)
    assert_same_weights(straight, stopped)
