"""The audit passes files that are int8 throughout and names what is wrong in every other."""

import json

import numpy as np
import pytest
from stubs import CLEAN_INT8, SIZE, edited, make_stub_files  # noqa: F401

from tflite.__main__ import main
from tflite.export.audit import audit
from tflite.export.layers import layer_errors
from tflite.measure.benchmark import MESH_FILE
from zoo import cards
from zoo.errors import ZooError
from zoo.mediapipe_files import needed_mediapipe_file
from zoo.runtime import metadata_block
from zoo.runtime.graph import read_graph
from zoo.runtime.interpreter import RUNTIMES, read_model


def problems(path, precision=None):
    return "\n".join(audit(path, precision).problems)


@pytest.mark.parametrize("name", CLEAN_INT8)
def test_every_stage_kind_is_int8_and_one_part_in_both_runtimes(stub_files, name):
    report = audit(stub_files[name])
    assert report.ok, report.problems
    assert report.precision == "int8"
    assert set(report.tensor_types) == {"int8", "int32"}
    assert report.partitions == dict.fromkeys(RUNTIMES, 1)
    assert all(found.delegated == found.operators == report.operators.total() for found in report.delegation.values())
    assert (report.inputs[0].dtype, report.inputs[0].scale, report.inputs[0].zero_point) == ("int8", 1 / 128, 0)
    assert report.outputs[0].zero_point == -128
    assert report.outputs[0].scale == pytest.approx(6 / 255)
    assert ("TRANSPOSE_CONV" in report.operators) == (name in ("deconv", "mixed"))
    assert ("DEPTH_TO_SPACE" in report.operators) == (name in ("shuffle", "mixed"))


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_float_files_pass_as_what_they_are_and_as_nothing_else(stub_files, name):
    report = audit(stub_files[name])
    assert report.ok, report.problems
    assert report.precision == name
    for other in {"int8", "float16", "float32"} - {name}:
        assert not audit(stub_files[name], other).ok


def test_a_layer_that_stayed_float_is_found_though_the_delegate_takes_everything(stub_files):
    report = audit(stub_files["float_inside"])
    assert report.precision == "int8"
    assert report.delegation["ai-edge-litert"].whole  # why delegation alone proves nothing
    found = "\n".join(report.problems)
    assert "tensors are float" in found
    for operator in ("DEQUANTIZE", "TRANSPOSE_CONV", "QUANTIZE"):
        assert f"{operator} works on float32" in found


def test_an_int8_file_with_float_ends_fails(stub_files):
    for precision in (None, "int8"):
        found = problems(stub_files["float_io"], precision)
        assert "the input is float32" in found
        assert "the output is float32" in found
        assert "DEQUANTIZE works on" in found


def test_a_free_batch_fails(stub_files):
    found = problems(stub_files["free_batch"])
    assert "[-1, 32, 32, 3]; a fixed batch of 1 is expected" in found
    assert "in 2 partitions; outside: SHAPE x1" in found


def test_a_batch_of_two_fails(stub_files, tmp_path):
    def change(model):
        tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        tensor.shape, tensor.shapeSignature = [2, SIZE, SIZE, 3], None

    # The tensors behind the input still have a batch of 1: such a file is refused before an interpreter is made.
    with pytest.raises(ZooError, match=r"\[2, 32, 32, 3\].*do not fit together"):
        problems(edited(stub_files["conv"], tmp_path / "two.tflite", change))


@pytest.mark.parametrize(("name", "dtype", "tiny"), [("float32", np.float32, 1e-40), ("float16", np.float16, 1e-6)])
def test_denormal_weights_fail_and_zeros_do_not(stub_files, tmp_path, name, dtype, tiny):
    def set_one_weight(value):
        def change(model):
            buffer = max(model.buffers, key=lambda item: 0 if item.data is None else len(item.data))
            values = np.asarray(buffer.data, np.uint8).view(dtype).copy()
            values[0] = value
            buffer.data = values.view(np.uint8)

        return edited(stub_files[name], tmp_path / f"{value}.tflite", change)

    assert audit(set_one_weight(0.0)).ok
    found = audit(set_one_weight(tiny)).problems
    assert len(found) == 1
    assert "1 of" in found[0]
    assert f"denormal (below {np.finfo(dtype).tiny:.3g}) in the {name} constant" in found[0]


def test_a_custom_operator_fails(stub_files, tmp_path):
    def change(model):
        code = next(code for code in model.operatorCodes if code.builtinCode == 0)  # ADD
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, b"OurOwnAdd"

    found = problems(edited(stub_files["conv"], tmp_path / "custom.tflite", change))
    assert "1 custom operator 'OurOwnAdd'" in found
    assert "ai-edge-litert refuses" in found


def test_a_file_cut_short_is_an_error_not_a_report(stub_files, tmp_path):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(stub_files["conv"].read_bytes()[:-100])
    with pytest.raises(ZooError, match="cut short or damaged"):
        audit(cut)
    with pytest.raises(ZooError, match="unknown precision 'int4'"):
        audit(stub_files["conv"], "int4")


def test_the_command_ends_in_1_where_any_file_fails(stub_files, capsys):
    good, bad = str(stub_files["mixed"]), str(stub_files["float_inside"])
    assert main(["audit", good]) == 0
    table = capsys.readouterr().out
    assert "passes" in table
    assert "TRANSPOSE_CONV x1" in table
    assert main(["audit", good, "--precision", "float32"]) == 1
    capsys.readouterr()
    assert main(["audit", good, bad, "--json"]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert [report["ok"] for report in reports] == [True, False]
    assert reports[0]["operators"]["DEPTH_TO_SPACE"] == 1
    assert reports[0]["delegation"]["tflite-runtime"]["whole"] is True


def test_multiply_accumulates_are_counted_from_the_file(stub_files):
    width, half, quarter = 8, (SIZE // 2) ** 2, (SIZE // 4) ** 2
    entry = half * 9 * 3 * width + half * width * width + quarter * 9 * width
    residual = quarter * (width * width + width * 2 * width + 9 * 2 * width + 2 * width * width)
    head = quarter * width * 5
    assert read_graph(read_model(stub_files["conv"])).macs == entry + residual + head
    assert read_graph(read_model(needed_mediapipe_file(MESH_FILE))).macs == pytest.approx(35e6, rel=0.02)  # docs: about 35 M


def test_a_transposed_convolution_counts_each_input_cell_once(stub_files):
    graph = read_graph(read_model(stub_files["deconv"]))
    others = sum(graph.macs_of(operator) for operator in graph.operators if operator.name != "TRANSPOSE_CONV")
    assert graph.macs - others == (SIZE // 8) ** 2 * 4 * 4 * 8 * 8


def test_the_layers_that_lose_most_are_named(capsys):
    folder = cards.weights_folder("mixed-035-128.open")
    rows = layer_errors(folder / "int8.tflite", cards.model_path("mixed-035-128.open", "float32"))
    assert len(rows) == len(read_graph(read_model(folder / "int8.tflite")).operators)
    assert [row.added for row in rows] == sorted((row.added for row in rows), reverse=True)
    assert all(0 <= row.added <= row.error < 1 for row in rows)
    by_name = {row.layer: row for row in rows}
    assert by_name["Conv1_relu"].added == by_name["Conv1_relu"].error > 0  # its input is the picture, the same in both
    files = [str(folder / "int8.tflite"), "--against", str(cards.model_path("mixed-035-128.open", "float32")), "--layers", "3"]
    assert main(["audit", *files]) == 0
    printed = capsys.readouterr().out
    assert all(f" {row.layer} " in printed for row in rows[:3]) and f" {rows[5].layer} " not in printed


def test_a_layer_made_worse_is_among_the_first_named(tmp_path):
    """One channel in two of one layer's kernel is turned off; the linear layer behind it may lose still more."""
    folder = cards.weights_folder("mixed-035-128.open")
    graph = read_graph(read_model(folder / "int8.tflite"))
    operator = next(op for op in graph.operators if "block_4_expand_relu" in graph.tensors[op.outputs[0]].name)

    def change(model):
        buffer = model.buffers[model.subgraphs[0].tensors[operator.inputs[1]].buffer]
        kernel = np.array(buffer.data).reshape(graph.tensors[operator.inputs[1]].shape)
        kernel[::2] = 0
        buffer.data = kernel.ravel()

    worse = edited(folder / "int8.tflite", tmp_path / "worse.tflite", change)
    described = metadata_block.detach(read_model(folder / "int8.tflite"), folder / "int8.tflite")
    worse.write_bytes(metadata_block.attach(worse.read_bytes(), described))  # the editor drops what stands behind the graph
    before, after = (layer_errors(path, cards.model_path("mixed-035-128.open", "float32")) for path in (folder / "int8.tflite", worse))
    assert "block_4_expand_relu" in [row.layer for row in after[:3]]
    assert "block_4_expand_relu" not in [row.layer for row in before[:3]]
    same = [(row.layer, row.error) for row in before if row.layer.startswith("block_2")]
    assert len(same) == 4 and set(same) <= {(row.layer, row.error) for row in after}  # what comes before it is as it was


def test_files_that_cannot_be_compared_are_refused(stub_files):
    folder = cards.weights_folder("mixed-035-128.open")
    with pytest.raises(ZooError, match=r"takes float32; for errors by layer int8 is expected"):
        layer_errors(cards.model_path("mixed-035-128.open", "float32"), cards.model_path("mixed-035-128.open", "float32"))
    with pytest.raises(ZooError, match=r"gives \[1, 32, 32, 106\] and .* gives \[1, 8, 8, 5\]; files of one variant are expected"):
        layer_errors(folder / "int8.tflite", stub_files["float32"])
