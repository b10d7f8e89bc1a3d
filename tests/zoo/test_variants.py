"""Every row of the registry says what it is, and costs what is counted for it."""

import numpy as np
import pytest

import zoo
from zoo.costs import Cost, count
from zoo.nets.stages import UPSCALE
from zoo.variants import DEFAULT_TAG, TAGS, VARIANTS, Stage, VariantSpec, get, split_tag

ids = [spec.name for spec in VARIANTS]
LETTERS = {"deconv": {"deconv"}, "shuffle": {"shuffle"}, "mixed": {"deconv", "shuffle"}}


def test_names_are_unique_and_in_the_registrys_order():
    assert len(set(ids)) == len(ids)
    assert zoo.names() == ids
    assert [get(name) for name in ids] == list(VARIANTS)


@pytest.mark.parametrize("spec", VARIANTS, ids=ids)
def test_a_name_says_what_the_row_is(spec):
    head, alpha, size = spec.name.split("-")
    assert head == spec.head
    assert {stage.kind for stage in spec.stages} == LETTERS[head] <= set(UPSCALE)
    assert int(alpha) == round(100 * spec.alpha) and len(alpha) == 3
    assert int(size) == spec.size and len(size) == 3
    assert spec.points == 106
    assert spec.stride == 4 and spec.grid * spec.stride == spec.size
    assert len(spec.laterals) == len(spec.stages)


@pytest.mark.parametrize(("alpha", "size"), sorted({(spec.alpha, spec.size) for spec in VARIANTS}))
def test_heads_of_one_size_have_the_same_widths(alpha, size):
    rows = [spec for spec in VARIANTS if (spec.alpha, spec.size) == (alpha, size)]
    assert len({tuple(stage.width for stage in spec.stages) for spec in rows}) == 1
    assert len({spec.laterals for spec in rows}) == 1
    assert len({spec.head for spec in rows}) == len(rows)


@pytest.mark.parametrize(("alpha", "size"), [(0.35, 128), (0.5, 128), (1.0, 192)])
def test_each_of_these_sizes_has_all_three_heads(alpha, size):
    assert {spec.head for spec in VARIANTS if (spec.alpha, spec.size) == (alpha, size)} == set(LETTERS)


def test_rows_cannot_be_changed():
    with pytest.raises(AttributeError):
        VARIANTS[0].size = 256


def test_a_name_splits_into_shape_and_tag():
    assert split_tag("mixed-035-128") == ("mixed-035-128", DEFAULT_TAG)
    assert split_tag("mixed-035-128.research") == ("mixed-035-128", "research")
    assert DEFAULT_TAG in TAGS


# ---- costs -----------------------------------------------------------------------------------------------------------------------------


def difference(head_a, head_b):
    a, b = count(get(f"{head_a}-035-128")), count(get(f"{head_b}-035-128"))
    return a.parameters - b.parameters, a.macs - b.macs


def test_a_head_of_one_stage_costs_what_it_does_by_hand():
    """Beyond the backbone: a shuffle of width 8 without lateral from 112 channels at 2 x 2, and 5 maps at 4 x 4."""
    bare = VariantSpec("shuffle-035-064", 0.35, 64, (), (), points=5)
    one = VariantSpec("shuffle-035-064", 0.35, 64, (Stage("shuffle", 8),), (None,), points=5)
    maps_bare = Cost(112 * 5 + 5, 112 * 5 * 2 * 2)
    stage = Cost(
        (112 * 32 + 32) + (9 * 8 + 4 * 8) + (8 * 8 + 4 * 8),  # expand, depthwise with its normalisation, project with its own
        112 * 32 * 2 * 2 + 9 * 8 * 4 * 4 + 8 * 8 * 4 * 4,
    )
    maps = Cost(8 * 5 + 5, 8 * 5 * 4 * 4)
    assert count(one).parameters - count(bare).parameters == stage.parameters + maps.parameters - maps_bare.parameters
    assert count(one).macs - count(bare).macs == stage.macs + maps.macs - maps_bare.macs


def test_a_lateral_costs_its_convolution_and_normalisation():
    stage = (Stage("shuffle", 8),)
    without = count(VariantSpec("shuffle-035-064", 0.35, 64, stage, (None,)))
    with_it = count(VariantSpec("shuffle-035-064", 0.35, 64, stage, ("block_13_expand_relu",)))
    assert with_it.parameters - without.parameters == 192 * 8 + 4 * 8  # block 12 has 32 channels, expanded six times
    assert with_it.macs - without.macs == 192 * 8 * 4 * 4


def test_a_deconvolution_costs_sixteen_taps_per_cell_and_a_shuffle_four():
    """A deconvolution of 4 x 4 taps works on the coarse grid; a shuffle's convolution makes four cells there."""
    inputs, grids = (112, 128, 96), (4, 8, 16)
    widths = [stage.width for stage in get("deconv-035-128").stages]
    weights = [12 * depth * width for depth, width in zip(inputs, widths, strict=True)]  # 16 taps against 4
    biases = [-3 * width for width in widths]  # one for each channel against four
    parameters, macs = difference("deconv", "shuffle")
    assert parameters == sum(weights) + sum(biases)
    assert macs == sum(w * grid**2 for w, grid in zip(weights, grids, strict=True))
    parameters, macs = difference("mixed", "shuffle")
    assert (parameters, macs) == (weights[0] + biases[0], weights[0] * grids[0] ** 2)


def test_a_crop_of_twice_the_side_costs_four_times_the_work_and_no_more_parameters():
    small, large = (count(VariantSpec("x", 0.35, size, (Stage("deconv", 8),), (None,))) for size in (64, 128))
    assert small.parameters == large.parameters
    assert large.macs == 4 * small.macs


@pytest.mark.slow
@pytest.mark.parametrize("spec", VARIANTS, ids=ids)
def test_the_built_network_has_the_parameters_counted_and_the_shape_promised(spec):
    import keras

    from zoo.nets import build

    keras.backend.clear_session()
    model = build(spec, keras)
    assert model.count_params() == count(spec).parameters
    assert model.input_shape == (None, spec.size, spec.size, 3)
    assert model.output_shape == (None, spec.grid, spec.grid, spec.points)
    macs = sum(macs_of(layer) for layer in model.layers)
    assert macs == count(spec).macs


def macs_of(layer):
    """Returns the multiply-accumulates of a built layer from its kernel and its shapes alone."""
    kernel = next((np.prod(weight.shape) for weight in layer.weights if "kernel" in weight.name), 0)
    cells = layer.input if type(layer).__name__ == "Conv2DTranspose" else layer.output
    return int(kernel * np.prod(cells.shape[1:3])) if kernel else 0
