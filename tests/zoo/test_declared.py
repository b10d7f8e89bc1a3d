"""What a .tflite declares is judged before an interpreter is made of it: no size, index or name ends the process, or takes memory first."""

import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import pytest

from tflite.measure.benchmark import MESH_FILE
from zoo.cards import FILES, model_path, published
from zoo.errors import ZooError
from zoo.mediapipe_files import needed_mediapipe_file
from zoo.runtime.declared import MOST_COMPUTED_BYTES, check
from zoo.runtime.graph import pack, unpack
from zoo.runtime.interpreter import open_model, read_model

ROOT = Path(__file__).parents[2]
NAME = "mixed-035-064.research"  # the smallest
_CONV, _DEQUANTIZE = 3, 6


def changed(change, precision="int8"):
    """Returns the bytes of a published file after `change` has altered its object tree and its first graph."""
    model = unpack(model_path(NAME, precision).read_bytes())
    change(model, model.subgraphs[0])
    return pack(model)


def first(model, kind):
    """Returns the graph's first operator of a kind."""
    return next(one for one in model.subgraphs[0].operators if model.operatorCodes[one.opcodeIndex].builtinCode == kind)


def grown(model, graph):
    graph.tensors[graph.inputs[0]].shape = [1 << 16, 64, 64, 3]


def grown_together(model, graph):
    for tensor in graph.tensors:
        if model.buffers[tensor.buffer].data is None:
            tensor.shape = [1, 2048, 2048, 3]


def constant_grown(model, graph):
    tensor = graph.tensors[first(model, _CONV).inputs[1]]
    tensor.shape = [tensor.shape[0] * 4, *tensor.shape[1:]]


def constant_shrunk(model, graph):
    graph.tensors[first(model, _CONV).inputs[1]].shape = [1, 1, 1, 1]


def dequantised_otherwise(model, graph):
    tensor = graph.tensors[first(model, _DEQUANTIZE).outputs[0]]
    tensor.shape = [*tensor.shape[:-1], tensor.shape[-1] * 16]


def negative(model, graph):
    graph.tensors[3].shape = [1, -4, 2, 2]


def of_many_sides(model, graph):
    graph.tensors[3].shape = [1] * 3000


def of_no_buffer(model, graph):
    graph.tensors[3].buffer = len(model.buffers)


def of_no_type(model, graph):
    graph.tensors[3].type = 99


def of_an_unknown_tensor(model, graph):
    graph.operators[0].inputs = [len(graph.tensors)]


def of_an_unknown_kind(model, graph):
    graph.operators[0].opcodeIndex = len(model.operatorCodes)


def of_no_stride(model, graph):
    first(model, _CONV).builtinOptions.strideH = 0


def of_too_few_scales(model, graph):
    tensor = graph.tensors[first(model, _CONV).inputs[1]]
    tensor.quantization.scale = tensor.quantization.scale[:3]


def of_scales_along_no_axis(model, graph):
    graph.tensors[first(model, _CONV).inputs[1]].quantization.quantizedDimension = 7


def of_infinite_scale(model, graph):
    graph.tensors[graph.inputs[0]].quantization.scale = [np.inf]


def without_values(model, graph):
    model.buffers[graph.tensors[first(model, _CONV).inputs[1]].buffer].data = None


def before_its_source(model, graph):
    graph.operators.reverse()


def of_other_channels(model, graph):
    tensor = graph.tensors[first(model, _CONV).outputs[0]]
    tensor.shape = [*tensor.shape[:-1], 999]


def without_graph(model, graph):
    model.subgraphs = []


@pytest.mark.parametrize(
    ("change", "precision", "words"),
    [
        (grown, "int8", r"of shape \[65536, 64, 64, 3\] needs 768 MB; at most 256 MB"),
        (grown_together, "int8", "its tensors need .* MB; at most 256 MB"),
        (constant_grown, "int8", "needs .* bytes and .* are carried"),
        (constant_shrunk, "int8", "needs 1 bytes and .* are carried"),
        (dequantised_otherwise, "float32", "operator .* which do not fit together"),
        (negative, "int8", "sides of 0 or more are possible"),
        (of_many_sides, "int8", "up to 8 sides"),
        (of_no_buffer, "int8", "lies in buffer"),
        (of_no_type, "int8", "is of type 99"),
        (of_an_unknown_tensor, "int8", "name tensor"),
        (of_an_unknown_kind, "int8", "is of kind"),
        (of_no_stride, "int8", "has stride_h 0"),
        (of_too_few_scales, "int8", "scales"),
        (of_scales_along_no_axis, "int8", "along axis 7"),
        (of_infinite_scale, "int8", "no positive number"),
        (without_values, "int8", "which nothing before it gives"),
        (before_its_source, "int8", "which nothing before it gives"),
        (of_other_channels, "int8", "which do not fit together"),
        (without_graph, "int8", "no graph"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_contradicts_itself_is_refused_in_one_line(change, precision, words):
    with pytest.raises(ZooError, match=words) as error:
        check(changed(change, precision), Path("model.tflite"))
    assert "\n" not in str(error.value) and "model.tflite" in str(error.value)


def test_every_published_file_and_the_mesh_are_taken():
    for path in [model_path(name, precision) for name in published() for precision in FILES] + [needed_mediapipe_file(MESH_FILE)]:
        check(path.read_bytes(), path)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    content = model_path(NAME, "int8").read_bytes()
    name = unpack(content).subgraphs[0].tensors[0].name
    path = tmp_path / "named.tflite"
    path.write_bytes(content.replace(name, b"\xff" + name[1:], 1))
    with pytest.raises(ZooError, match="codec can't decode"):
        open_model(path)


def test_a_file_too_large_is_refused_by_its_length(monkeypatch):
    monkeypatch.setattr("zoo.runtime.declared.MOST_FILE_BYTES", 1 << 20)
    with pytest.raises(ZooError, match="at most 1 MB are possible"):
        check(b"\0\0\0\0TFL3" + bytes(1 << 20), Path("large.tflite"))


def test_bytes_named_over_and_over_are_not_read_over_and_over():
    """8,000 tensors that are all one table of a long shape: 230 KB that would become 1.6 GB."""
    builder = flatbuffers.Builder(1 << 18)

    def vector(offsets):
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def table(slots, slot, value):
        builder.StartObject(slots)
        builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return builder.EndObject()

    tensor = table(8, 0, builder.CreateNumpyVector(np.ones(50_000, np.int32)))
    builder.Finish(table(5, 2, vector([table(5, 0, vector([tensor] * 8000))])), b"TFL3")
    with pytest.raises(ZooError, match="the same bytes over and over"):
        check(bytes(builder.Output()), Path("folded.tflite"))


def test_what_would_end_the_process_is_refused_before_memory_is_taken(tmp_path):
    """In a process of its own: the two changes that ended `predict` with a segmentation fault and with 4 GB."""
    for name, change, precision in (("fault", dequantised_otherwise, "float32"), ("huge", grown, "int8")):
        (tmp_path / f"{name}.tflite").write_bytes(changed(change, precision))
    program = """
import sys
from zoo.landmarker import load
from zoo.errors import ZooError
from zoo.mediapipe_files import needed_mediapipe_file
for path in sys.argv[1:]:
    try:
        load(path)
    except ZooError as error:
        print(str(error).replace("\\n", "LINE"))
# Not ru_maxrss, which a process takes over from the one that started it.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, sorted(tmp_path.iterdir()))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 3 and "do not fit together" in lines[0] and "needs 768 MB" in lines[1]
    assert int(lines[2]) < MOST_COMPUTED_BYTES >> 20


@pytest.mark.parametrize("case", ["segfault.tflite", "huge_shape_4GB.tflite"])
def test_the_files_that_were_found_are_refused(case):
    path = ROOT.parent / "shared" / "cases" / "hostile" / case
    if not path.is_file():
        pytest.skip("the cases are not here")
    with pytest.raises(ZooError, match="needs .* MB; at most 256 MB"):
        read_model(path)
