"""The study's clips move as they say, its figures are those of known trackers, and its sentences follow from the numbers."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from refusals import assert_refused

from training.__main__ import main
from training.studies import motion, video
from training.studies.motion import Frame
from training.studies.steadiness import Follow, Steadiness, measure
from training.studies.video import MESH, PLAIN_MESH
from training.synthetic.faces import draw_face
from zoo.alignment import Alignment
from zoo.schemes import SCHEMES

FACE = draw_face(11, 256, yaw=0, pitch=0, roll=0)
FIVE = SCHEMES["106"].five_points(FACE.points)
REFERENCE = motion._reference(FIVE).to_crop(FACE.points)
EYES_PX = np.linalg.norm(np.subtract(*REFERENCE[list(SCHEMES["106"].outer_eyes)]))


@pytest.fixture(scope="module")
def clips() -> tuple[list[Frame], list[Frame], list[Frame]]:
    return tuple(list(make(FACE.image, FIVE, 90, 1)) for make in (motion.resting, motion.still, motion.moving))


def true_points(frame: Frame) -> np.ndarray:
    return frame.motion.to_crop(REFERENCE)


def follower(change: Callable[[np.ndarray], np.ndarray] = lambda points: points) -> Callable[[], Follow]:
    return lambda: lambda frame: change(true_points(frame))


def test_pixels_move_as_the_clip_says(clips):
    reference = motion._reference(FIVE).crop(FACE.image)
    for clip in clips:
        for frame in clip[::30]:
            back = np.linalg.inv(np.vstack([frame.motion.matrix, [0, 0, 1]]))[:2]
            found = Alignment(back, motion.SIZE_PX).crop(frame.image)
            middle = slice(100, 300)
            assert np.abs(found[middle, middle].astype(int) - reference[middle, middle]).mean() < 8


def test_clips_are_of_one_length_and_start_the_same_way(clips):
    assert [len(clip) for clip in clips] == [90] * 3
    np.testing.assert_allclose(clips[0][5].to_reference(true_points(clips[0][5])), REFERENCE, atol=1e-9)
    left = motion._reference(FIVE)
    np.testing.assert_allclose(np.linalg.norm(np.diff(left.to_crop(FIVE)[:2], axis=0)), motion._EYES_SHARE * motion.SIZE_PX, atol=1e-6)
    assert len({frame.image.tobytes() for frame in clips[0]}) == 90  # fresh noise in each
    assert np.abs([frame.motion.matrix[:, 2] for frame in clips[2]]).max() > 20


def test_a_perfect_tracker_neither_trembles_nor_lags(clips):
    found = measure(follower(), *clips, EYES_PX)
    assert max(found.resting, found.still, found.moving, abs(found.lag_ms), found.missed) < 1e-6


def test_a_constant_error_is_no_trembling_and_no_lag(clips):
    found = measure(lambda: lambda frame: frame.motion.to_crop(REFERENCE + [3.0, -2.0]), *clips, EYES_PX)
    assert found.resting < 1e-6 and found.moving < 1e-6 and abs(found.lag_ms) < 1e-6


def test_known_noise_is_measured(clips):
    rng = np.random.default_rng(0)
    found = measure(follower(lambda points: points + rng.normal(0, 0.5, points.shape)), *clips, EYES_PX)
    assert found.resting == pytest.approx(100 * 0.5 / EYES_PX, rel=0.1)


@pytest.mark.parametrize("delay", [1, 2])
def test_a_known_delay_is_measured(clips, delay):
    def start() -> Follow:
        held: list[np.ndarray] = []

        def follow(frame: Frame) -> np.ndarray:
            held.append(true_points(frame))
            return held[max(0, len(held) - 1 - delay)]

        return follow

    found = measure(start, *clips, EYES_PX)
    assert found.lag_ms == pytest.approx(1e3 * delay / motion.FRAMES_PER_S, rel=0.1) and found.moving > 1


def test_what_errs_in_step_with_the_place_is_not_late(clips):
    found = measure(follower(lambda points: points + 0.03 * (points - motion.SIZE_PX / 2)), *clips, EYES_PX)
    assert abs(found.lag_ms) < 0.01 and found.moving > 0.4


def test_missed_frames_are_counted_and_do_not_spoil_the_rest(clips):
    numbers = iter(range(1000))
    found = measure(lambda: lambda frame: None if next(numbers) % 5 == 0 else true_points(frame), *clips, EYES_PX)
    assert found.missed == pytest.approx(0.2, abs=0.02) and found.resting < 1e-6 and abs(found.lag_ms) < 1e-6


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:All-NaN slice", "ignore:Degrees of freedom")
def test_a_face_that_is_never_found_is_missed_and_not_late(clips):
    found = measure(lambda: lambda frame: None, *clips, EYES_PX)
    assert found.missed == 1 and found.lag_ms == 0


def test_frames_in_which_somebody_else_is_followed_are_missed(clips):
    numbers = iter(range(1000))
    found = measure(lambda: lambda frame: true_points(frame) + 2 * EYES_PX * (next(numbers) % 5 == 0), *clips, EYES_PX)
    assert found.missed == pytest.approx(0.2, abs=0.02) and found.moving < 1e-6 and abs(found.lag_ms) < 1e-6


# ---- what is said --------------------------------------------------------------------------------------------------------------------


def steadiness(resting: float, moving: float, lag_ms: float) -> list[Steadiness]:
    return [Steadiness(resting + 0.001 * i, resting + 0.001 * i, 1.0, moving + 0.001 * i, lag_ms, 0.0) for i in range(8)]


def said(ours: float, mesh: float, lag_ms: float = 1.0, ms: float = 1.0) -> tuple[str, str, str]:
    found = {f"a, {way}": steadiness(ours, ours, lag_ms) for way in video.WAYS} | {MESH: steadiness(mesh, mesh, 2.0)}
    speed = {(name, count): [value] for count in (1, 4) for name, value in (("a", ms), (MESH, 3.0), (PLAIN_MESH, 2.0))}
    return video.findings(found, speed, ["a"], [str(i) for i in range(8)])


def test_sentences_follow_from_the_figures():
    assert "steadier." in said(0.1, 0.2)[0] and "less steady." in said(0.3, 0.2)[0] and "not to be told apart" in said(0.2, 0.2)[0]
    assert "nearer; the aim, no more lag than the mesh, is met (" in said(0.1, 0.2)[1]
    assert "further off; the aim, no more lag than the mesh, is missed (+3.0 ms, 95 % +3.0..+3.0)" in said(0.3, 0.2, lag_ms=5.0)[1]
    assert "3.00 times the rate of MediaPipe's mesh" in said(0.1, 0.2)[2]
    ends = {ms: said(0.1, 0.2, ms=ms)[2].rpartition("faces, ")[2] for ms in (0.9, 1.2, 2.0)}
    assert ends[0.9] == "is reached against the mesh and is reached against the one without irises."
    assert ends[1.2] == "is reached against the mesh and is not reached against the one without irises."
    assert ends[2.0] == "is not reached against the mesh and is not reached against the one without irises."


def test_speed_rows_compare_within_the_run():
    speed = {(name, count): [value * count] for count in (1, 4) for name, value in (("a", 1.0), (MESH, 3.0), (PLAIN_MESH, 2.0))}
    rows = video.speed_rows(speed)
    assert (
        rows[0]["1 face, frames/s"] == 1000
        and rows[0]["4 faces, of the mesh's rate"] == 3.0
        and rows[1]["1 face, of the mesh's rate"] == 1.0
    )


@pytest.mark.slow
def test_the_study_runs_on_drawn_faces(tmp_path, capsys):
    words = ["--faces", "2", "--seconds", "1.2", "--rounds", "1", "--weights", "mixed-035-128", "--out", str(tmp_path / "found"), "--json"]
    assert main(["study", "video", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"README.md", "table.csv", "results.json", "plot.png"}
    ways = [row["way"] for row in found["tables"]["Steadiness"]]
    assert ways == [*(f"mixed-035-128, {way}" for way in video.WAYS), MESH] and len(found["tables"]["Speed"]) == 3
    tracked = found["tables"]["Steadiness"][1]
    assert 0 < tracked["at rest %"] < 2 and tracked["missed %"] == 0


@pytest.mark.parametrize(
    ("words", "fault"),
    [(["--faces", "1"], "2 faces, 1 s and 0 rounds are the least"), (["--seconds", "0.5"], "received"), (["--weights", "nobody"], "nobody"),
     (["--source", "nowhere"], "nowhere")],
)  # fmt: skip
def test_bad_input_is_one_line(words, fault, capsys):
    assert_refused(main, ["study", "video", *words], fault, capsys)
