"""The profile's operators add up to the file, and what the page says of them follows from the numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from refusals import assert_refused

from tflite.__main__ import main
from tflite.measure import benchmark as benchmarks
from tflite.measure import operators
from tflite.measure.operators import OperatorTime
from zoo import cards
from zoo.runtime.graph import read_graph
from zoo.runtime.interpreter import open_interpreter

NAME = "mixed-035-096.research"


@pytest.fixture(scope="module")
def content() -> bytes:
    return (cards.weights_folder(NAME) / "int8.tflite").read_bytes()


def results(content: bytes, path, index: int | None) -> dict[str, np.ndarray]:
    """Every output of a graph by its tensor's name, on one input; of the part that ends with an operator, or of the whole."""
    interpreter = open_interpreter(content if index is None else operators.prefix(content, index), path)
    detail = interpreter.get_input_details()[0]
    interpreter.set_tensor(detail["index"], np.random.default_rng(0).integers(-128, 128, detail["shape"]).astype(np.int8))
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


def test_a_part_of_a_graph_computes_what_the_whole_does(content, tmp_path):
    last = len(read_graph(content).operators) - 1
    whole, cut = results(content, tmp_path / "whole", None), results(content, tmp_path / "cut", last)
    (expected,), (found,) = whole.values(), cut.values()
    np.testing.assert_array_equal(found, expected)


def test_a_part_keeps_every_result_that_the_rest_needs(content):
    graph = read_graph(content)
    for index in range(0, len(graph.operators), 7):
        part = read_graph(operators.prefix(content, index))
        needed = {tensor for operator in graph.operators[index + 1 :] for tensor in operator.inputs} | set(graph.outputs)
        made = {tensor for operator in graph.operators[: index + 1] for tensor in operator.outputs}
        assert set(part.outputs) == needed & made and len(part.operators) == index + 1


def test_the_operators_are_the_files_and_their_times_add_up(capsys):
    assert main(["operators", NAME, "--rounds", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]
    rows = found["operators"]
    graph = read_graph((cards.weights_folder(NAME) / "int8.tflite").read_bytes())
    assert [row["operator"] for row in rows] == [operator.name for operator in graph.operators]
    assert sum(row["MMAC"] for row in rows) == pytest.approx(graph.macs / 1e6, rel=0.02)
    assert 0.5 < sum(row["us"] for row in rows) / found["whole us"] < 2  # on a machine that does other things besides


def operator(kind: str, channels: int, macs: int, time_us: float, layer: str = "layer") -> OperatorTime:
    return OperatorTime(kind, layer, (1, 8, 8, channels), macs, time_us)


def test_the_slowest_have_shares_of_the_whole_file():
    found = [operator("CONV_2D", 8, 1, time_us) for time_us in (10.0, 10.0, 10.0, 70.0)]
    assert [row["share %"] for row in operators.slowest(found, 2)] == [70, 10]


def test_waste_is_named():
    usual = [operator("CONV_2D", 64, 1_000_000, 10.0) for _ in range(5)]
    slow, idle, uneven = (
        operator("CONV_2D", 8, 100_000, 30.0, "stem"),
        operator("PAD", 8, 0, 10.0),
        operator("CONV_2D", 106, 1_000_000, 10.0),
    )
    said = "\n".join(operators.wasted([slow, idle, *usual, uneven]))
    assert "compute nothing (PAD): 1, 10.0 %" in said and "no multiple of 8: 1 of 7 operators, 10.0 %" in said
    assert "last convolution (106 channels): 10.0 %" in said and "stem (3.3); 30.0 %" in said
    assert "compute nothing: none" in "\n".join(operators.wasted(usual))


@pytest.mark.parametrize(("ours_ms", "verdict"), [(0.99, "0.99 of the time"), (1.01, "not less than 1")])
def test_the_comparison_says_what_the_times_say(ours_ms, verdict):
    rows = [
        {"model": "mixed-035-128.open/int8", "runtime": "r", "median_ms": ours_ms},
        {"model": benchmarks.MESH, "runtime": "r", "median_ms": 1.0},
    ]
    (said,) = operators.compared(rows)
    assert verdict in said and ("not less" in said) == (ours_ms > 1)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["nobody"], "nobody"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--page", "a.txt"], "must end in .md"),
        (["no.tflite"], "there is no file 'no.tflite'"),
    ],
)
def test_bad_input_is_one_line(words, fault, capsys):
    assert_refused(main, ["operators", *words], fault, capsys)
