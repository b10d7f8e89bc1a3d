"""The C++ and Java ports give Python's crops to the last bit and its points to a hundredth of a pixel, and any port can test itself so."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tflite.__main__ import main
from tflite.export import golden
from tflite.export.convert import described
from training.synthetic.faces import draw_face
from zoo import cards, terminal
from zoo.alignment import LABEL_TEMPLATE, Alignment
from zoo.errors import ZooError
from zoo.heatmaps import MAP_MAX, encode
from zoo.landmarker import Landmarker
from zoo.runtime.crop_points import from_maps
from zoo.runtime.interpreter import open_model, read_model
from zoo.runtime.metadata import Weights
from zoo.schemes import SCHEMES
from zoo.uncertainty import Uncertainty
from zoo.variants import get

NAME = "mixed-035-128.open"
MOBILE = Path(__file__).parents[2] / "tflite" / "mobile"
PROMISED = {"matrix": 1e-9, "crop": 0, "stored": 0, "points_px": 0.01, "scores": 1e-4, "sigmas": 1e-3, "visible": 1e-3}


FITTED = Uncertainty(np.linspace(2.5, 4, 106), np.linspace(2, 8, 106), 44.0, 0.9, 0.7, 0.3, -0.5, 0.4, 0.1, ("some_set",))


@pytest.fixture(scope="module")
def model():
    found = open_model(cards.weights_folder(NAME) / "int8.tflite")
    found.uncertainty = FITTED  # whatever the published file was fitted to
    return found


@pytest.fixture(scope="module", params=["c++", "java"])
def port(request, tmp_path_factory):
    """Returns the command that checks a golden file in one language."""
    out = tmp_path_factory.mktemp("port")
    if request.param == "c++":
        if not shutil.which("g++"):
            pytest.skip("g++ is missing: the C++ port was not compiled")
        command = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(out / "check"), str(MOBILE / "golden_check.cc")]
        run = [str(out / "check")]
    else:
        if not (shutil.which("javac") and shutil.which("java")):
            pytest.skip("javac is missing: the Java port was not compiled")
        command = ["javac", "-Xlint:all", "-Werror", "-d", str(out), *map(str, sorted(MOBILE.glob("*.java")))]
        run = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(out), "GoldenCheck"]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    return run


def check(port, path):
    """Returns the exit status and the differences that a port prints."""
    done = subprocess.run([*port, str(path)], capture_output=True, text=True, check=False)
    return done.returncode, {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def scene(width, height, at, eyes_px, angle_deg, seed=0):
    """Returns a picture of detail at every scale and five points in it."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[height // 3 : height // 2] //= 2
    z = (LABEL_TEMPLATE - LABEL_TEMPLATE.mean(0)) @ [1, 1j] * np.exp(1j * np.deg2rad(angle_deg)) * eyes_px / np.ptp(LABEL_TEMPLATE[:2, 0])
    four = np.column_stack([z.real, z.imag]) + at + rng.normal(0, 0.03 * eyes_px, (4, 2))
    across = (four[1] - four[0]) * 0.35
    return image, np.vstack([four[:3], four[3] - across, four[3] + across])


SCENES = {
    "enlarged": scene(200, 160, (97.3, 84.1), 14.0, 7),
    "about the same size": scene(301, 277, (150, 140), 43.0, -20),
    "upside down": scene(300, 300, (150, 150), 60.0, 178),
    "beyond the left and upper border": scene(240, 200, (18, 15), 50.0, 30),
    "beyond the right and lower border": scene(241, 203, (230, 190), 50.0, -60),
    "halved once": scene(500, 431, (240, 210), 110.0, 12),
    "halved twice, partly outside": scene(700, 600, (600, 80), 170.0, -35),
    "halved three times": scene(1201, 1003, (600, 500), 330.0, 3),
}


@pytest.mark.parametrize("image", SCENES)
def test_every_step_of_a_port_is_pythons(port, model, tmp_path, image):
    path = golden.write(tmp_path / "face.golden", golden.vectors(model, *SCENES[image]))
    status, found = check(port, path)
    assert found.keys() == PROMISED.keys()
    assert all(found[name] <= PROMISED[name] for name in PROMISED), found
    assert status == 0


def test_a_drawn_face_too(port, model, tmp_path):
    face = draw_face(11)
    arrays = golden.vectors(model, face.image, SCHEMES["106"].five_points(face.points))
    assert check(port, golden.write(tmp_path / "face.golden", arrays))[0] == 0


def test_awkward_maps_are_decoded_alike(port, model, tmp_path):
    """Peaks at the border, ties and empty maps, which photographs seldom bring."""
    arrays = golden.vectors(model, *SCENES["about the same size"])
    grid, count = arrays["int8_maps"].shape[1:]
    rng = np.random.default_rng(1)
    maps = encode(rng.uniform(0, grid, (count, 2)), grid)
    maps[:, :, :5] = 0
    maps[:, :, 5:10] = MAP_MAX
    maps[:, :, 10:40] = np.minimum(2 * maps[:, :, 10:40], MAP_MAX)
    scale, zero_point = arrays["map_quantisation"]
    stored = (np.round(maps / scale) + zero_point).clip(-128, 127).astype(np.int8)
    alignment, size = Alignment(arrays["matrix"], len(arrays["crop"])), len(arrays["crop"])
    maps = (stored.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    find = Landmarker.of_maps(lambda crop: maps, size, uncertainty=FITTED)
    found = find.prediction(from_maps(maps, size), alignment, arrays["image"].shape, arrays["five"])
    expected = {"image_points": found.points, "scores": found.scores, "sigmas": found.sigmas, "visible": found.visible}
    path = golden.write(tmp_path / "maps.golden", arrays | {"int8_maps": stored} | expected)
    status, found = check(port, path)
    assert status == 0, found


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("crop", lambda value: value ^ np.uint8(1), "crop"),
        ("image_points", lambda value: value + 0.05, "points_px"),
        ("matrix", lambda value: value * 1.0001, "matrix"),
        ("scores", lambda value: value - np.float32(0.01), "scores"),
        ("sigmas", lambda value: value * 1.01, "sigmas"),
        ("visible", lambda value: value + 0.01, "visible"),
        ("typical_spread_px", lambda value: value * 1.1, "sigmas"),
        ("uncertainty", lambda value: value - [0, 0, 0, 0, 0, 1, 0], "visible"),
    ],
)
def test_a_difference_is_noticed(port, model, tmp_path, name, change, said):
    face = draw_face(11)
    arrays = golden.vectors(model, face.image, SCHEMES["106"].five_points(face.points))  # a picture of noise has nothing to see
    status, found = check(port, golden.write(tmp_path / "off.golden", arrays | {name: change(arrays[name])}))
    assert status == 1 and found[said] > PROMISED[said]


def test_what_is_no_face_or_no_golden_file_is_refused(port, model, tmp_path):
    arrays = golden.vectors(model, *SCENES["about the same size"])
    whole = golden.write(tmp_path / "whole.golden", arrays)
    (tmp_path / "cut.golden").write_bytes(whole.read_bytes()[:-100])
    exchanged = golden.write(tmp_path / "exchanged.golden", arrays | {"five": arrays["five"][[1, 0, 2, 4, 3]]})
    for path in (tmp_path / "cut.golden", exchanged):
        done = subprocess.run([*port, str(path)], capture_output=True, text=True, check=False)
        assert done.returncode not in (0, -6, -11)
        assert re.search("cut short in visible|do not lie like a face", done.stderr)


def test_golden_files_are_read_as_they_were_written(model, tmp_path, capsys):
    out = tmp_path / "published.golden"
    assert main(["golden", NAME, "--out", str(out), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    arrays, published = golden.read(out), np.load(cards.weights_folder(NAME) / "golden.npz")
    assert [row["array"] for row in rows] == list(arrays)
    assert np.array_equal(arrays["crop"], published["crop"]) and np.array_equal(arrays["image"], published["image"])
    assert np.abs(arrays["int8_maps"].astype(int) - published["int8_maps"]).max() <= 2
    assert out.stat().st_size < 500_000
    for content, words in ((b"\x89PNG", "is not a golden file"), (out.read_bytes()[:-1], "is cut short in visible")):
        (tmp_path / "bad.golden").write_bytes(content)
        with pytest.raises(ZooError, match=words):
            golden.read(tmp_path / "bad.golden")
    assert terminal.run(main, ["golden", "deconv-100-192"]) == 1
    assert "deconv-100-192.open is not published; published: " in capsys.readouterr().err
    with pytest.raises(ZooError, match="golden vectors are of int8 maps"):
        golden.vectors(open_model(cards.model_path(NAME, "float32")), *SCENES["enlarged"])


def test_javas_own_zip_reader_finds_the_document_in_a_model(tmp_path):
    if not shutil.which("java"):
        pytest.skip("java is missing")
    card = cards.read_card(NAME)
    content = read_model(cards.weights_folder(NAME) / "int8.tflite")
    (tmp_path / "m.tflite").write_bytes(described(content, get(NAME), Weights(NAME, card["tag"], card["date"], card["data"])))
    (tmp_path / "Show.java").write_text("""
import java.util.zip.ZipFile;
public class Show {
  public static void main(String[] arguments) throws Exception {
    try (ZipFile file = new ZipFile(arguments[0])) {
      System.out.write(file.getInputStream(file.getEntry("landmark_zoo.json")).readAllBytes());
      System.out.flush();
    }
  }
}""")
    done = subprocess.run(["java", "Show.java", "m.tflite"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["input"]["size_px"] == 128


def test_the_ports_defaults_are_the_published_files_own(model):
    """`Settings` in both languages against what the file and this project say."""
    for name in ("landmark_zoo.h", "LandmarkZoo.java"):
        text = (MOBILE / name).read_text()
        numbers = {key: re.search(rf"\b{key} = ([^;]+);", text, re.IGNORECASE) for key in ("size", "stride", "points")}
        assert [int(numbers[key][1]) for key in numbers] == [model.input_size, model.input_size // model.grid, model.points]
        assert re.search(r"= 6\.0 / 255;", text) and model.output.scale == pytest.approx(6.0 / 255)
        anchors = [float(number) for number in re.findall(r"0\.\d{3}", re.search(r"anchors = (\{[^;]+);", text)[1])]
        assert np.array_equal(np.reshape(anchors, (4, 2)), LABEL_TEMPLATE)
