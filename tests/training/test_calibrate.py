"""Sigmas that are fitted hold what they claim on faces left out of the fit, and what they are worth is counted as it should be."""

import json
import shutil

import numpy as np
import pytest

import zoo
from training.__main__ import main
from training.evaluation import fitting, readings, sureness
from training.evaluation.readings import HIDDEN, NO_FACE, OCCLUDED, PLAIN, SEEN, TURNED, UNKNOWN, Readings
from training.readers.sample import Sample
from zoo import cards, terminal
from zoo.errors import ZooError
from zoo.files import read_json
from zoo.runtime.interpreter import open_model
from zoo.uncertainty import from_json, raw

NAME, STRIDE = "mixed-035-128.open", 4
# Radial errors whose 68 % and 95 % quantiles are 1 and 2, as measured errors have them: heavier tails than a Gaussian's.
SHAPE = 1.47


def simulated(source, kind, faces, seed, unknown=()):
    """Returns readings of faces whose errors grow with their spreads by a known law, and whose hidden points are spread wide."""
    rng = np.random.default_rng(seed)
    typical, sigma = np.linspace(2.5, 3.5, 106), np.tile([1.5, 4.0], 53)
    typical, sigma = np.sqrt(typical * typical[fitting._MIRROR]), np.sqrt(sigma * sigma[fitting._MIRROR])
    hidden = rng.random((faces, 106)) < (0.15 if kind in (OCCLUDED, TURNED) else 0)
    of_face, own = rng.normal(0, 0.1, (faces, 1)), rng.normal(0, 0.12, (faces, 106)) + 0.6 * hidden
    own -= own.mean(1, keepdims=True)
    eyes = np.exp(rng.normal(np.log(44), 0.1, faces))
    scale = sigma * np.exp(0.8 * own + 1.4 * of_face) * (eyes[:, None] / 44) ** 0.5
    weibull = (-np.log(1 - rng.random((faces, 106)))) ** (1 / SHAPE) / (-np.log(0.32)) ** (1 / SHAPE)
    errors = np.where(kind in (PLAIN, TURNED), scale * weibull, np.nan)
    errors[:, list(unknown)] = np.nan
    known = np.where(hidden, HIDDEN, SEEN) if kind in (OCCLUDED, TURNED) else np.full((faces, 106), UNKNOWN)
    spreads, scores = typical * np.exp(own + of_face), np.full((faces, 106), 0.99 if kind != NO_FACE else 0.05)
    groups = np.array([f"{source} {index // 2}" for index in range(faces)])
    return Readings(source, kind, spreads, scores, errors, known, eyes, eyes, groups)


@pytest.fixture(scope="module")
def sets():
    kinds = (PLAIN, OCCLUDED, TURNED, NO_FACE)
    return [simulated(source, kind, 120, seed, range(100, 104)) for seed, (source, kind) in
            enumerate((source, kind) for source in ("first", "second") for kind in kinds)]  # fmt: skip


def test_the_law_of_the_errors_is_found(sets):
    fitted = fitting.fit(sets, STRIDE)
    assert fitted.own == pytest.approx(0.8, abs=0.1) and fitted.own + fitted.face == pytest.approx(1.4, abs=0.15)
    assert fitted.eyes == pytest.approx(0.5, abs=0.15) and fitted.fitted_on == ("first", "second")
    np.testing.assert_array_equal(fitted.typical_sigma_px, fitted.typical_sigma_px[fitting._MIRROR])
    assert np.isfinite(fitted.typical_sigma_px).all()  # of points that no label knows, too
    assert from_json(fitted.to_json(), 106).fitted_on == fitted.fitted_on


def test_faces_left_out_of_the_fit_lie_within_their_sigmas_as_often_as_claimed(sets):
    pairs = fitting.cross_fitted(sets, STRIDE)
    assert sum(len(one) for one, _ in pairs) == sum(map(len, sets))
    rows = {row["set"]: row for row in sureness.figures(pairs)}
    for name in ("first", "second", "faces turned in depth"):
        assert abs(rows[name]["within 1 sigma %"] - 68) < 3 and abs(rows[name]["within 2 sigma %"] - 95) < 3
        assert rows[name]["without a fifth %"] < -15 and rows[name]["worst tenth"] > 0.6 and rows[name]["hidden"] > 0.92
    assert rows["first, no face"]["score 95 %"] == pytest.approx(0.05) and rows["first"]["score 1 %"] == pytest.approx(0.99)
    for row in sureness.reliability(pairs):
        assert row["68 % within"] == pytest.approx(row["sigma %"], rel=0.15)
        assert row["95 % within"] == pytest.approx(2 * row["sigma %"], rel=0.2)


def test_no_photograph_is_on_both_sides_of_a_fit(sets, monkeypatch):
    trained = []
    monkeypatch.setattr(fitting, "fit", lambda some, stride: trained.append({g for one in some for g in one.groups}) or raw(106, stride))
    tested = fitting.cross_fitted(sets, STRIDE)
    halves = [set(), set()]
    for one, how in tested:
        halves[0 if how is tested[0][1] else 1] |= set(one.groups)
    assert all(not (train & test) and train and test for train, test in zip(trained, halves, strict=True))


def test_claims_that_are_too_bold_are_seen(sets):
    fitted = fitting.fit(sets, STRIDE)
    bold = from_json(fitted.to_json() | {"typical_sigma_px": (fitted.typical_sigma_px / 2).tolist()}, 106)
    row = sureness.figures([(one, bold) for one in sets])[0]
    assert row["within 1 sigma %"] < 45 and row["within 2 sigma %"] < 75


def test_too_little_is_refused_and_what_nothing_is_hidden_in_leaves_visibilities_as_they_are(sets):
    with pytest.raises(ZooError, match="at least 200"):
        fitting.fit([simulated("few", PLAIN, 1, 0)], STRIDE)
    only = fitting.fit([sets[0]], STRIDE)
    assert only.width == raw(106, STRIDE).width and only.threshold > 0


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [([1, 2, 3, 4], [0, 0, 1, 1], 1.0), ([1, 2, 3, 4], [1, 1, 0, 0], 0.0), ([5, 5, 5, 5], [1, 0, 1, 0], 0.5)],
)
def test_auroc(values, positive, expected):
    assert sureness.auroc(np.array(values), np.array(positive, bool)) == expected
    assert np.isnan(sureness.auroc(np.array(values), np.zeros(4, bool)))


def test_a_mesh_of_another_face_in_the_picture_is_not_taken(tmp_path):
    from meshes import ellipsoid_mesh

    mesh = ellipsoid_mesh(300)
    points = readings.remap(mesh)[:, :2]
    sample = Sample(tmp_path / "a.jpg", points, np.ones(106, np.float32), points[:5], "a", "106", points)
    beside = mesh + [500, 0, 0]
    assert readings._own_mesh(sample, {"a.jpg": [beside, mesh]}) is mesh
    assert readings._own_mesh(sample, {"a.jpg": [beside]}) is None and readings._own_mesh(sample, {}) is None
    np.savez(tmp_path / "l.npz", names=np.array(["x/a.jpg", "x/a.jpg"]), mesh=np.stack([beside, mesh]).astype(np.float32))
    assert len(readings.meshes_of([tmp_path / "l.npz"])["a.jpg"]) == 2
    np.savez(tmp_path / "none.npz", names=np.array(["a.jpg"]))
    with pytest.raises(ZooError, match="holds no meshes"):
        readings.meshes_of([tmp_path / "none.npz"])


def test_the_command_fits_a_file_in_place_and_says_what_it_is_worth(tmp_path, capsys):
    path = tmp_path / "mine.tflite"
    shutil.copy(cards.weights_folder(NAME) / "int8.tflite", path)
    before = zoo.load(path).uncertainty
    assert main(["calibrate", str(path), "--json", "--plot", str(tmp_path / "plot.png")]) == 0
    said = json.loads(capsys.readouterr().out)
    rows = {row["set"]: row for row in said["figures"]}
    assert abs(rows["synthetic"]["within 1 sigma %"] - 68) < 6 and set(said["reliability"]) == {str(path)}
    assert rows["flat colours and noise, no face"]["faces"] == 10 and (tmp_path / "plot.png").stat().st_size > 5_000
    after = open_model(path)
    assert after.uncertainty.fitted_on == ("synthetic",) != before.fitted_on
    original = open_model(cards.weights_folder(NAME) / "int8.tflite")
    crop = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    np.testing.assert_array_equal(after.forward_stored(crop), original.forward_stored(crop))
    content = path.read_bytes()
    assert main(["calibrate", str(path), "--check"]) == 0
    assert path.read_bytes() == content and "within 1 sigma %" in capsys.readouterr().out
    for argv, words in (
        ([NAME], "is published int8"),
        ([str(path), "--plot", "a.jpg"], ".png"),
        ([str(tmp_path / "no.tflite")], "no.tflite"),
    ):
        assert terminal.run(main, ["calibrate", *argv]) == 1
        assert words in capsys.readouterr().err


def test_a_runs_uncertainty_lies_beside_its_weights(tmp_path):
    from training.evaluation.calibrate import _write
    from training.learning import runs
    from training.learning.configuration import Configuration

    runs.save_configuration(tmp_path, Configuration("mixed-035-128"), {"data": []})
    assert runs.read_uncertainty(tmp_path) is None
    _write(tmp_path, raw(106, STRIDE))
    assert runs.read_uncertainty(tmp_path).to_json() == raw(106, STRIDE).to_json() == read_json(tmp_path / "uncertainty.json")
