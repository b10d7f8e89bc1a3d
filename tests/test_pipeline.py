"""From synthetic faces to files for a phone: fit, quantize, export and audit, for every kind of head."""

import json
from pathlib import Path

import numpy as np
import pytest
import workplaces
from lively import drawn_crops, settled_arrays

from tflite.__main__ import main as tflite_main
from tflite.export.audit import PRECISIONS, audit
from training.__main__ import main as training_main
from training.learning import runs
from zoo import terminal
from zoo.runtime.interpreter import RUNTIMES, open_model
from zoo.variants import get

pytestmark = pytest.mark.slow

SAME_MAPS = 1e-3  # of 0..6, between Keras and the float32 file
FACES = 12
DENORMAL = 1e-41


def start_arrays(spec):
    """Returns weights as if trained, with one denormal number among them."""
    arrays = settled_arrays(spec)
    arrays["head_2_project/kernel"][0, 0, 0, 0] = DENORMAL
    return arrays


@pytest.fixture(scope="module", name="workplace")
def make_workplace(tmp_path_factory):
    """Works in a folder of its own, with few synthetic faces."""
    with workplaces.workplace(tmp_path_factory.mktemp("pipeline"), FACES, calibration_batches=4) as place:
        yield place


@pytest.fixture(scope="module")
def command_line(workplace):
    """Returns the folder of a quantisation-aware run, made and exported as the README says, but in few steps."""
    np.savez("start.npz", **start_arrays(get("mixed-035-096")))
    few = ["--batch", "4", "--steps", "2", "--learning-rate", "1e-6"]
    assert training_main(["fit", "mixed-035-096", *few, "--init", "start.npz"]) == 0
    assert training_main(["quantize", "mixed-035-096-open", *few]) == 0
    assert tflite_main(["export", "mixed-035-096-open-int8"]) == 0
    return runs.run_folder("mixed-035-096-open-int8")


@pytest.fixture(scope="module", params=["mixed-035-096", "deconv-035-128", "shuffle-035-128"])
def exported(request, workplace):
    """Returns a variant, the float weights, and the folder with its three files."""
    spec = get(request.param)
    if spec.name == "mixed-035-096":
        folder = request.getfixturevalue("command_line")
        return spec, runs.weights_path(runs.run_folder("mixed-035-096-open")), folder
    from tflite.export.convert import float_file, int8_content
    from training.learning import qat

    arrays = start_arrays(spec)
    folder = workplace / spec.name
    folder.mkdir()
    np.savez(folder / "weights.npz", **arrays)
    for precision in PRECISIONS[:2]:
        (folder / f"{precision}.tflite").write_bytes(float_file(spec, arrays, precision))
    model, quantized = qat.build_quantized(spec, arrays)
    assert qat.calibrate(quantized, model, [drawn_crops(spec, 8, 100)]) > 50
    (folder / "int8.tflite").write_bytes(int8_content(quantized, spec))
    return spec, folder / "weights.npz", folder


def test_every_file_passes_its_audit_as_one_delegated_part(exported):
    spec, _, folder = exported
    for precision in PRECISIONS:
        report = audit(folder / f"{precision}.tflite", precision)
        assert report.ok, (precision, report.problems)
        assert report.partitions == dict.fromkeys(RUNTIMES, 1)
    assert set(report.tensor_types) == {"int8", "int32"}
    assert report.operators["TRANSPOSE_CONV"] == sum(stage.kind == "deconv" for stage in spec.stages)
    assert report.operators["DEPTH_TO_SPACE"] == sum(stage.kind == "shuffle" for stage in spec.stages)
    sizes = [(folder / f"{precision}.tflite").stat().st_size for precision in PRECISIONS]
    assert sizes[0] > 1.7 * sizes[1] and sizes[1] > 1.2 * sizes[2]


def test_the_int8_file_takes_pixels_less_128_and_gives_maps_from_0_to_6(exported):
    spec, _, folder = exported
    report = audit(folder / "int8.tflite")
    image, maps = report.inputs[0], report.outputs[0]
    assert (image.dtype, image.shape, image.scale, image.zero_point) == ("int8", (1, spec.size, spec.size, 3), 1 / 128, 0)
    assert (maps.dtype, maps.shape, maps.zero_point) == ("int8", (1, spec.grid, spec.grid, spec.points), -128)
    assert maps.scale == pytest.approx(6 / 255, rel=1e-5)


def test_the_float_file_agrees_with_keras(exported):
    import keras

    from zoo.nets import build, from_arrays
    from zoo.nets.weights import read_arrays

    spec, weights, folder = exported
    model = build(spec, keras)
    from_arrays(model, read_arrays(weights))
    forward = {precision: open_model(folder / f"{precision}.tflite").maps for precision in PRECISIONS}
    for crop in drawn_crops(spec, 2, 500):
        expected = np.asarray(model(crop[None].astype(np.float32), training=False))[0]
        assert expected.std() > 0.3  # maps of one value would agree with anything
        assert np.abs(forward["float32"](crop) - expected).max() < SAME_MAPS
        assert np.abs(forward["float16"](crop) - expected).mean() < 0.1  # half precision through sixty layers
        found = forward["int8"](crop)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.85  # a layer gone wrong leaves next to none
        assert np.abs(found - expected).mean() < 1.0  # a wrong scale would give more; random weights forgive less than trained ones


def test_both_runtimes_give_the_same_int8_maps(exported):
    spec, _, folder = exported
    crop = drawn_crops(spec, 1, 600)[0]
    first, second = (open_model(folder / "int8.tflite", runtime=runtime).maps(crop) for runtime in RUNTIMES)
    assert np.abs(first - second).max() <= 1.01 * 6 / 255  # one step
    assert (first == second).mean() > 0.99


def test_the_command_line_says_what_it_made(command_line, capsys):
    float_run = runs.run_folder("mixed-035-096-open")
    assert runs.read_facts(command_line)["parent"] == str(float_run)
    assert runs.read_facts(float_run)["data"] == [{"source": "synthetic", "faces": FACES}]
    (start,) = runs.read_facts(float_run)["ancestors"]  # an .npz file that nothing is known of is named as such
    assert start["name"] == "start.npz" and len(start["sha256"]) == 64 and "nothing is known" in start["note"]
    configuration = runs.read_configuration(command_line)
    assert configuration.quantized and configuration.init == "mixed-035-096-open" and configuration.steps == 2
    capsys.readouterr()
    files = [str(command_line / f"{precision}.tflite") for precision in PRECISIONS]
    assert tflite_main(["audit", *files, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["precision"] for report in reports] == list(PRECISIONS)
    for report in reports:  # every file says whose faces made it
        weights = report["metadata"]["document"]["weights"]
        assert weights["name"] == "runs/mixed-035-096-open-int8" and "card" not in weights  # no run claims a published name
        assert weights["sources"] == [{"source": "synthetic", "faces": FACES}]
        assert [one["name"] for one in weights["ancestors"]] == ["start.npz"] and weights["credits"] == {"synthetic": ""}


def test_runs_and_files_are_evaluated_alike(command_line, capsys, monkeypatch):
    from training.evaluation import evaluate

    real = evaluate.samples
    monkeypatch.setattr(evaluate, "samples", lambda *args: real(*args)[:6])
    models = ["mixed-035-096-open", "mixed-035-096-open-int8", *(str(command_line / f"{precision}.tflite") for precision in PRECISIONS)]
    assert training_main(["evaluate", *models, "--csv", "faces.csv", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in rows] == models and all(row["faces"] == 6 for row in rows)
    errors = [row["nme %"] for row in rows]
    assert errors[2] == pytest.approx(errors[0], rel=1e-3)  # the float32 file and its run in Keras: one pipeline, one metric
    assert errors[4] == pytest.approx(errors[1], rel=0.1)  # the int8 file and its quantisation-aware run
    assert len(Path("faces.csv").read_text().splitlines()) == 1 + 6 * len(models)


@pytest.mark.parametrize(
    ("main", "argv", "message"),
    [
        (training_main, ["fit", "mixd-035-096"], "did you mean 'mixed-035-096'"),
        (training_main, ["fit", "mixed-035-096", "--run", "x", "--source", "none.npz"], "there is no file or folder 'none.npz'"),
        (training_main, ["fit", "mixed-035-096", "--run", "x", "--init", "nothing"], "--init 'nothing' is not known"),
        (training_main, ["fit", "mixed-035-096", "--steps", "0"], "steps must be at least 1"),
        (training_main, ["fit", "--resume", "mixed-035-096-open-int8"], "is a quantisation-aware run"),
        (training_main, ["quantize", "nothing"], "there is no run 'nothing'"),
        (training_main, ["quantize", "mixed-035-096-open-int8"], "is a quantisation-aware run"),
        (training_main, ["quantize", "--resume", "mixed-035-096-open"], "is a float run"),
        (training_main, ["quantize"], "quantize begins with a float RUN, or goes on with --resume RUN; received neither"),
        (training_main, ["quantize", "a", "--resume", "b"], "received a and --resume b"),
        (training_main, ["fit"], "fit begins with NAME, or goes on with --resume RUN; received neither"),
        (
            training_main,
            ["fit", "mixed-035-096"],
            "there is a run 'mixed-035-096-open' already: go on with it (--resume mixed-035-096-open)",
        ),
        (training_main, ["fit", "mixed-035-096", "--run", "mixed-035-096.open"], "a run cannot be called 'mixed-035-096.open'"),
        (training_main, ["quantize", "mixed-035-096-open"], "there is a run 'mixed-035-096-open-int8' already"),
        (training_main, ["fit", "mixed-035-096", "--run", "x", "--init", "none.tflite"], "there is no file 'none.tflite'"),
        (training_main, ["evaluate", "none.tflite"], "there is no file 'none.tflite'"),
        (tflite_main, ["export", "nothing"], "unknown file, run or published weights 'nothing'"),
        (tflite_main, ["export", "mixed-035-096-open", "--precision", "int8"], "is a float run: quantize it for int8"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_error_ends_in_one_line(command_line, main, argv, message, capsys):
    capsys.readouterr()
    assert terminal.run(main, argv) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0]
