"""Every frame of every film comes upright, square, at its own rising time from 0, and what does not come is counted."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path

import av
import numpy as np
import pytest
from clips import corners, even_times, moved, write_clip, write_film

from zoo.display_matrix import AS_STORED, placement, square_size
from zoo.errors import ZooError
from zoo.frame_times import RisingTimes
from zoo.video_reader import open_video

SAME = 8.0  # mean difference of levels that compression makes
CASES = Path(__file__).parents[3] / "shared" / "cases" / "video"


def read(source, **options):
    """Returns a film's frames, and what was found out."""
    video = open_video(source, **options)
    frames = list(video.frames())
    video.close()
    return frames, video.condition


def stored(time_s: float) -> np.ndarray:
    return corners()


# ---- upright, square ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", list(product((0, 90, 180, 270), (False, True), (False, True))), ids=str)
def test_all_turns_and_mirrors_are_applied(tmp_path, turn):
    degrees, mirrored, upside_down = turn
    shown = np.rot90(corners(), degrees // 90)
    shown = shown[:, ::-1] if mirrored else shown
    shown = shown[::-1] if upside_down else shown
    path = write_film(tmp_path / "a.mp4", even_times(3), image=stored, turn=turn)
    for source in (path, path.read_bytes()):
        frames, _ = read(source)
        assert frames[0].image.shape == shown.shape and frames[0].image.flags.c_contiguous
        assert np.abs(frames[2].image.astype(int) - shown).mean() < SAME


def test_an_angle_between_goes_to_the_nearest_quarter_and_nonsense_is_left_alone():
    def matrix(*values):
        return np.array(values, np.int32).tobytes()

    one = 1 << 16
    tilted = matrix(round(0.9 * one), round(0.4 * one), 0, round(-0.4 * one), round(0.9 * one), 0, 0, 0, 1 << 30)
    assert placement(tilted) == placement(matrix(*(9 * [0]))) == placement(b"short") == placement(None) == AS_STORED
    picture = np.arange(6).reshape(2, 3)
    quarter = placement(matrix(0, one, 0, -one, 0, 0, 0, 0, 1 << 30))
    assert quarter.apply(picture).tolist() == np.rot90(picture, -1).tolist()


@pytest.mark.parametrize(("ratio", "shape"), [(Fraction(16, 9), (128, 341)), (Fraction(1, 2), (256, 192)), (Fraction(64, 45), (128, 273))])
def test_pixels_become_square(tmp_path, ratio, shape):
    path = write_film(tmp_path / "a.mp4", even_times(3), image=stored, ratio=ratio)
    frames, _ = read(path)
    assert frames[0].image.shape[:2] == shape
    row, column = (side // 4 for side in shape)
    assert np.abs(frames[0].image[row, column].astype(int) - (230, 40, 40)).max() < 30
    turned = write_film(tmp_path / "b.mp4", even_times(3), image=stored, ratio=ratio, turn=(90, False, False))
    assert read(turned)[0][0].image.shape[:2] == shape[::-1]


def test_a_senseless_ratio_counts_as_square():
    for ratio in (None, Fraction(0), Fraction(-1), Fraction(1, 500), Fraction(500)):
        assert square_size(192, 128, ratio) == (192, 128)


def test_frames_may_be_asked_for_smaller(tmp_path):
    path = write_film(tmp_path / "a.mp4", even_times(3), image=stored, ratio=Fraction(2), turn=(90, False, False))
    frames, _ = read(path, max_side_px=96)
    assert frames[0].image.shape == (96, 32, 3)


# ---- the film, not its cover ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_film_is_taken_and_not_the_thumbnail_before_it(tmp_path, suffix):
    for size in (64, 600):
        path = write_film(tmp_path / f"{size}{suffix}", even_times(5), beside=[corners(size, size)])
        frames, _ = read(path)
        assert len(frames) == 5 and np.abs(frames[0].image.astype(int) - moved(0.0)).mean() < SAME


def test_an_attached_cover_alone_is_no_film(tmp_path):
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as out:
        audio = out.add_stream("aac", rate=16_000, layout="mono")
        picture = io.BytesIO()
        from PIL import Image

        Image.fromarray(corners()).save(picture, "JPEG")
        out.add_attachment("cover.jpg", "image/jpeg", picture.getvalue())
        for start in range(0, 16_000, 1024):
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
            block.sample_rate, block.pts, block.time_base = 16_000, start, Fraction(1, 16_000)
            out.mux(audio.encode(block))
        out.mux(audio.encode(None))
    with pytest.raises(ZooError, match="holds (only a cover picture|no video stream)"):
        open_video(path)


# ---- times ----------------------------------------------------------------------------------------------------------------------


def rising(times_s):
    assert all(later > earlier for earlier, later in pairwise(times_s))
    return [round(time_s, 3) for time_s in times_s]


@pytest.mark.parametrize("begin_s", [0.0, 7.25, 4000.0])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_time_0_is_the_first_frame(tmp_path, suffix, begin_s):
    path = write_film(tmp_path / f"late{suffix}", [begin_s + time_s for time_s in even_times(10)], codec="libx264", tune="zerolatency")
    frames, condition = read(path)
    assert rising([frame.time_s for frame in frames]) == pytest.approx(even_times(10), abs=2e-3) and frames[0].time_s == 0
    assert not condition.retimed and not condition.ended_early


def test_joined_recordings_go_on(tmp_path):
    one = write_film(tmp_path / "one.ts", even_times(30), codec="libx264", tune="zerolatency").read_bytes()
    (tmp_path / "joined.ts").write_bytes(3 * one)
    frames, condition = read(tmp_path / "joined.ts")
    assert rising([frame.time_s for frame in frames]) == pytest.approx(even_times(90), abs=2e-3) and condition.joined == 2


def test_a_stream_without_times_has_those_of_its_rate(tmp_path):
    for rate in (30, 50):
        path = write_film(tmp_path / f"raw{rate}.h264", even_times(20, rate), codec="libx264", kind="h264", rate=rate)
        frames, condition = read(path)
        assert rising([frame.time_s for frame in frames]) == pytest.approx(even_times(20, rate), abs=2e-3) and condition.retimed == 20


def test_times_rise_whatever_the_stamps():
    def made(*stamps):
        times = RisingTimes(10)
        found = [times.next(stamp) for stamp in stamps]
        assert found[0] == 0 and all(later > earlier for earlier, later in pairwise(found))
        return [round(time_s, 3) for time_s in found], times.made, times.joined

    assert made(-0.5, -0.4, -0.1) == ([0, 0.1, 0.4], 0, 0)  # below zero; distances stay
    assert made(None, None, 7.0, 7.3, None) == ([0, 0.1, 0.2, 0.5, 0.6], 3, 0)
    assert made(5.0, 5.1, 5.1, 5.2) == ([0, 0.1, 0.125, 0.2], 1, 0)  # twice
    assert made(5.0, 5.3, 5.1, 5.4) == ([0, 0.3, 0.325, 0.4], 1, 0)  # out of order
    assert made(5.0, 6.0, 1.0, 1.5, 0.0) == ([0, 1.0, 1.1, 1.6, 1.7], 0, 2)  # joined twice
    rng = np.random.default_rng(0)
    for _ in range(50):
        made(*(None if rng.random() < 0.2 else float(stamp) for stamp in rng.normal(0, rng.choice([0.01, 1, 1000]), 50)))


def test_a_shape_that_changes_within_is_read_to_its_end(tmp_path):
    wide = write_film(io.BytesIO(), even_times(10), image=stored, codec="libx264", kind="h264").getvalue()
    high = write_film(io.BytesIO(), even_times(10), image=lambda _: corners(128, 192), codec="libx264", kind="h264").getvalue()
    (tmp_path / "turned.h264").write_bytes(wide + high)
    frames, _ = read(tmp_path / "turned.h264")
    assert [frame.image.shape[:2] for frame in frames] == 10 * [(128, 192)] + 10 * [(192, 128)]
    rising([frame.time_s for frame in frames])


# ---- counting -------------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_decoded_is_counted_and_said(tmp_path):
    content = bytearray(write_film(tmp_path / "a.avi", even_times(40), codec="mpeg4", g="1").read_bytes())
    rng = np.random.default_rng(0)
    start = content.find(b"movi") + 4000
    for place in rng.integers(start, len(content) - 2000, 60):
        content[place : place + 40] = bytes(40)
    frames, condition = read(bytes(content))
    assert condition.frames == len(frames) >= 20 and condition.broken + condition.damaged + (40 - len(frames)) > 0
    rising([frame.time_s for frame in frames])


def test_only_wanted_frames_are_made_and_all_are_counted(tmp_path):
    video = open_video(write_clip(tmp_path / "a.mp4", even_times(10)))
    assert [round(30 * frame.time_s) for frame in video.frames(lambda number: number % 4 == 1)] == [1, 5, 9]
    assert video.condition.frames == video.counted_frames == 10
    video.close()


def test_frames_too_large_are_refused(tmp_path):
    path = write_clip(tmp_path / "a.mp4", even_times(2))
    with pytest.raises(ZooError, match="frames of 192 x 192 px; at most 0.01 megapixels are possible"):
        open_video(path, max_megapixels=0.01)


@pytest.mark.skipif(not CASES.is_dir(), reason="these inputs do not come with the project")
@pytest.mark.parametrize(
    ("name", "count", "shape"),
    [
        ("phone_portrait.mp4", 20, (320, 240)), ("hflip.mp4", 20, (192, 192)), ("anamorphic.mp4", 30, (240, 320)),
        ("joined.ts", 90, (192, 192)), ("raw.h264", 20, (192, 192)), ("turned_midway.h264", 30, (320, 192)),
        ("cover.mp4", 20, (192, 192)), ("12_30_45.mp4", 15, (192, 192)),
    ],
)  # fmt: skip
def test_cases_that_were_read_wrongly_once(name, count, shape):
    frames, _ = read(CASES / name)
    assert len(frames) == count and frames[0].image.shape[:2] == shape
    rising([frame.time_s for frame in frames])
