"""A file that decodes inside gives what the Python decoder gives, in one delegated part, and its network stays what it was."""

import json
from pathlib import Path

import numpy as np
import pytest
from halves import NAME, make_weights_files  # noqa: F401
from stubs import edited, make_stub_files  # noqa: F401

import zoo
from tflite.__main__ import main
from tflite.export.audit import audit
from tflite.export.convert import decoded, described
from tflite.export.decoder import with_decoder
from training.synthetic.faces import draw_face
from zoo import cards, terminal
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.files import read_npz
from zoo.heatmaps import MAP_MAX, decode, encode
from zoo.images import read_image
from zoo.runtime.graph import pack, read_graph, unpack
from zoo.runtime.interpreter import RUNTIMES, open_interpreter, open_model, read_model
from zoo.runtime.metadata import DOCUMENT, Weights
from zoo.runtime.metadata_block import detach
from zoo.schemes import SCHEMES
from zoo.variants import get

GRID, COUNT = 32, 106
AGREEMENT_CELLS = 0.02  # what is promised of points, of 0..1 scores a tenth of it
REAL_FACES = Path(__file__).parents[3] / "shared" / "data" / "research" / "wild_68_val"
DRAWN = range(7000, 7012)


@pytest.fixture(scope="module")
def files(tmp_path_factory, weights_files):
    """Returns, by precision, a described copy of a file of published weights and the file with the decoder made from it."""
    folder, card, pairs = tmp_path_factory.mktemp("points"), cards.read_card(NAME), {}
    before = {"name": "before.open", "sources": [{"source": "lost", "title": "A set of before", "licence": "CC BY 4.0"}]}
    for precision in ("int8", "float16", "float32"):
        maps, points = folder / f"{precision}.tflite", folder / f"{precision}-points.tflite"
        content = read_model(weights_files[precision])
        maps.write_bytes(described(content, get(NAME), Weights(NAME, card["tag"], card["date"], card["data"], [before])))
        assert decoded(maps, points) == {"file": str(points), "precision": precision, "output": "points", "bytes": points.stat().st_size}
        said = [detach(path.read_bytes(), path).files[DOCUMENT] for path in (maps, points)]
        assert json.loads(said[0])["weights"] == json.loads(said[1])["weights"] and b"A set of before" in said[1]
        pairs[precision] = maps, points
    return pairs


@pytest.fixture(scope="module")
def drawn_faces():
    return [draw_face(seed) for seed in DRAWN]


@pytest.fixture(scope="module")
def decoders():
    """Returns interpreters of the decoder alone, with maps as input and points in cells as output, by the type of the maps and runtime."""
    made = {}
    for precision in ("int8", "float32"):
        path = cards.model_path(NAME, precision)
        model = unpack(read_model(path))
        network = model.subgraphs[0]
        network.operators, network.inputs, model.signatureDefs = [], list(network.outputs), []
        content = with_decoder(pack(model))
        made |= {(precision, runtime): open_interpreter(content, path, runtime=runtime) for runtime in RUNTIMES}
    return made


def decoded_in_graph(interpreter, maps):
    (image,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(image["index"], maps[None])
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"])[0] for output in outputs]


def awkward_maps():
    """Yields (what it is, maps) of every kind that a decoder may get wrong."""
    rng = np.random.default_rng(0)
    yield "peaks anywhere, borders too", encode(rng.uniform(0, GRID, (COUNT, 2)), GRID)
    yield "peaks under noise", np.clip(encode(rng.uniform(0, GRID, (COUNT, 2)), GRID) + rng.normal(0, 0.5, (GRID, GRID, COUNT)), 0, MAP_MAX)
    yield "weak peaks", 0.2 * encode(rng.uniform(0, GRID, (COUNT, 2)), GRID)
    yield "noise alone", rng.uniform(0, MAP_MAX, (GRID, GRID, COUNT))
    yield "flat", np.full((GRID, GRID, COUNT), 3.0)
    yield "empty", np.zeros((GRID, GRID, COUNT))
    plateaus = np.zeros((GRID, GRID, COUNT))
    for index in range(COUNT):  # several cells at the bound: the first in reading order is the peak
        rows, columns = rng.integers(0, GRID, (2, 4))
        plateaus[rows, columns, index] = MAP_MAX
    yield "ties far apart", plateaus
    yield "ties side by side", np.minimum(MAP_MAX, 2 * encode(rng.uniform(0, GRID, (COUNT, 2)), GRID))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("maps", [pytest.param(maps, id=what) for what, maps in awkward_maps()])
def test_the_graph_decodes_as_python_does(decoders, precision, runtime, maps):
    step = MAP_MAX / 255
    stored = (np.round(maps / step) - 128).astype(np.int8) if precision == "int8" else maps.astype(np.float32)
    real = (stored.astype(np.float32) + 128) * np.float32(step) if precision == "int8" else stored
    expected, found = decode(real), decoded_in_graph(decoders[precision, runtime], stored)
    assert np.abs(found[0] - expected[0]).max() < AGREEMENT_CELLS
    assert np.abs(found[1] - expected[1]).max() < AGREEMENT_CELLS / 10
    assert np.abs(found[2] - expected[2]).max() < AGREEMENT_CELLS


@pytest.mark.parametrize("precision", ["int8", "float16", "float32"])
def test_drawn_faces_have_the_same_points(files, drawn_faces, precision):
    maps, points = (zoo.load(path) for path in files[precision])
    for face in drawn_faces:
        agree(maps, points, face.image, SCHEMES["106"].five_points(face.points))


@pytest.mark.skipif(not REAL_FACES.is_dir(), reason=f"no photographs in {REAL_FACES.name}")
def test_photographs_have_the_same_points(files):
    maps, points = (zoo.load(path) for path in files["int8"])
    labels = read_npz(REAL_FACES / "landmarks.npz")
    for name, truth in zip(labels["names"][:40], labels["points"][:40], strict=True):
        agree(maps, points, read_image(REAL_FACES / "images" / str(name)), SCHEMES["68"].five_points(truth))


def agree(maps, points, image, five):
    expected, found = maps(image, five), points(image, five)
    scale = Alignment.from_five(five, maps.size).scale / (maps.size / GRID)  # cells per image pixel
    assert np.linalg.norm(found.points - expected.points, axis=1).max() * scale < AGREEMENT_CELLS
    assert np.abs(found.scores - expected.scores).max() < AGREEMENT_CELLS / 10
    np.testing.assert_allclose(found.sigmas, expected.sigmas, rtol=2e-3)
    np.testing.assert_allclose(found.visible, expected.visible, atol=2e-3)


@pytest.mark.parametrize("precision", ["int8", "float16", "float32"])
def test_it_is_one_part_of_builtin_operators_and_passes_its_audit(files, precision):
    report = audit(files[precision][1], precision)
    assert report.ok, report.problems
    assert report.partitions == dict.fromkeys(RUNTIMES, 1)
    assert [tensor.shape for tensor in report.outputs] == [(1, COUNT, 2), (1, COUNT), (1, COUNT)]
    assert report.metadata.output == "points" and report.metadata.document["output"]["kind"] == "points"
    assert report.macs == audit(files[precision][0]).macs


def test_the_network_before_the_decoder_is_untouched(files):
    maps, points = (read_graph(read_model(path)) for path in files["int8"])
    assert points.tensors[: len(maps.tensors)] == maps.tensors
    assert points.operators[: len(maps.operators)] == maps.operators
    network = {tensor.dtype for tensor in points.tensors[: len(maps.tensors)]}
    assert "float32" not in network
    assert files["int8"][1].stat().st_size - files["int8"][0].stat().st_size < 20_000


def test_a_float_layer_before_the_decoder_is_still_found(stub_files, tmp_path):
    path = tmp_path / "float-inside.tflite"
    path.write_bytes(with_decoder(read_model(stub_files["float_inside"])))
    assert "TRANSPOSE_CONV works on float32" in "\n".join(audit(path).problems)
    clean = tmp_path / "clean.tflite"
    clean.write_bytes(with_decoder(read_model(stub_files["mixed"])))
    assert audit(clean).ok


def test_a_weight_behind_the_decoder_is_no_decoder(files, tmp_path):
    def add_a_convolution_behind_it(model):
        network = model.subgraphs[0]
        convolution = next(op for op in network.operators if model.operatorCodes[op.opcodeIndex].builtinCode == 3)
        network.operators.append(type(convolution)())
        vars(network.operators[-1]).update(
            vars(convolution) | {"inputs": [network.outputs[0], *convolution.inputs[1:]], "outputs": [network.outputs[1]]}
        )

    path = edited(files["int8"][1], tmp_path / "more.tflite", add_a_convolution_behind_it)
    graph = read_graph(path.read_bytes())
    from tflite.export.audit import _wrong_precision

    assert "CONV_2D works on" in "\n".join(_wrong_precision(graph, "int8"))


def test_the_command_takes_a_file_and_refuses_what_it_cannot_decode(files, stub_files, tmp_path, capsys):
    maps, points = map(str, files["int8"])
    assert main(["export", maps, "--output", "points", "--out", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert Path(row["file"]).read_bytes() == Path(points).read_bytes() and row["file"].endswith("int8-points.tflite")
    for argv, words in (
        (["export", points], "one output of maps [1, grid, grid, points] can be decoded"),
        (["export", str(stub_files["conv"])], "carries no metadata"),
        (["export", maps, "--precision", "int8"], "is a file: --output points is possible, and no --precision"),
        (["export", str(tmp_path / "none.tflite")], "cannot read"),
    ):
        assert terminal.run(main, argv) == 1
        assert words in capsys.readouterr().err
    with pytest.raises(ZooError, match="can be decoded"):
        with_decoder(read_model(Path(points)))


def test_forward_gives_points_and_scores(files):
    model = open_model(files["int8"][1])
    crop = np.zeros((128, 128, 3), np.uint8)
    found = model.forward(crop)
    points, scores = found.points, found.scores
    assert model.decodes and (model.grid, model.points) == (GRID, COUNT)
    assert points.shape == (COUNT, 2) and scores.shape == (COUNT,) and points.dtype == scores.dtype == np.float32
    with pytest.raises(ZooError, match=r"int8-points\.tflite decodes within its graph: it gives points and no heat maps"):
        model.maps(crop)
    assert zoo.load(files["int8"][1]).maps is None
