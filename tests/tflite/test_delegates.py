"""Which operators the delegates take, for both ways of upscaling, and that an operator which none takes is named."""

import json

import pytest
from stubs import CLEAN_INT8, edited, make_stub_files  # noqa: F401

from tflite.__main__ import main
from tflite.export.audit import audit
from tflite.export.decoder import with_decoder
from tflite.export.delegates import DELEGATES, support
from zoo.errors import ZooError
from zoo.runtime.graph import read_graph
from zoo.runtime.interpreter import read_model


def found(path, delegate):
    return support(read_graph(read_model(path)), delegate)[0]


@pytest.mark.parametrize("name", [*CLEAN_INT8, "float32"])
def test_both_ways_of_upscaling_are_taken_by_all(stub_files, name):
    for delegate in ("gpu", "nnapi"):
        one = found(stub_files[name], delegate)
        assert one.taken == one.operators > 5, str(one)
    assert [(one.taken, one.operators) for one in audit(stub_files[name], asked=["xnnpack"]).support] == 2 * [
        (one.operators, one.operators)
    ]


def test_only_a_deconvolution_with_half_weights_is_not_nnapis(stub_files):
    """Its rule wants the weights themselves, and half weights pass through DEQUANTIZE first; shuffles have no such rule."""
    assert str(found(stub_files["float16"], "nnapi")).endswith("outside: TRANSPOSE_CONV x1 (needs a constant shape and constant weights)")
    assert not found(stub_files["float16"], "gpu").outside


def test_a_graph_that_decodes_is_taken_too(stub_files, tmp_path):
    path = tmp_path / "points.tflite"
    path.write_bytes(with_decoder(read_model(stub_files["mixed"])))
    for delegate in ("gpu", "nnapi"):
        one = found(path, delegate)
        assert one.taken == one.operators > 40, str(one)


@pytest.mark.parametrize(
    ("code", "name", "refused_by"), [(56, "ARG_MAX", ("gpu", "nnapi")), (95, "FLOOR_MOD", ("gpu", "nnapi")), (47, "EXP", ("gpu", "nnapi"))]
)
def test_an_operator_that_is_not_taken_is_named(stub_files, tmp_path, code, name, refused_by):
    def change(model):
        addition = next(entry for entry in model.operatorCodes if entry.builtinCode == 0)
        addition.builtinCode = addition.deprecatedBuiltinCode = code

    path = edited(stub_files["conv"], tmp_path / "odd.tflite", change)
    for delegate in refused_by:
        one = support(read_graph(path.read_bytes()), delegate)[0]
        assert one.taken == one.operators - 1
        assert f"outside: {name} x1 (" in str(one)


def test_a_newer_version_of_an_operator_is_no_longer_nnapis(stub_files, tmp_path):
    def change(model):
        next(entry for entry in model.operatorCodes if entry.builtinCode == 3).version = 6  # CONV_2D

    graph = read_graph(edited(stub_files["conv"], tmp_path / "newer.tflite", change).read_bytes())
    (one,) = support(graph, "nnapi")
    assert "CONV_2D" in str(one) and "version 6, at most 5" in str(one)
    assert support(graph, "gpu")[0].taken == len(graph.operators)


def test_the_free_batch_is_not_gpus(stub_files):
    assert "SHAPE x1" in str(found(stub_files["free_batch"], "gpu"))


def test_audit_prints_what_was_asked(stub_files, capsys):
    asked = [part for delegate in DELEGATES for part in ("--delegate", delegate)]
    assert main(["audit", str(stub_files["shuffle"]), *asked]) == 0
    printed = capsys.readouterr().out
    assert "gpu by its source" in printed and "nnapi by its source" in printed and "xnnpack, tflite-runtime" in printed
    assert main(["audit", str(stub_files["shuffle"]), *asked, "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert [one["delegate"] for one in report["support"]] == ["xnnpack", "xnnpack", "gpu", "nnapi"]
    assert all(one["outside"] == [] and one["source"] for one in report["support"])
    with pytest.raises(ZooError, match="unknown delegate 'hexagon'"):
        audit(stub_files["shuffle"], asked=["hexagon"])
