"""One builder, two Keras namespaces: the same layers, the same weights, the same maps; and every weight learns."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lively import enliven

from zoo.errors import ZooError
from zoo.variants import Stage, VariantSpec, get

pytestmark = pytest.mark.slow

HEADS = ("deconv-035-128", "shuffle-035-128", "mixed-035-128")
SAME_MAPS = 1e-4  # float32 sums in another order, of maps in 0..6
SMALL = VariantSpec("mixed-035-064", 0.35, 64, (Stage("deconv", 16), Stage("shuffle", 12)), ("block_13_expand_relu", None), points=7)


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def tf_keras():
    return pytest.importorskip("tf_keras")


def crops(size, count=2):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def described(model):
    return [(layer.name, type(layer).__name__, [tuple(variable.shape) for variable in layer.weights]) for layer in model.layers]


@pytest.mark.parametrize("name", HEADS)
def test_both_namespaces_build_the_same_network(name, keras, tf_keras):
    from zoo.nets import build, from_arrays, to_arrays

    spec = get(name)
    ours, other = enliven(build(spec, keras)), build(spec, tf_keras)
    assert described(ours) == described(other)
    arrays = to_arrays(ours)
    assert list(arrays) == list(to_arrays(other))
    assert from_arrays(other, arrays) == len(arrays) == len(ours.weights)
    maps, same = (np.asarray(model(crops(spec.size), training=False)) for model in (ours, other))
    assert maps.shape == (2, spec.grid, spec.grid, spec.points) and maps.dtype == np.float32
    assert maps.min() >= 0 and maps.max() <= 6 and maps.std() > 0.1 and 0.05 < (maps > 0).mean() < 0.95
    assert np.abs(maps - same).max() < SAME_MAPS


@pytest.mark.parametrize("name", HEADS)
def test_every_weight_learns(name, keras):
    import tensorflow as tf

    from training.learning.losses import heatmap_loss
    from zoo.nets import build

    keras.utils.set_random_seed(0)
    spec = get(name)
    model = build(spec, keras)
    targets = np.random.default_rng(0).uniform(4, spec.grid - 4, (2, 106, 4)).astype(np.float32)
    targets[..., 2:] = 1
    with tf.GradientTape() as tape:
        loss = heatmap_loss(1.0)(tf.constant(targets), model(crops(spec.size), training=True))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    assert np.isfinite(float(loss))
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.isfinite(gradient).all() and np.abs(gradient).max() > 0, variable.path
    fixed = {variable.name.split("/")[-1] for variable in model.non_trainable_variables}
    assert fixed == {"moving_mean", "moving_variance"}


def test_the_backbone_is_mobilenet_v2_with_its_names_and_its_padding(keras):
    from zoo.nets import build, from_arrays, to_arrays

    theirs = enliven(keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=None, input_shape=(128, 128, 3)))
    model = build(get("mixed-035-128"), keras, scale_input=False)
    arrays = to_arrays(theirs)
    taken = from_arrays(model, arrays, partial=True)
    beyond = {"Conv_1", "Conv_1_bn"}
    assert taken == len([key for key in arrays if key.split("/")[0] not in beyond])
    x = crops(128) / 128 - 1
    for name in ("block_3_expand_relu", "block_16_project_BN"):
        a, b = (keras.Model(one.inputs, one.get_layer(name).output)(x, training=False) for one in (theirs, model))
        assert np.abs(np.asarray(a) - np.asarray(b)).max() < 1e-3 * np.abs(a).max()


def test_a_backbone_starts_from_a_local_file_and_refuses_one_of_another_width(keras, tmp_path):
    from zoo.nets import build, read_backbone, to_arrays

    donor = enliven(build(get("mixed-035-096"), keras))
    np.savez(tmp_path / "weights.npz", **to_arrays(donor))
    model = build(get("deconv-035-128"), keras)
    assert read_backbone(model, str(tmp_path / "weights.npz")) > 250
    assert np.array_equal(to_arrays(model)["Conv1/kernel"], to_arrays(donor)["Conv1/kernel"])
    np.savez(tmp_path / "other.npz", **{"Conv1/kernel": np.zeros((3, 3, 3, 5))})
    with pytest.raises(ZooError, match="holds no variable of deconv_035_128"):
        read_backbone(model, str(tmp_path / "other.npz"))
    (tmp_path / "broken.npz").write_bytes((tmp_path / "weights.npz").read_bytes()[:5000])
    with pytest.raises(ZooError, match=r"broken\.npz"):
        read_backbone(model, str(tmp_path / "broken.npz"))


@pytest.mark.parametrize("namespace", ["keras", "tf_keras"])
def test_scaling_in_the_graph_equals_scaling_outside(namespace, request):
    from zoo.nets import build, from_arrays, to_arrays

    module = request.getfixturevalue(namespace)
    inside, outside = enliven(build(SMALL, module)), build(SMALL, module, scale_input=False)
    from_arrays(outside, to_arrays(inside))
    x = crops(64)
    a, b = inside(x, training=False), outside(x / 128 - 1, training=False)
    assert np.abs(np.asarray(a) - np.asarray(b)).max() < SAME_MAPS
    assert np.asarray(a).std() > 0.1


@pytest.mark.parametrize("namespace", ["keras", "tf_keras"])
def test_the_pixel_shuffle_is_depth_to_space(namespace, request):
    import tensorflow as tf

    from zoo.nets.layers import pixel_shuffle_layer

    module = request.getfixturevalue(namespace)
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 12)).astype(np.float32)
    layer = pixel_shuffle_layer(module)()
    shuffled = np.asarray(layer(x))
    assert np.array_equal(shuffled, tf.nn.depth_to_space(x, 2).numpy())
    assert shuffled.shape == tuple(layer.compute_output_shape(x.shape))
    assert shuffled[1, 2 * 2 + 1, 2 * 4 + 0, 1] == x[1, 2, 4, (2 * 1 + 0) * 3 + 1]  # row offset before column offset
    inputs = module.Input((3, 5, 12))
    assert module.Model(inputs, pixel_shuffle_layer(module)()(inputs)).output_shape == (None, 6, 10, 3)


def test_weights_survive_as_arrays(keras):
    from zoo.nets import build, from_arrays, to_arrays

    model, fresh = enliven(build(SMALL, keras)), build(SMALL, keras)
    arrays = to_arrays(model)
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert from_arrays(fresh, arrays) == len(arrays)
    for key, array in to_arrays(fresh).items():
        assert np.array_equal(array, arrays[key]), key


def test_weights_that_do_not_fit_are_refused_by_name(keras):
    from zoo.nets import build, from_arrays, to_arrays

    model = build(SMALL, keras)
    arrays = to_arrays(model)
    before = arrays["maps_conv/kernel"].copy()
    short = {key: value + 1 for key, value in arrays.items() if key != "head_1_expand/bias"}
    misshapen = {**arrays, "head_0_deconv/kernel": np.zeros((3, 3, 16, 112), np.float32)}
    more = {**arrays, "more/kernel": before}
    for wrong, name in ((short, "head_1_expand/bias"), (misshapen, "head_0_deconv/kernel"), (more, "more/kernel")):
        with pytest.raises(ZooError, match=f"{name}' does not"):
            from_arrays(model, wrong)
    assert np.array_equal(to_arrays(model)["maps_conv/kernel"], before)  # refused before anything is set
    assert from_arrays(model, short, partial=True) == len(short)


def test_a_fixed_batch_is_kept_and_cells_start_inside_their_slope(keras):
    from zoo.nets import build

    keras.utils.set_random_seed(0)
    model = build(SMALL, keras, batch_size=1)
    assert model.input_shape == (1, 64, 64, 3) and model.output_shape == (1, 8, 8, 7)
    maps = np.asarray(model(crops(64, 1), training=False))
    assert (maps > 0).mean() > 0.9 and (maps < 6).mean() > 0.9


def test_unpublished_weights_are_refused(keras, monkeypatch, tmp_path):
    from zoo import cards
    from zoo.nets import load, to_arrays
    from zoo.nets.weights import build_for

    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    with pytest.raises(ZooError, match=r"no float weights are published for mixed-035-096\.open"):
        load("mixed-035-096")
    (tmp_path / "mixed-035-096.open").mkdir()
    (tmp_path / "mixed-035-096.open" / "card.json").write_text("{}")  # as in an installed package
    with pytest.raises(ZooError, match=r"float weights of mixed-035-096\.open .* repository's clone"):
        load("mixed-035-096")
    arrays = to_arrays(enliven(build_for("mixed-035-096", keras)))
    np.savez(tmp_path / "mixed-035-096.open" / "float.npz", **arrays)
    assert np.array_equal(to_arrays(load("mixed-035-096"))["maps_conv/bias"], arrays["maps_conv/bias"])


def test_a_saved_network_is_opened_again(keras, tmp_path):
    from zoo.nets import build

    model = enliven(build(SMALL, keras))
    model.save(tmp_path / "saved.keras")
    x = crops(64)
    np.savez(tmp_path / "x.npz", x=x, maps=np.asarray(model(x, training=False)))
    code = """
import keras, numpy as np, zoo.nets
given = np.load("x.npz")
found = keras.models.load_model("saved.keras")
assert np.abs(np.asarray(found(given["x"], training=False)) - given["maps"]).max() < 1e-4
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_normalisation_in_one_kernel_is_that_of_keras(keras):
    from zoo.nets.layers import batch_normalization_layer

    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (4, 6, 6, 5)).astype(np.float32)
    ours, plain = (layer(epsilon=1e-3, momentum=0.9) for layer in (batch_normalization_layer(keras), keras.layers.BatchNormalization))
    for _ in range(2):
        np.testing.assert_allclose(ours(x, training=True), plain(x, training=True), atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean, plain.moving_mean, rtol=1e-5)
    count, first = x.size / 5, 0.9**2  # values of a channel, and what is left of the variance that both began with
    unbiased = count / (count - 1) * (np.asarray(plain.moving_variance) - first) + first
    np.testing.assert_allclose(ours.moving_variance, unbiased, rtol=1e-4)
    ours.moving_variance.assign(plain.moving_variance)
    np.testing.assert_allclose(ours(x, training=False), plain(x, training=False), atol=1e-4)
