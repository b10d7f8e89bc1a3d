"""Disturbances do what their sliders say, nothing at rest, and the same to every network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demo import compare, disturb, samples
from demo.disturb import Disturbance

DRAWN = samples.draw_sample("Portrait")
POSITION = compare.find_faces(DRAWN.image)[0]
REFERENCE = disturb.cut_out(DRAWN.image, POSITION)


@pytest.fixture(scope="module")
def finders():
    return {file: compare.open_landmarker(file) for file in compare.model_files()[:2]}


def test_sliders_at_rest_do_nothing(finders):
    assert disturb.degrade(REFERENCE.picture, Disturbance()) is REFERENCE.picture
    for find in finders.values():
        trial = disturb.trial(find, REFERENCE, REFERENCE.picture, Disturbance())
        assert trial.drift_percent.max() == 0


@pytest.mark.parametrize("knob", disturb.KNOBS, ids=lambda knob: knob.field)
def test_every_slider_has_its_neutral_value_on_a_step_within_its_range(knob):
    assert knob.low <= knob.neutral <= knob.high
    for value in (knob.neutral, knob.high):
        assert abs((value - knob.low) / knob.step - round((value - knob.low) / knob.step)) < 1e-9
    assert getattr(Disturbance(), knob.field) == knob.neutral


@pytest.mark.parametrize("knob", disturb.KNOBS, ids=lambda knob: knob.field)
def test_the_far_end_of_every_slider_moves_points(knob, finders):
    end = knob.low if knob.neutral == knob.high else knob.high
    disturbance = replace(Disturbance(), **{knob.field: end})
    picture = disturb.degrade(REFERENCE.picture, disturbance)
    np.testing.assert_array_equal(picture, disturb.degrade(REFERENCE.picture, disturbance))
    find = next(iter(finders.values()))
    assert disturb.trial(find, REFERENCE, picture, disturbance).drift_percent.mean() > 0.2


def test_the_reference_keeps_the_face_where_it_says():
    image_points = DRAWN.truth[0]
    back = REFERENCE.alignment.to_image(REFERENCE.alignment.to_crop(image_points))
    np.testing.assert_allclose(back, image_points, atol=1e-9)
    upright = REFERENCE.position.aligned(256)
    np.testing.assert_allclose(upright.matrix[:, :2], np.eye(2), atol=1e-6)  # as large as a crop of 256 px, and upright


def test_what_the_sliders_say_is_what_happens_to_the_alignment():
    alignment = REFERENCE.position.aligned(128)
    turned = disturb.misalign(alignment, Disturbance(rotation_deg=30))
    assert turned.scale == pytest.approx(alignment.scale)
    angle = np.degrees(np.arctan2(*(turned.matrix[::-1, 0]))) - np.degrees(np.arctan2(*(alignment.matrix[::-1, 0])))
    assert angle == pytest.approx(30)
    assert disturb.misalign(alignment, Disturbance(scale_percent=120)).scale == pytest.approx(1.2 * alignment.scale)
    moved = disturb.misalign(alignment, Disturbance(across_percent=10, down_percent=-20))
    eyes = 0.32 * 128  # the template's eye distance
    np.testing.assert_allclose(moved.to_crop([0, 0]) - alignment.to_crop([0, 0]), [0.1 * eyes, -0.2 * eyes], atol=1e-9)


def test_a_sweep_goes_through_the_whole_range_and_is_at_rest_in_between(finders):
    knob = disturb.KNOBS[0]
    rows = disturb.sweep(finders, REFERENCE, knob, steps=5)
    for file in finders:
        mine = [row for row in rows if row["file"] == file.label]
        assert [row["value"] for row in mine] == sorted({*np.linspace(knob.low, knob.high, 5), knob.neutral})
        assert [row["drift %"] for row in mine if row["value"] == knob.neutral] == [0.0]
        assert max(row["drift %"] for row in mine) > 1
