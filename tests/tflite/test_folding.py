"""Float files hold weights with their normalisation folded in by arithmetic that every processor does alike, to the last bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from lively import settled_arrays

from tflite.export.convert import float_file
from tflite.export.folding import folded, normalisations
from zoo.nets.backbone import NORM_EPSILON
from zoo.runtime.graph import read_graph
from zoo.variants import get

NAME = "mixed-035-096"


def drawn(shape, norm="n", seed=0):
    """Returns a convolution's kernel and its normalisation, drawn."""
    rng = np.random.default_rng(seed)
    count = shape[2] if shape[3] == 1 else shape[3]
    arrays = {"c/kernel": rng.normal(size=shape)}
    arrays |= {f"{norm}/{name}": rng.uniform(0.1, 2, count) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    return {key: value.astype(np.float32) for key, value in arrays.items()}


@pytest.mark.parametrize("shape", [(3, 3, 3, 5), (1, 1, 7, 4), (3, 3, 6, 1), (1, 1, 6, 6)])
def test_folding_is_exact_but_for_one_rounding(shape):
    arrays = drawn(shape)
    found = folded(arrays, {"c": ("n", NORM_EPSILON)})
    assert set(found) == {"c/kernel", "c/bias"} and all(value.dtype == np.float32 for value in found.values())
    depthwise = shape[3] == 1
    for place in np.ndindex(shape):
        channel = place[2] if depthwise else place[3]
        gamma, beta, mean, variance = (arrays[f"n/{name}"][channel] for name in ("gamma", "beta", "moving_mean", "moving_variance"))
        factor = Fraction(float(gamma)) / Fraction(float(np.sqrt(np.longdouble(variance) + np.longdouble(NORM_EPSILON))))
        exact = [Fraction(float(arrays["c/kernel"][place])) * factor, Fraction(float(beta)) - Fraction(float(mean)) * factor]
        for value, wanted in zip((found["c/kernel"][place], found["c/bias"][channel]), exact, strict=True):
            half_a_step = Fraction(float(np.spacing(np.abs(value)))) / 2
            assert abs(Fraction(float(value)) - wanted) <= half_a_step * Fraction(10001, 10000) + Fraction(1, 10**15)


def test_what_has_no_normalisation_stays_as_it_is():
    arrays = drawn((1, 1, 2, 2)) | {"maps_conv/kernel": np.ones((1, 1, 2, 3), np.float32), "maps_conv/bias": np.zeros(3, np.float32)}
    found = folded(arrays, {"c": ("n", NORM_EPSILON)})
    assert set(found) == {"c/kernel", "c/bias", "maps_conv/kernel", "maps_conv/bias"}
    assert found["maps_conv/kernel"] is arrays["maps_conv/kernel"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_constants_of_a_float_file_are_the_folded_ones_to_the_last_bit(precision):
    import tf_keras

    from zoo.nets import build

    spec, dtype = get(NAME), np.dtype(precision)
    arrays = settled_arrays(spec)
    expected = [value.astype(dtype) for value in folded(arrays, normalisations(build(spec, tf_keras))).values()]
    tiny = np.finfo(dtype).tiny
    expected = {np.sort(np.where(np.abs(value) < tiny, 0, value), axis=None).tobytes() for value in expected}
    graph = read_graph(float_file(spec, arrays, precision))
    found = [tensor.values() for tensor in graph.tensors if tensor.dtype == precision and np.prod(tensor.shape) > 1]
    found = [values for values in found if values is not None]
    assert len(found) == len(expected) > 100
    assert all(np.sort(values).tobytes() in expected for values in found)  # the converter moves values, and computes none
    results = {graph.tensors[operator.outputs[0]].layer for operator in graph.operators}
    assert {"Conv1_relu", "block_1_project_BN", "head_0_lateral_BN", "head_2_project_relu"} <= results  # as an int8 file calls them
