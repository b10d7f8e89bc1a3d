"""Tiny models of every stage kind as TFLite files, built once in a process of their own so that the tests need no TensorFlow.

`python tests/stubs.py FOLDER` builds them; the `stub_files` fixture calls that once and keeps the folder under pytest's cache
until this file or a version of what builds them changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

SIZE = 32  # the stubs' input side; their grid is a quarter of it
POINTS = 5
CLEAN_INT8 = ("conv", "deconv", "shuffle", "mixed")  # one per stage kind; every one must audit clean
OTHERS = ("float_inside", "float_io", "free_batch", "float32", "float16")


@pytest.fixture(scope="session", name="stub_files")
def make_stub_files(request: pytest.FixtureRequest) -> dict[str, Path]:
    """Returns the path of each stub file by its name."""
    packages = ("tensorflow", "tf-keras", "tensorflow-model-optimization")
    recipe = Path(__file__).read_bytes() + "".join(map(metadata.version, packages)).encode()
    folder = request.config.cache.mkdir("tflite-stubs") / hashlib.sha256(recipe).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:  # pytest-xdist's workers share the cache: one builds, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
            built = subprocess.run([sys.executable, __file__, str(folder)], env=environment, capture_output=True, text=True, check=False)
            assert built.returncode == 0, f"the stubs could not be built:\n{built.stderr[-3000:]}"
            (folder / "done").touch()
    return {name: folder / f"{name}.tflite" for name in CLEAN_INT8 + OTHERS}


def edited(source: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """Writes a copy of a .tflite file after `change` has altered its flatbuffer's object tree (a `ModelT`); returns `target`."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0)
    change(model)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target


def build(folder: Path) -> None:
    """Writes every stub into `folder`."""
    import tensorflow as tf
    import tf_keras
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tensorflow_model_optimization.quantization.keras import (
        QuantizeConfig,
        quantize_annotate_layer,
        quantize_annotate_model,
        quantize_apply,
        quantize_scope,
    )

    layers = tf_keras.layers

    class PixelShuffle(layers.Layer):
        def call(self, inputs):
            return tf.nn.depth_to_space(inputs, 2)

    class NothingToQuantize(QuantizeConfig):
        def get_weights_and_quantizers(self, layer):
            return []

        def get_activations_and_quantizers(self, layer):
            return []

        def set_quantize_weights(self, layer, quantize_weights):
            pass

        def set_quantize_activations(self, layer, quantize_activations):
            pass

        def get_output_quantizers(self, layer):
            return []

        def get_config(self):
            return {}

    def conv(x, width, kernel=1, stride=1, relu=True):
        x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.ReLU(6.0)(x) if relu else x

    def depthwise(x, stride=1):
        x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
        return layers.ReLU(6.0)(layers.BatchNormalization()(x))

    def deconv_stage(x, lateral, width):
        x = layers.Conv2DTranspose(width, 4, 2, padding="same")(x)
        x = layers.Add()([x, conv(lateral, width, relu=False)])
        return conv(depthwise(x), width)

    def shuffle_stage(x, lateral, width):
        x = conv(x, 4 * width)
        shuffle = PixelShuffle()
        x = quantize_annotate_layer(shuffle, NothingToQuantize())(x) if annotated else shuffle(x)
        x = layers.Add()([x, conv(lateral, width, relu=False)])
        return conv(depthwise(x), width)

    def float_stage(x, lateral, width):
        x = layers.Conv2DTranspose(width, 4, 2, padding="same")(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    def model(stages, scaled_in_graph=False):
        width = 8
        x = image = layers.Input((SIZE, SIZE, 3))
        if scaled_in_graph:
            x = layers.Rescaling(1 / 128, -1.0)(x)
        x = conv(conv(x, width, 3, stride=2), width)
        laterals = [x]
        x = depthwise(x, 2)
        if not stages:
            residual = conv(x, width, relu=False)
            x = layers.Add()([residual, conv(depthwise(conv(residual, 2 * width)), width, relu=False)])
        for _ in stages:
            laterals.append(x)
            x = depthwise(x, 2)
        for stage in stages:
            x = stage(x, laterals.pop(), width)
        result = tf_keras.Model(image, layers.ReLU(6.0)(layers.Conv2D(POINTS, 1, bias_initializer=tf_keras.initializers.Constant(3.0))(x)))
        for (
            variable
        ) in result.variables:  # enough gain for maps that fill the range of 0 to 6: maps of zeros would compare equal to anything
            if variable.name.endswith("gamma:0"):
                variable.assign(1.5 + tf.zeros_like(variable))
        return result

    def convert(keras_model, batch=1, **options):
        shape = tf.TensorSpec((batch, SIZE, SIZE, 3), tf.float32, name="image")
        function = tf.function(lambda image: keras_model(image, training=False), input_signature=[shape])
        frozen = convert_variables_to_constants_v2(function.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())  # not the Keras model: saving it costs 20 s
        for key, value in options.items():
            setattr(converter, key, value)
        return converter.convert()

    def quantised(stages):
        tf_keras.backend.clear_session()
        with quantize_scope({"PixelShuffle": PixelShuffle, "NothingToQuantize": NothingToQuantize}):
            result = quantize_apply(quantize_annotate_model(model(stages)))
        for variable in result.variables:  # stands for calibration: the input is (u8 - 128) / 128, a ReLU6 gives 0 to 6
            if "quantize_layer_min" in variable.name:
                variable.assign(-1.0)
            elif "quantize_layer_max" in variable.name:
                variable.assign(127 / 128)
            elif variable.name.endswith(("output_min:0", "post_activation_min:0")) and "re_lu" in variable.name:
                variable.assign(0.0)
        return result

    def write(name, content):
        (folder / f"{name}.tflite").write_bytes(content)

    tf_keras.utils.set_random_seed(0)
    annotated = True
    optimised = [tf.lite.Optimize.DEFAULT]
    int8 = {"optimizations": optimised, "inference_input_type": tf.int8, "inference_output_type": tf.int8}
    kinds = {"conv": [], "deconv": [deconv_stage], "shuffle": [shuffle_stage], "mixed": [deconv_stage, shuffle_stage]}
    for name in CLEAN_INT8:
        trained = quantised(kinds[name])
        write(name, convert(trained, **int8))
    write("free_batch", convert(trained, batch=None, **int8))
    write("float_io", convert(trained, optimizations=optimised))
    write("float_inside", convert(quantised([float_stage]), **int8))

    annotated = False
    plain = model(kinds["mixed"], scaled_in_graph=True)
    write("float32", convert(plain))
    write("float16", convert(plain, optimizations=optimised, target_spec=tf.lite.TargetSpec(supported_types=[tf.float16])))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
