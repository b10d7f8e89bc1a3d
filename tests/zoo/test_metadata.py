"""A .tflite file says all that is needed to use it, to any reader of the metadata schema, and is refused where it lies."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from file_alone import metadata as official_metadata
from halves import NAME, make_weights_files  # noqa: F401

import zoo
from tflite.__main__ import main
from tflite.export.audit import audit
from tflite.export.convert import described
from tflite.measure.benchmark import MESH_FILE
from tflite.publish import model_cards
from tflite.publish import release as publish
from training.learning import lineage
from training.synthetic.faces import draw_face
from zoo import cards, terminal
from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE
from zoo.errors import ZooError
from zoo.files import sha256
from zoo.mediapipe_files import needed_mediapipe_file
from zoo.runtime.crop_points import CropPoints
from zoo.runtime.graph import read_graph
from zoo.runtime.interpreter import RUNTIMES, open_model, read_model
from zoo.runtime.metadata import DOCUMENT, NAMES, Weights, with_uncertainty
from zoo.runtime.metadata import rows as metadata_rows
from zoo.runtime.metadata_block import attach, detach
from zoo.runtime.metadata_schema import decode, encode
from zoo.schemes import SCHEMES
from zoo.uncertainty import Uncertainty
from zoo.variants import get

SPEC = get(NAME)
FILES = ("int8", "float16", "float32")
PICTURES = 10
FITTED = Uncertainty(np.linspace(2.5, 4, 106), np.linspace(2, 8, 106), 44.0, 0.9, 0.7, 0.3, -0.5, 0.4, 0.1, ("some_set", "another"))
ALONE_PX = 0.02  # of crop, between this project's answer and one from the file alone


@pytest.fixture(scope="module")
def card():
    return cards.read_card(NAME)


ANCESTORS = [
    {"name": "before.open", "sha256": "0" * 64, "tag": "open", "steps": 9, "note": "",
     "sources": [{"source": "fairface"}, {"source": "lost", "title": "A set of before", "licence": "CC BY 4.0"}]},
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory, card, weights_files):
    """Returns the files by precision, as copies with metadata where nothing else lies."""
    folder = tmp_path_factory.mktemp("moved")
    weights = Weights(NAME, card["tag"], card["date"], card["data"], ANCESTORS)
    for name in FILES:
        content = read_model(weights_files[name])
        (folder / f"{name}.tflite").write_bytes(described(content, SPEC, weights, FITTED))
    return {name: folder / f"{name}.tflite" for name in FILES}


def altered(source, target, change):
    """Writes a copy of a file whose block `change(model, document, names)` has altered; a returned document takes the old one's place."""
    content = source.read_bytes()
    block = detach(content, source)
    document = json.loads(block.files[DOCUMENT])
    names = block.files[NAMES].decode().split()
    changed = change(block.model, document, names)
    document = document if changed is None else changed
    new = {DOCUMENT: json.dumps(document).encode(), NAMES: "\n".join(names).encode()}
    target.write_bytes(attach(content, replace(block, files=new)))
    return target


# ---- what is said --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", FILES)
def test_the_official_reader_finds_what_the_schema_has_fields_for(files, precision, card):
    standard, attached = official_metadata(files[precision].read_bytes())
    assert standard.name == NAME.encode() and standard.version == card["date"].encode()
    assert standard.license.startswith(b"open: trained on data whose licence allows commercial use")
    assert all(entry["title"] in standard.license.decode() for entry in card["data"])
    (graph,) = standard.subgraphMetadata
    (crop,), (maps,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    assert crop.content.contentProperties.colorSpace == 1  # RGB
    assert crop.content.contentProperties.defaultSize.width == crop.content.contentProperties.defaultSize.height == SPEC.size
    assert (list(crop.processUnits[0].options.mean), list(crop.processUnits[0].options.std)) == (
        ([128], [128]) if precision == "int8" else ([0], [1])
    )
    assert (list(maps.stats.min), list(maps.stats.max)) == ([0], [6])
    assert maps.dimensionNames == [b"batch", b"row", b"column", b"point"]
    assert maps.associatedFiles[0].type == 2  # TENSOR_AXIS_LABELS
    assert tuple(attached[maps.associatedFiles[0].name.decode()].decode().split()) == SCHEMES["106"].names
    assert {standard.associatedFiles[0].name.decode(), NAMES} == set(attached)


@pytest.mark.slow
def test_mediapipes_own_displayer_prints_the_same(files):
    from mediapipe.tasks.python.metadata import metadata as official

    displayer = official.MetadataDisplayer.with_model_file(str(files["int8"]))
    assert sorted(displayer.get_packed_associated_file_list()) == sorted([DOCUMENT, NAMES])
    printed, own = json.loads(displayer.get_metadata_json()), detach(files["int8"].read_bytes(), files["int8"]).model
    assert printed["name"] == own["name"] and printed["license"] == own["license"]
    populator = official.MetadataPopulator.with_model_buffer(files["int8"].read_bytes())
    populator.load_metadata_buffer(displayer.get_metadata_buffer())  # checks it against the tensors and asks for the version it needs
    needed = decode(bytes(populator._metadata_buf))["min_parser_version"]
    assert own["min_parser_version"] == needed


def test_the_document_holds_the_rest(files, card):
    document = json.loads(detach(files["int8"].read_bytes(), files["int8"]).files[DOCUMENT])
    said = document["weights"]
    assert said["sources"] == card["data"] and said["tag"] == "open"
    assert said["ancestors"] == [ANCESTORS[0] | {"sources": ["fairface", "lost"]}]
    assert said["credits"]["A set of before"] == "CC BY 4.0" and {one["title"] for one in card["data"]} < set(said["credits"])
    assert "A set of before (CC BY 4.0)" in detach(files["int8"].read_bytes(), files["int8"]).model["license"]
    assert document["input"] | {"type": "int8", "scale": 1 / 128, "zero_point": 0, "stored_value": "pixel - 128"} == document["input"]
    assert document["crop"]["templates"] == {"label": LABEL_TEMPLATE.tolist(), "detector": DETECTOR_TEMPLATE.tolist()}
    points = document["points"]
    assert points["mirror"] == SCHEMES["106"].mirror.tolist() and tuple(points["normaliser"]) == SCHEMES["106"].outer_eyes
    assert points["definition"] == zoo.stations.DEFINITION
    given = np.random.default_rng(0).uniform(0, 300, (106, 2))
    for name in ("68", "98"):
        pairs = points["as_other_schemes"][name]
        assert max(map(len, pairs)) == (4 if name == "68" else 1)
        expected = [sum(weight * given[index] for index, weight in some) for some in pairs]
        np.testing.assert_allclose(zoo.schemes.to_scheme(given, name), expected, atol=1e-3)


@pytest.mark.parametrize("precision", FILES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_metadata_changes_no_graph_no_weight_and_no_result(weights_files, files, precision, runtime):
    pair = weights_files[precision], files[precision]
    before, after = (read_graph(read_model(path)) for path in pair)
    assert before == after
    crop = np.load(cards.weights_folder(NAME) / "golden.npz")["crop"]
    first, second = (open_model(path, runtime=runtime) for path in pair)
    assert second.delegation.whole and np.array_equal(first.forward_stored(crop), second.forward_stored(crop))


def test_constants_stay_aligned_to_16_bytes(files):
    from ai_edge_litert import schema_py_generated as schema

    content = files["float32"].read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    starts = [
        model.Buffers(i)._tab.Vector(model.Buffers(i)._tab.Offset(4)) for i in range(model.BuffersLength()) if model.Buffers(i).DataLength()
    ]
    assert len(starts) > 100 and not [start for start in starts if start % 16]


def test_writing_it_again_changes_nothing(files, card):
    content = files["int8"].read_bytes()
    assert described(content, SPEC, Weights(NAME, card["tag"], card["date"], card["data"], ANCESTORS)) == content
    renewed = described(content, SPEC, Weights(NAME, card["tag"], "another", card["data"]))
    assert open_model(_written(files["int8"].parent / "again.tflite", renewed)).description.document["weights"]["version"] == "another"
    assert len(zipfile.ZipFile(files["int8"].parent / "again.tflite").namelist()) == 2


def test_what_is_written_is_read():
    tree = {"name": "Müller", "subgraph_metadata": [{"input_tensor_metadata": [{"dimension_names": ["a", ""], "content": {
        "content_properties_type": "ImageProperties", "content_properties": {"color_space": 0, "default_size": {"width": 7}}},
        "stats": {"min": [0.5, -2.0], "max": []}}]}]}  # fmt: skip
    assert decode(encode(tree)) == tree
    with pytest.raises(KeyError, match="no field 'nme'"):
        encode({"nme": "x"})


# ---- what it is good for -------------------------------------------------------------------------------------------------------------


def drawn(count):
    """Returns (image, five points) of drawn faces."""
    faces = [draw_face(3000 + index) for index in range(count)]
    return [(face.image, SCHEMES["106"].five_points(face.points)) for face in faces]


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_script_that_knows_only_the_file_finds_the_same_points(files, precision, tmp_path):
    faces = drawn(PICTURES)
    np.savez(
        tmp_path / "faces.npz",
        **{f"{key}_{i}": value for i, face in enumerate(faces) for key, value in zip(("image", "five"), face, strict=True)},
    )
    shutil.copy(files[precision], tmp_path / "model.tflite")
    script = Path(__file__).parents[1] / "file_alone.py"
    command = [sys.executable, "-I", str(script), "model.tflite", "faces.npz", "found.npz"]  # isolated: the project cannot be imported
    subprocess.run(command, cwd=tmp_path, check=True)
    alone, find = np.load(tmp_path / "found.npz"), zoo.load(files[precision])
    for index, (image, five) in enumerate(faces):
        expected = find(image, five)
        to_crop = zoo.alignment.Alignment.from_five(five, SPEC.size).to_crop
        assert np.linalg.norm(to_crop(expected.points) - alone[f"points_{index}"], axis=1).max() < ALONE_PX
        assert np.abs(alone[f"scores_{index}"] - expected.scores).max() < 1e-3
        scale = zoo.alignment.Alignment.from_five(five, SPEC.size).scale
        np.testing.assert_allclose(alone[f"sigmas_{index}"] / scale, expected.sigmas, rtol=1e-2)
        seen = expected.visible > 0  # the others lie outside the picture
        np.testing.assert_allclose(alone[f"visible_{index}"][seen], expected.visible[seen], atol=1e-2)
    assert np.ptp([alone[f"points_{i}"] for i in range(PICTURES)], axis=0).max() > 1  # ten different faces


def test_how_spreads_are_read_travels_in_the_file_and_can_be_put_into_one(files, tmp_path):
    content = read_model(files["int8"])
    assert open_model(files["int8"]).uncertainty.to_json() == FITTED.to_json() == zoo.load(files["int8"]).uncertainty.to_json()
    other = replace(FITTED, own=1.5, fitted_on=("mine",))
    (tmp_path / "other.tflite").write_bytes(with_uncertainty(content, files["int8"], other))
    found = open_model(tmp_path / "other.tflite")
    assert found.uncertainty.to_json() == other.to_json() and "mine" in dict(metadata_rows(found.description))["uncertainty"]
    assert with_uncertainty(read_model(tmp_path / "other.tflite"), files["int8"], FITTED) == content
    card = cards.read_card(NAME)
    again = described(content, SPEC, Weights(NAME, card["tag"], card["date"], card["data"], ANCESTORS))  # refreshing keeps what was fitted
    assert again == content


def test_a_file_that_nothing_was_fitted_to_gives_raw_sigmas_and_says_so(files, tmp_path):
    def unfitted(model, document, names):
        document["output"]["uncertainty"] = None

    path = altered(files["int8"], tmp_path / "raw.tflite", unfitted)
    model, ((image, five), *_) = open_model(path), drawn(1)
    assert model.description.uncertainty is None and model.uncertainty.fitted_on == ()
    assert "not fitted" in dict(metadata_rows(model.description))["uncertainty"]
    found = zoo.load(path)(image, five)
    assert (found.sigmas > 0).all() and ((found.visible >= 0) & (found.visible <= 1)).all()


def test_a_moved_file_is_the_published_one(files):
    (image, five), *_ = drawn(1)
    assert np.array_equal(zoo.load(files["int8"])(image, five).points, zoo.load(NAME)(image, five).points)


def test_the_files_own_template_is_the_one_used(files, tmp_path):
    def wider(model, document, names):
        document["crop"]["templates"]["label"] = [[0.3, 0.275], [0.7, 0.275], [0.5, 0.448], [0.5, 0.605]]

    find = zoo.load(altered(files["int8"], tmp_path / "wider.tflite", wider))
    assert find.label_template[0, 0] == 0.3 and np.array_equal(find.detector_template, DETECTOR_TEMPLATE)
    crops = []
    find.forward = lambda crop: crops.append(crop) or CropPoints(np.zeros((106, 2)), *np.ones((2, 106), np.float32))
    (image, five), *_ = drawn(1)
    find(image, five)
    expected = zoo.alignment.Alignment.from_five(five, SPEC.size, find.label_template).crop(image)
    assert np.array_equal(crops[0], expected)


def test_audit_prints_it(files, capsys):
    assert main(["audit", str(files["int8"])]) == 0
    printed = capsys.readouterr().out
    for words in (
        NAME,
        "open: trained on data",
        "fairface (",
        "stored as pixel - 128",
        "(0.34, 0.275)",
        "contour_0",
        "left_eye_0 to right_eye_4",
    ):
        assert words in printed
    assert main(["audit", str(files["int8"]), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["metadata"]["document"]["output"]["grid"] == SPEC.grid and len(report["metadata"]["names"]) == 106


def test_refresh_writes_published_files_anew_from_their_card(monkeypatch, tmp_path, card):
    folder = tmp_path / NAME
    shutil.copytree(cards.weights_folder(NAME), folder)
    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    monkeypatch.setattr(model_cards, "write_readme_table", lambda: "README.md")
    assert terminal.run(main, ["publish", "--refresh", NAME]) == 0
    renewed = cards.read_card(NAME)
    for path in folder.glob("*.tflite"):
        assert open_model(path).description.document["weights"]["sources"] == card["data"]
        assert renewed["files"][path.name] == {"bytes": path.stat().st_size, "sha256": sha256(path)}
    assert renewed == card | lineage.recorded(lineage.of_init(NAME)[1:]) | {"files": renewed["files"]}
    assert (folder / "README.md").read_text() == model_cards.model_card(renewed)
    assert {path.name for path in tmp_path.iterdir()} == {NAME}
    with pytest.raises(ZooError, match="unknown variant 'nothing'"):
        publish.refresh("nothing")


# ---- what is refused -----------------------------------------------------------------------------------------------------------------


def _written(path, content):
    path.write_bytes(content)
    return path


def refusal(path):
    """Returns the one line by which a file is refused; audit must name the same as a problem."""
    with pytest.raises(ZooError) as error:
        zoo.load(path)
    line = str(error.value)
    assert "\n" not in line and len(line) < 400
    assert line in audit(path).problems
    return line


def test_a_file_without_metadata_is_refused(files, tmp_path):
    from stubs import edited

    def forget(model):
        model.metadata = [entry for entry in model.metadata if entry.name != b"TFLITE_METADATA"]

    bare = edited(files["int8"], tmp_path / "bare.tflite", forget)
    (tmp_path / "card.json").write_text("{}")  # what lies beside it says nothing
    with pytest.raises(ZooError, match=r"bare\.tflite carries no metadata: how to crop and what its points are is not known") as error:
        zoo.load(bare)
    assert "\n" not in str(error.value)
    assert audit(bare).metadata is None and audit(bare).ok


def test_another_projects_metadata_is_refused(files, tmp_path):
    content = files["int8"].read_bytes()
    foreign = attach(content, replace(detach(content, files["int8"]), model={"name": "somebody's"}, files={}))
    assert 'is of "somebody\'s" with the files none; landmark_zoo.json of this zoo is expected' in refusal(
        _written(tmp_path / "foreign.tflite", foreign)
    )
    other = content.replace(b"M001", b"M999")
    assert "is of kind b'M999'; b'M001' of the TFLite schema is expected" in refusal(_written(tmp_path / "other.tflite", other))
    assert audit(needed_mediapipe_file(MESH_FILE)).metadata is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m, d, n: d["input"].update(size_px=96), "inputs: it says [(1, 96, 96, 3)], found [(1, 128, 128, 3)]"),
        (lambda m, d, n: d["output"].update(grid=64), "outputs: it says [(1, 64, 64, 106)], found [(1, 32, 32, 106)]"),
        (lambda m, d, n: d["output"].update(kind="points"), "outputs: it says [(1, 106), (1, 106), (1, 106, 2)], found [(1, 32, 32, 106)]"),
        (lambda m, d, n: d["input"].update(type="float32"), "the input's type: it says float32, found int8"),
        (lambda m, d, n: d["input"].update(zero_point=-128), "scale and zero point: it says (0.0078125, -128), found (0.0078125, 0)"),
        (lambda m, d, n: d["input"].update(colours="BGR"), "colours: it says ('BGR', 1), found ('RGB', 1)"),
        (lambda m, d, n: n.pop(), "points against their names: it says 106, found 105"),
        (lambda m, d, n: d["points"]["mirror"].reverse(), "the mirror applied twice"),
        (lambda m, d, n: d["output"].update(stride_px=8), "the grid's cells times the stride: it says 256, found 128"),
        (lambda m, d, n: d["output"].update(logit_scale=1.0), "the decoder's logit scale: it says 1.0, found 2.0"),
        (lambda m, d, n: d["output"].update(window_radius=2), "the decoder's window: it says 2, found 3"),
        (lambda m, d, n: d["crop"]["templates"].update(label=[[0, 0]]), "the templates' shapes: it says [(4, 2), (4, 2)], found [(1, 2), "),
        (lambda m, d, n: d.update(format=2), "has format 2; 1 is expected"),
        (lambda m, d, n: d.pop("crop"), "is not as expected: KeyError 'crop'"),
        (lambda m, d, n: d["points"].update(mirror=[500] * 106), "is not as expected: IndexError"),
        (lambda m, d, n: d["points"].update(mirror="abc"), "is not as expected: TypeError"),
        (lambda m, d, n: ["a", "list"], "is not as expected: TypeError"),
        (lambda m, d, n: m["subgraph_metadata"].clear(), "is not as expected: KeyError 'point_names.txt'"),
    ],
)  # fmt: skip
def test_what_contradicts_the_tensors_is_refused_with_both_facts(files, tmp_path, change, words):
    def only_change(model, document, names):
        result = change(model, document, names)
        return result if isinstance(result, list) else None

    assert words in refusal(altered(files["int8"], tmp_path / "altered.tflite", only_change))


def test_a_damaged_block_is_refused_and_never_anything_else(files, tmp_path):
    """Every cut of the block and many altered bytes end in a sentence or in metadata, not in another exception."""
    block = encode(detach(files["int8"].read_bytes(), files["int8"]).model)
    rng, refused = np.random.default_rng(0), 0
    for index in range(400):
        damaged = bytearray(block)
        if index % 2:
            damaged = damaged[: rng.integers(8, len(block))]
        else:
            damaged[rng.integers(8, len(block))] = rng.integers(256)
        try:
            decode(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > 150


def test_a_file_cut_behind_its_graph_is_refused(files, tmp_path):
    content = files["int8"].read_bytes()
    start = content.index(b"PK\x03\x04")
    for length in {start, start + 40, *range(start + 100, len(content), 997), len(content) - 1}:
        with pytest.raises(ZooError, match=r"cut short or damaged: its metadata names|names .*; the archive behind the graph has"):
            open_model(_written(tmp_path / "cut.tflite", content[:length]))
    changed = bytearray(content)
    changed[start + 200] ^= 0xFF
    with pytest.raises(ZooError, match="cut short or damaged: its metadata names .*Bad CRC"):
        open_model(_written(tmp_path / "changed.tflite", bytes(changed)))


def test_reading_metadata_imports_no_framework(files):
    heavy = ("tensorflow", "mediapipe", "keras", "flatbuffers")
    code = f"import sys, zoo; zoo.load(sys.argv[1]); print(*[name for name in {heavy} if name in sys.modules])"
    command = [sys.executable, "-c", code, str(files["int8"])]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
