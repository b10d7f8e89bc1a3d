"""What is taken along is whole: a model that audits clean with its card, points that come back the same, code that runs that file."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from demo import compare, draw, samples, snippets, takeaway
from demo.scene import Picture, Scene
from tflite.export.audit import audit
from zoo.errors import ZooError
from zoo.images import write_image
from zoo.runtime.interpreter import open_model
from zoo.schemes import get_scheme, to_scheme

ROOT = Path(__file__).parents[2]
FILES = compare.model_files()
INT8 = next(file for file in FILES if file.precision == "int8")


@pytest.fixture(scope="module")
def scene():
    drawn = samples.draw_sample("Group")
    positions = compare.find_faces(drawn.image)
    find = compare.open_landmarker(INT8)
    found = {INT8: [compare.find_points(find, drawn.image, position) for position in positions]}
    return Scene(Picture("a/b <Group>.png", "k", drawn.image, drawn.truth), positions, 1, {INT8: draw.PALETTE[0]}, found)


def made(scene, label, **options):
    offer = next(offer for offer in takeaway.offers(scene, INT8, **options) if offer.label == label)
    return offer, offer.make()


def test_the_archive_holds_a_model_that_audits_clean_and_its_card(scene, tmp_path):
    offer, content = made(scene, "Model with its card")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    name = takeaway.file_name(INT8)
    assert names == {name, "card.json", "README.md", "LICENSE", "NOTICE"}
    report = audit(tmp_path / name, INT8.precision)
    assert report.ok, report.problems
    assert json.loads((tmp_path / "card.json").read_text())["name"] == INT8.name
    assert offer.name.endswith(".zip") and made(scene, "Model with its card")[1] == content, "the same on every day"
    assert made(scene, "Model alone")[1] == INT8.path.read_bytes()


@pytest.mark.parametrize("scheme", ["106", "98", "68"])
def test_points_come_back_from_json_and_csv(scene, scheme):
    expected = [to_scheme(face.points, scheme) for face in scene.predictions(INT8)]
    found = json.loads(made(scene, "Points, JSON", scheme=scheme)[1])
    assert found["weights"] == INT8.label and "edge-based" in found["coordinates"]
    for face, points in zip(found["pictures"][0]["faces"], expected, strict=True):
        np.testing.assert_allclose(face["points"], points, atol=0.006)
    rows = list(csv.DictReader(io.StringIO(made(scene, "Points, CSV", scheme=scheme)[1])))
    assert len(rows) == len(expected) * get_scheme(scheme).count
    np.testing.assert_allclose([[float(row["x"]), float(row["y"])] for row in rows], np.concatenate(expected), atol=0.006)


def test_the_marked_picture_has_the_pictures_own_size(scene):
    import cv2

    _, content = made(scene, "Marked picture")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image.shape == scene.picture.image.shape
    assert (image != scene.picture.image).any()
    assert takeaway.marked_picture(scene.picture.image, []) != content


def test_names_of_downloads_are_plain_file_names(scene):
    for offer in takeaway.offers(scene, INT8):
        assert "/" not in offer.name and offer.media_type.count("/") == 1


@pytest.mark.parametrize("file", FILES[:3], ids=lambda file: file.label)
def test_the_python_code_runs_and_prints_the_pages_points(file, tmp_path):
    drawn = samples.draw_sample("Portrait")
    write_image(tmp_path / "photo.jpg", drawn.image)
    code = snippets.code(file, "python").replace('"photo.jpg"', repr(str(tmp_path / "photo.jpg")))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    score, x, y, sigma, visible = map(float, re.findall(r"[\d.]+", done.stdout))
    assert 0 < score <= 1 and 0 < sigma < 0.2 * compare.eye_distance(drawn.truth[0]) and 0 <= visible <= 1
    assert np.linalg.norm([x, y] - drawn.truth[0][54]) < 0.1 * compare.eye_distance(drawn.truth[0])


@pytest.mark.parametrize("language", ["kotlin", "swift"])
@pytest.mark.parametrize("file", FILES[:3], ids=lambda file: file.label)
def test_code_for_phones_has_the_files_own_numbers(file, language):
    code, model = snippets.code(file, language), open_model(file.path)
    find = model.description
    assert "$" not in re.sub(r"\$0", "", code), "nothing is left to fill in"
    assert takeaway.file_name(file).removesuffix(".tflite") in code and f"{file.path.stat().st_size:,} bytes" in code
    names = ("size", "grid", "points") if language == "swift" else ("SIZE", "GRID", "POINTS")
    for name, value in zip(names, (model.input_size, model.grid, model.points), strict=True):
        assert re.search(rf"\b{name} = {value}\b", code)
    if file.precision == "int8":
        assert "value - 128" in code and repr(model.output.scale) in code and str(model.output.zero_point) in code
    else:
        assert "128.0" not in code and ("Float32" in code or "putFloat" in code)
    lists = re.findall(r"(?:floatArrayOf\(|\[)((?:[\d.]+f?, ){7}[\d.]+f?)", code)
    found = [[float(number.rstrip("f")) for number in numbers.split(", ")] for numbers in lists]
    np.testing.assert_allclose(np.reshape(found, (2, 4, 2)), np.multiply(find.templates, model.input_size), atol=1e-3)
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing)


def test_another_language_is_refused_with_those_there_are():
    with pytest.raises(ZooError, match="swift"):
        snippets.code(INT8, "rust")
