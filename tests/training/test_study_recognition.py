"""The figures of verification are right, what is said follows from them, and the study runs from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from refusals import assert_refused

from training.__main__ import main
from training.studies import recogniser as recognisers
from training.studies import recognition, verification
from training.studies.pairs import Pairs, Picture
from training.studies.recognition import MESH, NAIVE, Arm
from training.synthetic.faces import draw_face
from zoo.errors import ZooError
from zoo.schemes import SCHEMES

SAME = np.array([True] * 400 + [False] * 400)
FOLDS = np.tile(np.arange(10), 80)


def scores_of(distance: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, 800) + distance * SAME


def test_figures_of_known_distributions():
    scores = scores_of(2.0)
    assert verification.auc(scores, SAME) == pytest.approx(0.921, abs=0.02)  # Phi(2 / sqrt 2)
    assert verification.tenfold_correct(scores, SAME, FOLDS).mean() == pytest.approx(0.841, abs=0.025)  # Phi(1)
    assert verification.tar_at_far(scores, SAME, 0.1) == pytest.approx(0.764, abs=0.06)  # Phi(2 - 1.2816)


def test_perfect_and_senseless_scores():
    perfect, senseless = np.where(SAME, 1.0, 0.0), np.zeros(800)
    assert verification.auc(perfect, SAME) == 1 and verification.tenfold_correct(perfect, SAME, FOLDS).all()
    assert verification.tar_at_far(perfect, SAME, 1e-3) == 1
    assert verification.auc(senseless, SAME) == 0.5 and verification.tar_at_far(senseless, SAME, 1e-2) == 0
    assert verification.tenfold_correct(senseless, SAME, FOLDS).mean() == 0.5


def test_the_far_is_kept():
    scores = scores_of(1.0)
    for far in (0.01, 0.05, 0.2):
        tar = verification.tar_at_far(scores, SAME, far)
        threshold = np.sort(scores[SAME])[::-1][round(tar * 400) - 1]
        assert (scores[~SAME] >= threshold).mean() <= far


def test_a_threshold_never_sees_its_own_fold():
    scores, same, folds = np.array([0.0, 1.0, 10.0, 11.0]), np.array([False, True, False, True]), np.array([0, 0, 1, 1])
    # By the other fold's threshold (10.5, and 0.5) the first fold is all refused and the second all accepted.
    assert verification.tenfold_correct(scores, same, folds).tolist() == [True, False, False, True]


def test_weights_count_as_repetition():
    scores, weights = scores_of(1.5), np.random.default_rng(1).integers(0, 4, 800)
    repeated, same = np.repeat(scores, weights), np.repeat(SAME, weights)
    assert verification.auc(scores, SAME, weights.astype(float)) == pytest.approx(verification.auc(repeated, same))
    assert verification.tar_at_far(scores, SAME, 0.05, weights.astype(float)) == pytest.approx(
        verification.tar_at_far(repeated, same, 0.05)
    )


def test_persons_are_drawn_together():
    indices, persons = np.array([[0, 1], [0, 2], [2, 3]]), np.array([0, 0, 1, 1])
    weights = verification.draw_weights(indices, persons, 200)
    np.testing.assert_array_equal(weights[:, 1], weights[:, 0] * weights[:, 2])
    assert set(weights[:, 0] + weights[:, 2]) == {2.0}
    assert (verification.draw_weights(indices, None, 50).sum(1) == 3).all()


def test_paired_intervals_find_a_small_true_change_and_no_untrue_one():
    weights = verification.draw_weights(np.arange(1600).reshape(-1, 2), None, 200)
    base = scores_of(2.0)
    better, same = base + 0.6 * SAME, base + np.random.default_rng(3).normal(0, 0.01, 800)
    figures = [verification.estimates(some, SAME, FOLDS, weights) for some in (base, better, same)]
    assert figures[1]["AUC"].less(figures[0]["AUC"]).distinct and not figures[2]["AUC"].less(figures[0]["AUC"]).distinct
    for one in figures[0].values():
        assert one.low <= one.value <= one.high or one.high - one.low < 0.2


# ---- points and crops ----------------------------------------------------------------------------------------------------------------


def test_faces_are_laid_on_the_template():
    face = draw_face(3, 256, yaw=0, pitch=0, roll=25)
    five = SCHEMES["106"].five_points(face.points)
    from zoo.alignment import Alignment

    laid = Alignment.from_pairs(five, recognisers.TEMPLATE, recognisers.SIZE)
    off = laid.to_crop(five) - recognisers.TEMPLATE
    assert np.abs(off.mean(0)).max() < 1e-6 and np.linalg.norm(off, axis=1).max() < 8
    assert recognisers.aligned(face.image, five).shape == (112, 112, 3)
    exact = laid.to_image(recognisers.TEMPLATE)
    np.testing.assert_allclose(Alignment.from_pairs(exact, recognisers.TEMPLATE, 112).to_crop(exact), recognisers.TEMPLATE, atol=1e-9)


def test_points_that_coincide_cannot_be_laid():
    with pytest.raises(ZooError, match="do not lie like a face"):
        recognisers.aligned(np.zeros((9, 9, 3), np.uint8), np.full((5, 2), 4.0))


def test_noise_and_bias_are_in_eye_distances_along_the_face():
    points = np.tile([[0.0, 0.0], [0.0, 40.0], [-20.0, 20.0], [-40.0, 5.0], [-40.0, 35.0]], (400, 1, 1))  # turned by 90 degrees
    eyes = np.full(400, 40.0)
    noisy = recognition.disturb(points, eyes, 0.1, 0.0, 0) - points
    assert noisy.std() == pytest.approx(4.0, rel=0.05) and abs(noisy.mean()) < 0.2
    lowered = recognition.disturb(points, eyes, 0.0, 0.05, 0) - points
    np.testing.assert_allclose(lowered[:, :2], 0, atol=1e-9)
    np.testing.assert_allclose(lowered[:, 2:], np.broadcast_to([-2.0, 0.0], (400, 3, 2)), atol=1e-9)


def test_the_plan_covers_every_way():
    ways = recognition.plan([NAIVE, "a", MESH], [NAIVE, "a"])
    assert len(ways) == 3 + 2 * (len(recognition.NOISES) + len(recognition.BIASES)) and len({way[0] for way in ways}) == len(ways)


# ---- recognisers ---------------------------------------------------------------------------------------------------------------------


def test_the_stand_in_gives_unit_vectors_that_know_equal_pictures():
    title, embed = recognisers.open_recogniser(None)
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    vectors = embed(np.concatenate([crops, crops[:1]]))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert title == recognisers.STAND_IN and vectors[0] @ vectors[3] == pytest.approx(1, abs=1e-5) and abs(vectors[0] @ vectors[1]) < 0.5


@pytest.mark.parametrize(
    ("shape", "first"), [([1, 3, 112, 112], True), (["N", 3, 112, 112], True), ([1, 112, 112, 3], False), ([-1, 112, 112, 3], False)]
)
def test_channels_are_found(shape, first, tmp_path):
    assert recognisers._channels_first(shape, tmp_path) is first


def test_recognisers_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(ZooError, match=r"\[1, 3, 96, 112\]; one picture"):
        recognisers._channels_first([1, 3, 96, 112], tmp_path)
    with pytest.raises(ZooError, match="there is no recogniser"):
        recognisers.open_recogniser(str(tmp_path / "a.onnx"))
    (tmp_path / "a.tflite").write_bytes(b"nothing")
    (tmp_path / "a.pt").write_bytes(b"nothing")
    with pytest.raises(ZooError, match="not a TFLite model"):
        recognisers.open_recogniser(str(tmp_path / "a.tflite"))
    with pytest.raises(ZooError, match=r"must be an \.onnx or a \.tflite"):
        recognisers.open_recogniser(str(tmp_path / "a.pt"))


def test_an_onnx_file_without_its_runtime_or_content_says_so(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(ZooError, match="needs onnxruntime|onnxruntime refuses"):
        recognisers.open_recogniser(str(tmp_path / "a.onnx"))


def test_a_tflite_recogniser_gets_its_pixels_normalised(tmp_path, monkeypatch):
    given = []

    def opened(file):
        return [1, 112, 112, 3], lambda batch: given.append(batch) or batch.mean((0, 1, 2))

    monkeypatch.setattr(recognisers, "_open_tflite", opened)
    (tmp_path / "a.tflite").write_bytes(b"")
    _, embed = recognisers.open_recogniser(str(tmp_path / "a.tflite"), "arcface", bgr=True)
    crop = np.zeros((1, 112, 112, 3), np.uint8)
    crop[..., 0] = 255
    embed(crop)
    np.testing.assert_allclose(given[0][0, 0, 0], [-1, -1, 1])


# ---- what is said --------------------------------------------------------------------------------------------------------------------


def arm(name: str, base: str, distance: float, noise: float = 0.0, bias: float = 0.0) -> Arm:
    weights = verification.draw_weights(np.arange(1600).reshape(-1, 2), None, 100)
    scores = scores_of(distance)
    return Arm(name, base, noise, bias, scores, verification.estimates(scores, SAME, FOLDS, weights))


def said(ours: float, noisy: float, recogniser: str = "net") -> tuple[str, str, str]:
    arms = [arm(NAIVE, NAIVE, 3.0), arm("a", "a", ours), arm(MESH, MESH, 3.0), arm("a, noise 0.1", "a", noisy, noise=0.1)]
    return recognition.findings(arms, recogniser)


def test_the_finding_follows_from_the_figures():
    assert "more than noise" in said(4.5, 3.0)[0] and "do help" in said(4.5, 3.0)[2]
    assert "more than noise" in said(1.5, 1.0)[0] and "harm" in said(1.5, 1.0)[2]
    assert "within noise" in said(3.0, 3.0)[0] and "make no difference" in said(3.0, 3.0)[2] and "none of which" in said(3.0, 3.0)[1]
    assert "the first that can be told is 0.1" in said(3.0, 1.0)[1]
    assert "nothing of recognition" in said(3.0, 1.0, recognisers.STAND_IN)[2]


def test_pictures_that_are_not_usable_take_their_pairs_along():
    pictures = tuple(Picture(f"{i}", np.zeros((4, 4, 3), np.uint8)) for i in range(4))
    pairs = Pairs("set", pictures, np.array([[0, 1], [1, 2], [2, 3]]), np.array([True, False, True]), np.zeros(3, int), None)
    kept = pairs.kept(np.array([True, True, True, False]))
    assert kept.indices.tolist() == [[0, 1], [1, 2]] and kept.same.tolist() == [True, False]


@pytest.mark.slow
def test_the_study_runs_on_drawn_persons(tmp_path, monkeypatch, capsys):
    from training.studies import pairs

    monkeypatch.setattr(pairs, "_SYNTHETIC_PERSONS", 20)
    monkeypatch.setattr(pairs, "_SYNTHETIC_PICTURES", 2)
    out = tmp_path / "found"
    assert main(["study", "recognition", "--weights", "mixed-035-128", "--draws", "20", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} == {"README.md", "table.csv", "results.json", "plot.png"}
    assert len(found["tables"]["Ways to align"]) == 3 + 2 * 6 and "nothing of recognition" in found["finding"][2]


@pytest.mark.parametrize(
    ("words", "fault"),
    [(["--pairs", "nowhere"], "possible: synthetic"), (["--weights", "nobody"], "nobody"), (["--draws", "1"], "must be at least 10"),
     (["--recogniser", "none.onnx"], "there is no recogniser")],
)  # fmt: skip
def test_bad_input_is_one_line(words, fault, capsys):
    assert_refused(main, ["study", "recognition", *words], fault, capsys)


def test_who_saw_the_pictures_in_training_is_known_from_the_cards():
    assert "fairface" in recognition._trained_on("mixed-035-128.open:int8")
    assert "wild_68_train" in recognition._trained_on("mixed-035-128.research:float32")
    assert "wild_68_train" not in recognition._trained_on("mixed-035-128.open:int8")
    assert recognition._trained_on(recognition.NAIVE) == set() == recognition._trained_on("a/file.tflite")
