"""Float files that are not shipped are made from published weights by one command."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import assert_refused

from tflite.__main__ import main
from tflite.export.audit import audit
from zoo import cards, lookup
from zoo.heatmaps import decode
from zoo.nets.weights import read_arrays, write_published
from zoo.runtime.interpreter import open_model

NAME = "mixed-035-128.open"
HALF_TOLERANCE = 0.05  # of kernels in half precision through sixty layers, in units of the maps (0 to 6)


@pytest.fixture(autouse=True)
def no_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "RUNS", tmp_path / "runs")


@pytest.mark.slow
def test_published_weights_are_exported_in_half_precision(tmp_path):
    assert main(["export", NAME, "--precision", "float16", "float32", "--out", str(tmp_path)]) == 0
    shipped = cards.weights_folder(NAME)
    crop = np.load(shipped / "golden.npz")["crop"]
    expected = open_model(cards.model_path(NAME, "float32")).maps(crop)
    for precision in ("float16", "float32"):
        model = open_model(tmp_path / f"{precision}.tflite")
        assert model.precision == precision and model.description.document["weights"]["name"] == NAME
        report = audit(tmp_path / f"{precision}.tflite", precision)
        assert report.ok and set(report.partitions.values()) == {1} and len(report.partitions) == 2, report.problems
        maps = model.maps(crop)
        assert np.abs(maps - expected).max() < HALF_TOLERANCE
        apart_px = np.linalg.norm(decode(maps)[0] - decode(expected)[0], axis=1) * len(crop) / len(maps)
        assert apart_px.mean() < 0.01  # what zoo.cards says of the file that is shipped
    assert (tmp_path / "float16.tflite").stat().st_size < 0.55 * (tmp_path / "float32.tflite").stat().st_size


def test_an_int8_file_is_not_made_from_float_weights(tmp_path, capsys):
    assert_refused(main, ["export", NAME, "--precision", "int8", "--out", str(tmp_path / "out")], "is published in int8", capsys)
    assert not (tmp_path / "out").exists()


def test_kernels_are_kept_in_half_precision_and_the_rest_as_it_is(tmp_path):
    arrays = {"a/kernel": np.float32([[0.1, 3.0]]), "a/bias": np.float32([1e-9, 1e6])}
    write_published(tmp_path / "float.npz", arrays)
    found = read_arrays(tmp_path / "float.npz")
    np.testing.assert_array_equal(found["a/bias"], arrays["a/bias"])
    np.testing.assert_allclose(found["a/kernel"], arrays["a/kernel"], rtol=2**-11)
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
