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
from lively import settled_arrays
from workplaces import workplace

from training.learning import runs
from training.learning.configuration import Configuration
from zoo.errors import ZooError
from zoo.files import read_npz
from zoo.variants import get

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FACES, STEPS, STOP = 12, 6, 3
# Sums in parallel threads may be added up in another order.
SAME_WEIGHTS = 1e-5
TINY = Configuration("mixed-035-096", steps=STEPS, batch=4, warmup_steps=2, average=0.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Works in a folder of its own, with few synthetic faces, and leaves everything as it was."""
    with workplace(tmp_path_factory.mktemp("resume"), FACES) as place:
        yield place


@pytest.fixture(scope="module")
def straight(folder):
    """Returns the folder of a float run that was never stopped."""
    from training.learning.fit import fit

    assert fit(TINY, Path("runs/straight"))
    return Path("runs/straight")


@pytest.fixture(scope="module")
def halfway(folder):
    """Returns the checkpoint of a float run that was stopped between two steps; its folder is `runs/stopped`."""
    from training.learning.fit import fit

    assert not fit(TINY, Path("runs/stopped"), stop_at=STOP)
    checkpoint = runs.read_checkpoint(Path("runs/stopped"))
    assert checkpoint.step == STOP
    return checkpoint


def assert_same_weights(first, second):
    a, b = (read_npz(runs.weights_path(folder)) for folder in (first, second))
    assert list(a) == list(b)
    for key in a:
        assert np.abs(a[key].astype(np.float64) - b[key]).max() <= SAME_WEIGHTS, key


def test_a_float_run_ends_where_it_would_have_without_a_stop(straight, halfway):
    from training.learning.fit import fit

    stopped = Path("runs/stopped")
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


def test_a_finished_run_resumes_to_itself(straight):
    from training.learning.fit import fit

    before = read_npz(runs.weights_path(straight))
    assert fit(TINY, straight, resume=True)
    after = read_npz(runs.weights_path(straight))
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_a_quantisation_aware_run_goes_on_from_a_checkpoint_in_passing_as_if_nothing_had_been(folder, monkeypatch):
    """What was killed without a word has only the checkpoints that were written on the way."""
    from training.learning.loop import train
    from training.learning.quantize import quantize

    parent, halves = Path("runs/parent"), Path("runs/halves")
    runs.save_configuration(parent, TINY, {})
    runs.save_weights(parent, settled_arrays(get(TINY.variant)))
    tiny = replace(TINY, quantized=True, steps=4, warmup_steps=1, learning_rate=1e-4, init="parent")
    real = runs.save_checkpoint

    def also_kept(folder, checkpoint):
        real(folder, checkpoint)
        if checkpoint.step == 2:
            real(halves, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_checkpoint", also_kept)
        patch.setitem(train.__kwdefaults__, "checkpoint_every", 2)
        assert quantize(tiny, parent, Path("runs/whole"))
    assert runs.read_checkpoint(halves).step == 2
    assert quantize(tiny, parent, halves, resume=True)
    assert_same_weights(Path("runs/whole"), halves)


def test_weights_that_are_no_numbers_any_more_are_not_saved(straight, monkeypatch):
    """The bounded maps of such a network, and so its loss, can still be numbers."""
    import keras

    from training.learning.fit import fit

    real = keras.Model.train_on_batch

    def spoilt(self, *args, **options):
        loss = real(self, *args, **options)
        self.get_layer("Conv1").kernel.assign(np.full((3, 3, 3, 16), np.nan))
        return loss

    monkeypatch.setattr(keras.Model, "train_on_batch", spoilt)
    with pytest.raises(ZooError, match=r"weights are no numbers any more at step 1"):
        fit(replace(TINY, steps=1), Path("runs/spoilt"))
    assert not list(Path("runs/spoilt").glob("*.npz"))


@pytest.mark.parametrize("how", ["cut", "foreign", "empty", "of another network"])
def test_a_checkpoint_that_cannot_be_used_is_named_in_one_line(straight, how):
    from training.learning.fit import fit

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


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_at_step_0(straight):
    from training.learning.fit import fit

    killed = Path("runs/killed early")
    runs.save_configuration(killed, TINY, {})
    assert fit(TINY, killed, resume=True)
    assert runs.read_checkpoint(killed).step == TINY.steps


SCRIPT = f"""
import sys
from training.synthetic import packs
from training.__main__ import main
from zoo import terminal
packs._FACES = {FACES}
sys.exit(terminal.run(main))
"""


def test_sigterm_leaves_a_checkpoint(folder):
    name = "terminated"
    command = ["fit", "mixed-035-096", "--batch", "4", "--steps", "5000", "--run", name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *command], cwd=folder, env=environment, **pipes)
    seen = b""
    deadline = time.monotonic() + 240
    while b"nme=" not in seen and time.monotonic() < deadline:  # the bar says so after the first step
        block = os.read(process.stderr.fileno(), 4096)
        if not block:
            break
        seen += block
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (seen + err).decode()
    assert err.decode().endswith("interrupted\n") and "Traceback" not in err.decode()
    checkpoint = runs.read_checkpoint(Path("runs") / name)
    assert 1 <= checkpoint.step < 5000
    assert read_npz(runs.weights_path(Path("runs") / name))
    assert not [path.name for path in (Path("runs") / name).iterdir() if path.name.startswith(".")]
    assert out == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_within_a_step_is_heard_after_it(halfway, monkeypatch, number):
    """Weights of step n + 1 under the number n would train a step twice."""
    import keras

    from training.learning.fit import fit

    stopped, steps = Path(f"runs/signal{int(number)}"), []
    real = keras.Model.train_on_batch

    def signalled(self, *args, **options):
        steps.append(real(self, *args, **options))
        if len(steps) == STOP:
            signal.raise_signal(number)
        return steps[-1]

    monkeypatch.setattr(keras.Model, "train_on_batch", signalled)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        fit(TINY, stopped)
    assert signal.getsignal(number) is before
    found = runs.read_checkpoint(stopped)
    assert found.step == STOP
    for one, other in zip([*found.model, *found.optimizer], [*halfway.model, *halfway.optimizer], strict=True):
        assert np.abs(one.astype(np.float64) - other).max() <= SAME_WEIGHTS
