"""Training with PyTorch gives what Keras gives: maps, loss, steps, checkpoints. Here on the CPU; skipped where PyTorch is not installed."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from lively import settled_arrays
from workplaces import workplace

from training.__main__ import main
from training.learning import runs
from training.learning.batches import batches
from training.learning.configuration import Configuration, StudyConfiguration
from training.learning.gpu.feed import feeding
from training.synthetic import packs
from zoo.errors import ZooError
from zoo.files import read_npz
from zoo.variants import VARIANTS, get

FACES, STEPS, STOP = 12, 4, 2
TINY = Configuration("mixed-035-064", steps=STEPS, batch=4, warmup_steps=2, average=0.9, sigma_cells=0.7)
torch_is_here = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Works in a folder of its own, with few synthetic faces, and leaves everything as it was."""
    with workplace(tmp_path_factory.mktemp("gpu"), FACES) as place:
        yield place


def built(spec):
    """Returns a network in Keras 3 with weights as if trained, and those weights."""
    import keras

    from zoo.nets import build, from_arrays

    model, arrays = build(spec, keras), settled_arrays(spec)
    from_arrays(model, arrays)
    return model, arrays


def test_a_machine_without_pytorch_or_gpu_is_told_so(folder):
    with pytest.raises(ZooError, match=r"pip install torch|finds no CUDA GPU here") as refused:
        main(["fit", "mixed-035-064", "--gpu", "--steps", "1"])
    assert "\n" not in str(refused.value)
    assert not list(Path("runs").glob("*"))


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_of_many_processes_are_those_of_one_thread_and_in_their_order(folder, workers):
    prepared = [packs.prepare()]
    long = replace(TINY, steps=9)
    with feeding(long, prepared, workers) as draw:
        for step in (0, 4):
            count = 0
            for one, other in zip(draw(long, prepared, step), batches(long, prepared, step), strict=True):
                np.testing.assert_array_equal(one.crops, other.crops)
                np.testing.assert_array_equal(one.targets, other.targets)
                count += 1
            assert count == 9 - step


def test_a_killed_process_ends_in_one_line_instead_of_waiting_for_ever(folder, monkeypatch):
    import os

    monkeypatch.setattr("training.learning.gpu.feed.make_batch", lambda *_: os._exit(9))
    prepared = [packs.prepare()]
    with pytest.raises(ZooError, match="was killed"), feeding(TINY, prepared, 1) as draw:
        next(draw(TINY, prepared, 0))


@pytest.mark.slow
@torch_is_here
@pytest.mark.parametrize("name", [spec.name for spec in VARIANTS if spec.alpha < 1])
def test_every_variants_maps_are_those_of_keras_in_use_and_in_training(name):
    import torch

    from training.learning.gpu import network

    spec = get(name)
    model, arrays = built(spec)
    operators = network.read(model)
    by_name = {operator.name: operator for operator in operators}
    tensors = {key: network.to_tensor(by_name, key, array, "cpu") for key, array in arrays.items()}
    for key, array in arrays.items():
        np.testing.assert_array_equal(network.to_array(by_name, key, tensors[key]), array)
    crops = np.random.default_rng(0).integers(0, 256, (4, spec.size, spec.size, 3), np.uint8)
    for training in (False, True):
        with torch.no_grad():
            found = network.forward(operators, tensors, tensors, torch.from_numpy(crops), torch.float32, 0.9 if training else None)
        expected = np.asarray(model(crops.astype(np.float32), training=training))
        off = np.abs(found.permute(0, 2, 3, 1).numpy() - expected)
        assert off.max() < (0.05 if training else 1e-3) and off.mean() < 1e-3
        assert np.ptp(expected) > 1  # maps of nothing would agree as well


@torch_is_here
def test_the_loss_is_that_of_keras():
    import torch

    from training.learning.gpu.losses import heatmap_loss
    from training.learning.losses import heatmap_loss as expected

    rng = np.random.default_rng(1)
    maps = rng.uniform(0, 6, (3, 24, 24, 106)).astype(np.float32)
    sigmas_cells = rng.choice([0.7, 1.6, 1000.0], (3, 106, 1))  # seen, hidden, nothing
    targets = np.concatenate([rng.uniform(1, 23, (3, 106, 2)), rng.random((3, 106, 1)), sigmas_cells], -1).astype(np.float32)
    found = heatmap_loss(torch.from_numpy(targets), torch.from_numpy(maps).permute(0, 3, 1, 2), 0.5)
    assert float(found) == pytest.approx(float(expected(0.5)(targets, maps)), rel=1e-4)


@pytest.mark.slow
@torch_is_here
def test_steps_lower_the_loss_as_kerass_do(folder):
    """The same weights, batches and rate: after three steps the losses still agree, though Adam magnifies what is all but nothing."""
    import keras

    from training.learning.gpu import network
    from training.learning.gpu.learner import GpuLearner
    from training.learning.keras_learner import KerasLearner
    from zoo.nets import to_arrays

    model, arrays = built(TINY.spec)
    prepared = [packs.prepare()]
    ours = GpuLearner(network.read(model), arrays, TINY, "cpu")
    theirs = KerasLearner(model, keras, TINY, lambda crops: crops.astype("float32"), to_arrays)
    same = next(batches(TINY, prepared, 0))
    losses = [[float(learner.step(same, 1e-4)) for learner in (ours, theirs)]]
    a, b = ours.averaged(), theirs.averaged()
    assert set(a) == set(b)
    for key in (key for key in a if key.endswith("kernel")):  # the first step of Adam goes by the gradient's sign
        assert np.corrcoef((a[key] - arrays[key]).ravel(), (b[key] - arrays[key]).ravel())[0, 1] > 0.9, key
    losses = np.array(losses + [[float(learner.step(same, 1e-4)) for learner in (ours, theirs)] for _ in range(3)])
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=5e-3)
    ours_fell, theirs_fell = losses[0] - losses[3]
    assert theirs_fell > 0.1 and ours_fell == pytest.approx(theirs_fell, rel=0.15)


@pytest.mark.slow
@torch_is_here
def test_a_stopped_run_goes_on_to_where_it_would_have_come(folder):
    from training.learning.fit import fit

    assert fit(TINY, Path("runs/straight"), device="cpu")
    assert not fit(TINY, Path("runs/stopped"), device="cpu", stop_at=STOP)
    assert fit(runs.read_configuration(Path("runs/stopped")), Path("runs/stopped"), device="cpu", resume=True)
    a, b = (read_npz(runs.weights_path(Path(f"runs/{name}"))) for name in ("straight", "stopped"))
    assert list(a) == list(b) and runs.read_facts(Path("runs/straight"))["device"] == "cpu"
    for key in a:
        assert np.abs(a[key] - b[key]).max() <= 1e-5, key


@torch_is_here
def test_another_loss_is_refused(folder):
    from training.learning.gpu.learner import GpuLearner

    with pytest.raises(ZooError, match="cross-entropy, received 'mse'"):
        GpuLearner((), {}, StudyConfiguration(TINY.variant, loss="mse"), "cpu")
