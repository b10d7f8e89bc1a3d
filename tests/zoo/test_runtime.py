"""A .tflite file runs the same in both runtimes, in many threads, and a file that is not ours is refused in words."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from stubs import CLEAN_INT8, POINTS, SIZE, edited, make_stub_files  # noqa: F401

from tflite.measure.benchmark import MESH_FILE
from zoo.errors import ZooError
from zoo.mediapipe_files import needed_mediapipe_file
from zoo.runtime.interpreter import RUNTIMES, open_interpreter, open_model, read_model

ROOT = Path(__file__).resolve().parents[2]
GRID = SIZE // 4
RUNTIME_STEPS = 1  # both runtimes call XNNPACK; a release may round once differently
KERNEL_MEAN_STEPS = 2  # the interpreter's own kernels round otherwise in every layer, and a stub's layers have a gain above 1
HALF_TOLERANCE = 0.002  # float16 weights against float32 ones, in units of the maps (0 to 6)


@pytest.fixture
def crop():
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", [*CLEAN_INT8, "float32", "float16"])
def test_forward_gives_real_maps(stub_files, crop, name, runtime):
    model = open_model(stub_files[name], runtime=runtime)
    maps = model.maps(crop)
    assert maps.shape == (GRID, GRID, POINTS) == (model.grid, model.grid, model.points)
    assert maps.dtype == np.float32
    assert model.input_size == SIZE
    assert model.precision == (name if name.startswith("float") else "int8")
    assert maps.min() >= 0
    assert maps.max() <= 6.01
    assert maps.std() > 0.05  # the picture reaches the output
    assert not np.array_equal(maps, model.maps(255 - crop))


def test_an_int8_input_holds_the_pixel_less_128(stub_files, crop):
    path = stub_files["mixed"]
    interpreter = open_interpreter(path.read_bytes(), path)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (crop.astype(np.int16) - 128).astype(np.int8)[None])
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    model = open_model(path)
    assert np.array_equal(model.forward_stored(crop), expected)
    assert np.allclose(model.maps(crop), (expected.astype(np.float64) - model.output.zero_point) * model.output.scale, atol=1e-6)


@pytest.mark.parametrize(
    ("scale", "zero_point", "real"), [(2 / 255, 0, "signed"), (2 / 255, -1, "signed"), (1.0, -128, "pixels"), (0.995, -128, "pixels")]
)
def test_another_input_scale_is_followed(stub_files, tmp_path, crop, scale, zero_point, real):
    def change(model):
        quantisation = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization
        quantisation.scale, quantisation.zeroPoint = [scale], [zero_point]

    model = open_model(edited(stub_files["conv"], tmp_path / "scaled.tflite", change))
    wanted = crop.astype(np.float64) if real == "pixels" else (crop / 128.0) - 1
    low, high = ((end - zero_point) * scale for end in (-128, 127))
    stored = model._store(crop).astype(np.float64)
    assert np.abs((stored - zero_point) * scale - wanted.clip(low, high)).max() <= scale * 0.501


@pytest.mark.parametrize("name", CLEAN_INT8)
def test_both_runtimes_agree(stub_files, crop, name):
    stored = [open_model(stub_files[name], runtime=runtime).forward_stored(crop).astype(int) for runtime in RUNTIMES]
    assert np.abs(stored[0] - stored[1]).max() <= RUNTIME_STEPS


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", CLEAN_INT8)
def test_without_xnnpack_the_maps_are_the_same(stub_files, crop, name, runtime):
    with_it, without = (open_model(stub_files[name], runtime=runtime, xnnpack=xnnpack) for xnnpack in (True, False))
    assert with_it.delegation.whole
    assert without.delegation.partitions == without.delegation.delegated == 0
    difference = np.abs(with_it.forward_stored(crop).astype(int) - without.forward_stored(crop).astype(int))
    assert difference.mean() <= KERNEL_MEAN_STEPS


def test_float16_weights_give_the_float32_maps(stub_files, crop):
    single, half = (open_model(stub_files[name]).maps(crop) for name in ("float32", "float16"))
    assert np.abs(single - half).max() < HALF_TOLERANCE


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_threads_may_share_a_model(stub_files, runtime):
    model = open_model(stub_files["mixed"], threads=2, runtime=runtime)
    crops = np.random.default_rng(1).integers(0, 256, (64, SIZE, SIZE, 3), dtype=np.uint8)
    alone = [model.maps(crop) for crop in crops]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(model.maps, crops))
    assert all(map(np.array_equal, alone, together))


def test_a_result_outlives_the_next_call(stub_files, crop):
    model = open_model(stub_files["float32"])
    first = model.maps(crop)
    kept = first.copy()
    model.maps(255 - crop)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"TFL3", "not a TFLite model"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a TFLite model.*b'TFL3' is expected"),
        (b"\x1c\0\0\0TFL3" + bytes(range(256)) * 8, "cut short or damaged.*2056 bytes"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, content, words):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ZooError, match=words):
        open_model(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ZooError, match=r"cannot read .*missing\.tflite: No such file"):
        open_model(tmp_path / "missing.tflite")
    with pytest.raises(ZooError, match="cannot read"):
        open_model(tmp_path)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_cut_anywhere_is_refused_and_does_not_end_the_process(stub_files, tmp_path, runtime):
    program = """
import sys
from pathlib import Path
from zoo.runtime.interpreter import open_model
from zoo.errors import ZooError
source, target, runtime = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), sys.argv[3]
lengths = sorted({*range(0, 200), *range(0, len(source), 53), *range(len(source) - 40, len(source))})
for length in lengths:
    target.write_bytes(source[:length])
    try:
        open_model(target, runtime=runtime)
    except ZooError as error:
        assert "\\n" not in str(error)
    else:
        raise SystemExit(f"{length} of {len(source)} bytes were taken for a model")
print(len(lengths))
"""
    command = [sys.executable, "-c", program, str(stub_files["mixed"]), str(tmp_path / "cut.tflite"), runtime]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 300


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_opening_and_running_writes_nothing_to_the_terminal(stub_files, runtime):
    program = "import sys; from zoo.runtime.interpreter import open_model as o; o(sys.argv[1], runtime=sys.argv[2]); o(sys.argv[1])"
    command = [sys.executable, "-c", program, str(stub_files["conv"]), runtime]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_another_size_than_expected_is_refused(stub_files):
    assert open_model(stub_files["conv"], expected_size=SIZE).input_size == SIZE
    with pytest.raises(ZooError, match="takes crops of 32 x 32 pixels; 128 x 128 is expected"):
        open_model(stub_files["conv"], expected_size=128)


def test_models_of_another_kind_are_refused(stub_files, tmp_path):
    with pytest.raises(ZooError, match="inputs: 1, outputs: 2; one of each is expected"):
        open_model(needed_mediapipe_file(MESH_FILE))

    def ends_early(model):
        graph = model.subgraphs[0]
        graph.outputs = graph.operators[0].outputs

    with pytest.raises(ZooError, match=r"output \[1, 16, 16, 8\]; for its input of 32 pixels maps \[1, 8, 8, points\] are expected"):
        open_model(edited(stub_files["conv"], tmp_path / "early.tflite", ends_early))

    def starts_late(model):
        graph = model.subgraphs[0]
        graph.inputs = graph.operators.pop(0).outputs

    with pytest.raises(ZooError, match=r"input \[1, 16, 16, 8\]; one square RGB image \[1, S, S, 3\] is expected"):
        open_model(edited(stub_files["conv"], tmp_path / "late.tflite", starts_late))


def test_an_input_that_was_never_calibrated_is_refused(stub_files, tmp_path):
    def change(model):
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization.scale = [4e-9]

    with pytest.raises(ZooError, match="input that spans .* -1 to 1 or 0 to 255 is expected"):
        open_model(edited(stub_files["conv"], tmp_path / "loose.tflite", change))


@pytest.mark.parametrize(
    "received", [np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE + 1, 3), np.uint8)]
)
def test_another_crop_is_refused(stub_files, received):
    with pytest.raises(ZooError, match=rf"the crop is {received.dtype} .* takes uint8 \[32, 32, 3\]"):
        open_model(stub_files["conv"]).maps(received)


def test_settings_that_cannot_be_are_refused(stub_files):
    with pytest.raises(ZooError, match="unknown runtime 'tflite'.*ai-edge-litert, tflite-runtime"):
        open_model(stub_files["conv"], runtime="tflite")
    with pytest.raises(ZooError, match="threads is 0; 1 or more"):
        open_model(stub_files["conv"], threads=0)
    assert read_model(stub_files["conv"])[4:8] == b"TFL3"
