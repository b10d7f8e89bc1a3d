"""A widened network computes what the narrow one did, and its copies part ways."""

from dataclasses import replace

import numpy as np
import pytest
from lively import settled_arrays

from training.learning.configuration import Configuration
from training.learning.widen import widen
from zoo.errors import ZooError
from zoo.variants import get

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("narrow", "wide"), [("mixed-035-096", "mixed-100-192"), ("shuffle-035-128", "shuffle-050-128"), ("deconv-035-128", "deconv-050-128")]
)
def test_the_wider_network_begins_as_the_narrower_one(narrow, wide):
    import tf_keras

    from zoo.nets import build, from_arrays
    from zoo.nets.weights import to_arrays

    crops = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype(np.float32)
    arrays = settled_arrays(get(narrow))
    maps = {}
    for name, make in ((narrow, lambda shapes: arrays), (wide, lambda shapes: widen(arrays, shapes, noise=0.0))):
        model = build(replace(get(name), size=96), tf_keras)
        from_arrays(model, make({key: value.shape for key, value in to_arrays(model).items()}))
        maps[name] = model.predict_on_batch(crops)
        tf_keras.backend.clear_session()
    assert maps[narrow].std() > 0.3
    assert np.abs(maps[wide] - maps[narrow]).max() < 1e-3


def test_copies_are_not_alike_with_noise_and_what_fits_stays():
    kernel = np.random.default_rng(0).normal(size=(1, 1, 4, 8)).astype(np.float32)
    grown = widen({"a/kernel": kernel, "b/bias": np.arange(4.0)}, {"a/kernel": (1, 1, 4, 16), "b/bias": (4,), "c/kernel": (1, 1, 2, 2)})
    assert set(grown) == {"a/kernel", "b/bias"} and np.array_equal(grown["b/bias"], np.arange(4.0))
    first, second = grown["a/kernel"][..., :8], grown["a/kernel"][..., 8:]
    assert 0.01 < np.abs(first - second).mean() < np.abs(kernel).mean()


def test_a_network_does_not_shrink():
    with pytest.raises(ZooError, match=r"a/kernel of shape \(1, 1, 4, 8\) cannot grow into \(1, 1, 4, 4\)"):
        widen({"a/kernel": np.zeros((1, 1, 4, 8), np.float32)}, {"a/kernel": (1, 1, 4, 4)})


def test_a_start_from_a_backbone_leaves_the_head_as_it_was(tmp_path, monkeypatch):
    """So that heads can be compared of which none was trained for longer."""
    import tf_keras

    from training.learning import fit, runs
    from zoo.nets import build, to_arrays

    monkeypatch.chdir(tmp_path)
    trained = settled_arrays(get("mixed-035-096"))
    folder = runs.new_folder("trained")
    runs.save_configuration(folder, Configuration("mixed-035-096"), {})
    runs.save_weights(folder, trained)
    before, after = {}, {}
    for name in ("trained", "trained:backbone"):
        model = build(get("mixed-035-096"), tf_keras)
        before[name] = to_arrays(model)
        fit.start(model, name)
        after[name] = to_arrays(model)
    for key, value in trained.items():
        np.testing.assert_allclose(after["trained"][key], value)
        kept = key.startswith(("head_", "maps"))
        np.testing.assert_allclose(after["trained:backbone"][key], before["trained:backbone"][key] if kept else value)
    with pytest.raises(ZooError, match="--init 'nothing:backbone' is not known"):
        fit.start(model, "nothing:backbone")
