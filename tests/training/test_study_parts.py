"""What studies are made of: disturbances have the size they bear, decoders read what they should, times come from where they were taken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.evaluation.faces import drawn_face
from training.studies import decoders, latency, outcome, placements
from zoo.alignment import Alignment, four_points
from zoo.errors import ZooError
from zoo.heatmaps import encode
from zoo.landmarker import load
from zoo.schemes import SCHEMES

SHIPPED = "mixed-035-128"


@pytest.fixture(scope="module")
def faces():
    return [drawn_face(seed) for seed in range(3)]


# ---- placements -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", placements.AMOUNTS)
def test_a_disturbance_is_of_the_size_it_bears(faces, kind):
    sample = faces[0][0]
    four = four_points(sample.five)
    exact, amount = Alignment.from_five(four, 128), 12.0
    for points in placements.disturbed(sample.five, kind, amount):
        found = Alignment.from_five(points, 128)
        turned = np.rad2deg(np.angle(complex(*found.matrix[:, 0]) / complex(*exact.matrix[:, 0])))
        displaced = np.linalg.norm(found.to_crop(four).mean(0) - exact.to_crop(four).mean(0)) / np.linalg.norm(
            found.to_crop(four[0]) - found.to_crop(four[1])
        )
        sizes = {
            "rotation": abs(turned),
            "displacement": 100 * displaced,
            "scale": 100 * abs(np.expm1(abs(np.log(found.scale / exact.scale)))),
        }
        assert sizes.pop(kind) == pytest.approx(amount)
        assert list(sizes.values()) == pytest.approx([0, 0], abs=1e-6)
    assert len({tuple(np.round(points, 6).ravel()) for points in placements.disturbed(four, kind, amount)}) in (2, 4)


def test_what_is_carried_grows_with_the_amount_and_is_exact_for_a_displacement(faces):
    sample = faces[1][0]
    five, truth = sample.five, sample.image_points
    shift = 0.1 * np.linalg.norm(five[0] - five[1]) / np.linalg.norm(np.subtract(*truth[list(SCHEMES["106"].outer_eyes)]))
    assert placements.carried(sample, "displacement", 10) == pytest.approx(shift)
    for kind, amounts in placements.AMOUNTS.items():
        assert (np.diff([placements.carried(sample, kind, amount) for amount in amounts]) > 0).all()


def test_a_box_lays_the_face_where_five_points_do_on_average(faces):
    sample, _ = faces[2]
    alone = placements.mean_box([faces[2]])
    by_box = Alignment.from_five(alone.points(sample, turned=True), 128)
    np.testing.assert_allclose(by_box.matrix, Alignment.from_five(sample.five, 128).matrix, atol=1e-6)  # one face is its own average
    upright = Alignment.from_five(alone.points(sample), 128)
    assert upright.matrix[1, 0] == pytest.approx(0, abs=1e-12) and upright.matrix[0, 0] > 0
    box = upright.to_crop(sample.native_points)
    np.testing.assert_allclose((box.min(0) + box.max(0)) / 2 / 128, alone.centre, atol=1e-9)
    assert np.sqrt(np.prod(np.ptp(box, axis=0))) / 128 == pytest.approx(alone.side)


# ---- decoders -------------------------------------------------------------------------------------------------------------------------


def test_decoders_read_ideal_maps_as_exactly_as_they_can():
    points = np.random.default_rng(0).uniform(6, 26, (106, 2))
    maps = encode(points, 32)
    off = {name: np.linalg.norm(decode(maps) - points, axis=1) for name, decode in decoders.DECODERS.items()}
    assert off[decoders.IN_USE].max() < 0.02
    np.testing.assert_allclose(decoders.expectation(maps, 3), decoders.DECODERS[decoders.IN_USE](maps), atol=1e-5)
    # A cell's centre is at most half a cell off on each axis; a quarter towards the higher neighbour leaves a quarter.
    assert 0.3 < off["highest cell"].max() <= np.hypot(0.5, 0.5) + 1e-6
    assert off["highest cell and a quarter"].max() <= np.hypot(0.25, 0.25) + 1e-6
    assert off["3 x 3 expectation"].mean() > 5 * off["5 x 5 expectation"].mean() > 5 * off[decoders.IN_USE].mean()


def test_the_mirror_image_is_read_back_to_the_same_side(faces):
    sample, image = faces[0]
    find = load(SHIPPED)
    found = decoders.decoded(find, image, sample.five)
    np.testing.assert_allclose(found[decoders.IN_USE], find(image, sample.five).points, atol=1e-6)
    eyes = np.linalg.norm(np.subtract(*sample.image_points[list(SCHEMES["106"].outer_eyes)]))
    # A point put to the wrong side of the face would be off by whole eye distances.
    assert np.linalg.norm(found[decoders.MIRRORED] - found[decoders.IN_USE], axis=1).max() < 0.2 * eyes


def test_times_of_one_run_come_from_the_benchmark(tmp_path):
    def row(model, ms, threads=1, xnnpack="on"):
        return {"model": model, "threads": threads, "xnnpack": xnnpack, "median_ms": ms, "delegated": "9/9", "machine": "a phone"}

    rows = [row("deconv-035-128.open int8", 2.0), row("deconv-035-128.open float32", 4.0), row("mine-int8/int8", 1.5),
            row("mine-int8/float32", 3.0), row("mine-int8/int8", 1.0, threads=2), row("MediaPipe face_landmark", 2.5)]  # fmt: skip
    file = tmp_path / "times.json"
    file.write_text(json.dumps(rows))
    assert latency.latency_of("deconv-035-128.open", file) == latency.Latency(2.0, 4.0, 2.5, "9/9", "one run, a phone")
    assert latency.latency_of("mine", file).int8_ms == 1.5
    assert latency.latency_of("unknown", file).source == ""
    file.write_text("{}")
    with pytest.raises(ZooError, match="holds no rows"):
        latency.latency_of("mine", file)


def test_the_readme_says_what_the_studies_found():
    assert outcome.readme_block() in (outcome.STUDIES.parent.parent / "README.md").read_text()


def test_a_readme_without_a_place_for_findings_is_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("nothing here\n")
    with pytest.raises(ZooError, match=r"README\.md has no place for the findings"):
        outcome.write_readme(tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == "nothing here\n"
