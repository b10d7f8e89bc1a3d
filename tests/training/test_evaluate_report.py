"""What an evaluation reports follows from its faces: poses, bins, budgets, differences and the worst of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.evaluation import plots, report, sheet
from training.evaluation.faces import drawn_face, known_points, measurable, title
from training.evaluation.measure import Evaluation, evaluate, face_errors
from training.evaluation.mirror import Mirrored
from training.evaluation.models import BUDGETS, Footprint, footprint, resolve
from training.evaluation.yaw import MEAN_HEAD, estimate_yaw_deg, yaw_bins
from training.synthetic.look import sample_shape
from training.synthetic.shape import Pose, project_points
from training.teacher.mesh import mirrored
from zoo import cards
from zoo.alignment import Alignment
from zoo.costs import count
from zoo.errors import ZooError
from zoo.landmarker import Landmarker, Prediction
from zoo.schemes import SCHEMES, to_scheme
from zoo.variants import get

# Every drawn head has its own shape and is seen in perspective; the estimate knows neither.
YAW_MEAN_DEG, YAW_WORST_DEG = 5.0, 18.0


@pytest.fixture(scope="module")
def faces():
    return [drawn_face(seed) for seed in range(8)]


def evaluation(nme, yaw_deg=None, groups=None, model="a", source="a set"):
    """Returns an evaluation of made-up errors."""
    nme = np.array(nme, float)
    parts = {"contour": np.where(np.isfinite(nme), 2 * nme, np.nan), "nose": np.where(np.isfinite(nme), nme / 2, np.nan)}
    names = tuple(f"picture{i}" for i in range(len(nme)))
    yaw = np.zeros(len(nme)) if yaw_deg is None else np.array(yaw_deg, float)
    return Evaluation(model, source, "106", names, tuple(groups or names), nme, nme, 1.4 * nme, nme / 1.6, parts, yaw,
                      np.zeros((len(nme), 106, 2)))  # fmt: skip


# ---- yaw ------------------------------------------------------------------------------------------------------------------------------


def test_the_mean_head_itself_is_measured_exactly():
    for yaw in (-70, -30, 0, 10, 45):
        angle = np.deg2rad(yaw)
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0]])
        points = np.full((106, 2), np.nan)
        points[list(SCHEMES["106"].core12[:8])] = 300 * MEAN_HEAD @ turn.T + 50
        assert estimate_yaw_deg(points) == pytest.approx(yaw, abs=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_yaw_of_drawn_heads_is_recovered_within_a_few_degrees(scheme):
    rng = np.random.default_rng(0)
    true = rng.uniform(-50, 50, 60)
    poses = [Pose(yaw, rng.normal(0, 8), rng.normal(0, 12), 1.0, (0.0, 0.0), rng.uniform(600, 1800)) for yaw in true]
    points = [to_scheme(project_points(sample_shape(rng), pose)[:, :2], scheme) for pose in poses]
    found = np.array([estimate_yaw_deg(p, scheme) for p in points])
    assert np.abs(found - true).mean() < YAW_MEAN_DEG and np.abs(found - true).max() < YAW_WORST_DEG
    mirrored = [(p * [-1, 1])[SCHEMES[scheme].mirror] for p in points]
    np.testing.assert_allclose([estimate_yaw_deg(p, scheme) for p in mirrored], -found, atol=1e-6)


def test_yaw_follows_neither_roll_nor_size_nor_place():
    points = project_points(sample_shape(np.random.default_rng(1)), Pose(30, 5, 0))[:, :2]
    turned = points @ np.array([[0.5, 0.6], [-0.6, 0.5]]) * 7 + 1000
    assert estimate_yaw_deg(turned) == pytest.approx(estimate_yaw_deg(points), abs=1e-6)


def test_too_few_spots_give_no_yaw():
    known = np.zeros(106, bool)
    known[list(SCHEMES["106"].core12[:5])] = True
    points = np.random.default_rng(0).random((106, 2))
    assert np.isnan(estimate_yaw_deg(points, known=known))
    assert not any(inside.any() for inside in yaw_bins(np.array([np.nan])).values())


def test_every_yaw_lies_in_one_bin():
    yaws = np.array([-90, -45, -44.9, -15, 0, 14.9, 15, 29.9, 30, 45, 60])
    bins = yaw_bins(yaws)
    assert np.sum(list(bins.values()), axis=0).tolist() == [1] * len(yaws)
    assert [int(inside.sum()) for inside in bins.values()] == [2, 3, 2, 4]
    rows = report.yaw_rows(evaluation(np.full(11, 0.03), yaws))
    assert [(row["|yaw| deg"], row["faces"]) for row in rows] == [("< 15", 2), ("15-30", 3), ("30-45", 2), ("> 45", 4)]


# ---- what can be measured -------------------------------------------------------------------------------------------------------------


def test_faces_without_eyes_are_left_out_and_hidden_points_are_not_measured(faces):
    sample, image = faces[0]
    hidden = sample.native_points.copy()
    hidden[[3, 90]] = np.nan
    partly = replace(sample, native_points=hidden)
    assert np.flatnonzero(~known_points(partly)).tolist() == [3, 90]
    blind = sample.native_points.copy()
    blind[66] = np.nan
    kept = measurable([(partly, image), (replace(sample, native_points=blind), image)])
    assert len(kept) == 1 and kept[0][0] is partly
    with pytest.raises(ZooError, match="none of the 1 faces has labelled eyes"):
        measurable([(replace(sample, native_points=blind), image)])
    shifted = sample.image_points + [3, 4]
    shifted[[3, 90]] += 500
    eyes = np.linalg.norm(np.subtract(*sample.image_points[[66, 79]]))
    assert face_errors(shifted, partly).nme == pytest.approx(5 / eyes)
    assert np.isfinite(list(vars(face_errors(shifted, partly)).values())[:4]).all()


def test_part_errors_average_over_the_faces_that_have_the_part():
    result = evaluation([0.02, 0.04, np.inf])
    assert result.parts == {"contour": pytest.approx(0.06), "nose": pytest.approx(0.015)}
    row = report.error_row(result)
    assert (row["missed"], row["core12 % of eyes"], row["median % of eyes"], row["FR@0.08 %"]) == (1, 3.0, 4.0, 33.33)
    assert row["nme % of pupils"] == pytest.approx(4.2) and row["core12 95 %"] is None  # two faces say nothing of an interval


# ---- costs ----------------------------------------------------------------------------------------------------------------------------


def test_a_budget_is_kept_only_if_both_its_limits_are():
    small, large = BUDGETS["100 MFLOP, 2 MB"], BUDGETS["1 GFLOP, 20 MB"]
    assert (small, large) == ((100e6, 2e6), (1e9, 20e6))
    within, slow, heavy = Footprint("file", 50_000_000, 2_000_000), Footprint("file", 50_000_001, 1), Footprint("file", 1, 2_000_001)
    assert within.row()["100 MFLOP, 2 MB"] == "kept" and within.row()["MFLOP"] == 100
    assert [f.row()["100 MFLOP, 2 MB"] for f in (slow, heavy)] == ["exceeded", "exceeded"]
    assert [f.row()["1 GFLOP, 20 MB"] for f in (slow, heavy)] == ["kept", "kept"]
    assert Footprint("file", None, 5).row()["1 GFLOP, 20 MB"] is None


def test_a_published_name_and_its_file_cost_the_same():
    name = cards.published()[0]
    by_name, by_file = footprint(f"{name}:int8"), footprint(str(cards.weights_folder(name) / "int8.tflite"))
    assert (by_name.macs, by_name.size_bytes) == (by_file.macs, by_file.size_bytes) == (count(get(name)).macs, by_name.size_bytes)
    assert resolve(f"{name}:float32").kind == "published float32"


# ---- comparisons ----------------------------------------------------------------------------------------------------------------------


def test_the_first_model_is_what_others_are_compared_with():
    first, second = evaluation([0.03, 0.05, np.inf]), evaluation([0.02, 0.04, 0.09], model="b")
    elsewhere = [replace(result, source="another set") for result in (first, first)]
    rows = report.paired_rows([first, second, replace(elsewhere[0], model="a"), replace(elsewhere[1], model="b")])
    assert [(row["model"], row["against"], row["source"]) for row in rows] == [("b", "a", "a set"), ("b", "a", "another set")]
    assert (rows[0]["faces"], rows[0]["core12 change"], rows[0]["core12 better on %"]) == (2, -1.0, 100)
    assert rows[1]["core12 change"] == 0
    assert report.paired_rows([first]) == []


def test_the_worst_faces_come_first_and_missed_ones_before_them():
    result = evaluation([0.02, np.inf, 0.09, 0.05], yaw_deg=[0, 10, np.nan, -33])
    assert report.worst_faces(result, 3).tolist() == [1, 2, 3]
    rows = report.worst_rows(result, 3)
    assert [row["nme % of eyes"] for row in rows] == [None, 9.0, 5.0]
    assert [row["yaw deg"] for row in rows] == [10, None, -33] and rows[1]["worst part"] == "contour 18.0 %"


class Displaced(Landmarker):
    """Answers with the truth displaced by what it is told for each face."""

    def __init__(self, faces, offsets):
        super().__init__(lambda crop: crop, 128, "displaced")
        self.known = {image.tobytes(): (sample, np.array(by)) for (sample, image), by in zip(faces, offsets, strict=True)}

    def __call__(self, image, five):
        sample, by = self.known[image.tobytes()]
        return Prediction(sample.image_points + by, np.ones(106), five)


def test_the_sheet_shows_truth_and_prediction_of_the_worst(faces):
    offsets = [(0, 0)] * 7 + [(9, 0)]
    result = evaluate(Displaced(faces, offsets), faces, "synthetic", "displaced", "exact")
    picture = sheet.worst_sheet([(result, faces)], count=6)
    assert picture.dtype == np.uint8 and picture.shape[1] == 5 * sheet._TILE_PX
    tile = picture[sheet._HEADING_PX : sheet._HEADING_PX + sheet._TILE_PX, : sheet._TILE_PX].astype(int)
    alignment = Alignment.from_five(faces[7][0].five, sheet._TILE_PX).perturbed(scale=sheet._SHRINK)
    for points, colour in ((result.points[7] - [9, 0], sheet.TRUE_COLOUR), (result.points[7], sheet.FOUND_COLOUR)):
        x, y = np.rint(alignment.to_crop(points[16]) - 0.5).astype(int)
        assert np.abs(tile[y - 1 : y + 2, x - 1 : x + 2] - colour).max(2).min() < 40


def test_a_plot_is_a_picture_of_every_source(tmp_path):
    results = [evaluation(np.linspace(0.01, 0.1, 20), model=model, source=source) for source in ("s", "t") for model in ("a", "b")]
    figure = plots.cumulative_plot(results)
    assert len(figure.axes) == 4
    curves = [line.get_ydata() for panel in figure.axes for line in panel.lines]
    assert len(curves) == 8 and all((np.diff(curve) >= 0).all() for curve in curves)
    first, again = (plots.save(plots.cumulative_plot(results), tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == again and first.startswith(b"\x89PNG")


def test_csv_has_a_line_for_each_face_and_no_path():
    text = report.csv_text([evaluation([0.02, np.inf], [np.nan, 3], source="/some/where/faces.npz")])
    lines = text.splitlines()
    assert lines[0].startswith("model,source,picture,yaw_deg,core12_of_eyes,nme_of_eyes,nme_of_pupils,nme_of_box,contour_of_eyes")
    assert lines[1].startswith("a,faces,picture0,,0.02,") and lines[2].startswith("a,faces,picture1,3.0,inf,") and lines[2].endswith(",,")
    assert Path("/some") not in [Path(part) for part in text.split(",")]


def test_a_source_is_called_by_its_last_name_and_what_was_asked_of_it():
    assert [title(name) for name in ("synthetic", "/a/b/wild_68_val", "data/faces.npz", "../WFLW@test@pose", "x/faces.csv@val")] == [
        "synthetic", "wild_68_val", "faces", "WFLW@test@pose", "faces@val",
    ]  # fmt: skip


def test_two_parts_of_one_set_are_not_taken_for_each_other():
    results = [evaluation([0.03, 0.05], model=m, source=f"faces.csv@{part}") for part in ("val", "test") for m in ("a", "b")]
    records = report.records(results, {model: Footprint("file", 1, 1) for model in "ab"})
    assert [record["paired"] and (record["paired"]["against"], record["paired"]["source"]) for record in records] == [
        None, ("a", "faces@val"), None, ("a", "faces@test"),
    ]  # fmt: skip


def test_a_page_names_models_by_file_and_digest_and_no_folder_of_the_machine():
    path = "/home/somebody/models/some.task"
    results = [evaluation([0.02, 0.03, np.inf], model=path), evaluation([0.04, 0.05, 0.06], model="mixed-035-128")]
    costs = {path: Footprint("MediaPipe's Face Landmarker", None, 4000, "ab" * 32), "mixed-035-128": Footprint("published int8", 5, 6)}
    page = report.page(results, costs, mirror=True)
    assert "somebody" not in page and "`some.task`: MediaPipe's Face Landmarker, SHA-256 `abab" in page
    assert "mirror image" in page and "mirror" not in report.page(results, costs, mirror=False)
    assert "| some.task | a set | 3 | 1 |" in page and r"| \|yaw\| deg |" in page
    widths = [[line.replace(r"\|", "").count("|") for line in part.splitlines() if line.startswith("|")] for part in page.split("## ")]
    assert all(len(set(part)) <= 1 for part in widths)


def test_averaging_with_the_mirror_image_takes_away_what_a_model_does_to_one_side_only(faces):
    class Leaning(Landmarker):
        """Finds every point 3 px too far to the right: in the mirror, to the left."""

        def __init__(self):
            super().__init__(lambda crop: crop, 128)

        def __call__(self, image, five):
            sample, drawn = next(face for face in faces if face[1].shape == image.shape and near(face[1], image))
            points = sample.image_points if np.array_equal(drawn, image) else mirrored(sample.image_points, image.shape[1])
            return Prediction(points + [3.0, 0], np.ones(106, np.float32), five)

        def detect(self, image, **options):
            return [self(image, faces[0][0].five)]

    def near(drawn, image):
        return np.array_equal(drawn, image) or np.array_equal(drawn[:, ::-1], image)

    plain, averaged = (evaluate(find, faces, "synthetic", "leaning", align="exact") for find in (Leaning(), Mirrored(Leaning())))
    assert plain.nme.min() > 0.01 and averaged.nme.max() < 1e-9
    image = faces[0][1]
    np.testing.assert_allclose(Mirrored(Leaning()).detect(image)[0].points, faces[0][0].image_points)
