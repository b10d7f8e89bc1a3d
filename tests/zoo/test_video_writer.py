"""What is written plays to its end: decoded again it has every frame, at its time, in its shape, with the sound in its place."""

from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import SIZE, corners, even_times, has_sound, moved, times_of, write_film

from zoo import video_writer
from zoo.errors import ZooError
from zoo.video_reader import open_video
from zoo.video_writer import VideoWriter, fitted, frames_in

SAME = 8.0  # mean difference of levels that two compressions make


def written_again(source, out):
    """Reads a film and writes it; returns the writer."""
    video = open_video(source)
    writer = VideoWriter(out, video.frames_per_s, video.sound_stream)
    for frame in video.frames(with_sound=True):
        writer.add(frame.image, frame.time_s + video.lead_s)
        writer.add_sound(video.sound)
    writer.add_sound(video.sound)
    assert writer.finish() == out
    video.close()
    return writer


def sound_span(path):
    """Returns when a film's sound begins and ends, in seconds."""
    with av.open(str(path)) as film:
        frames = [(frame.time, frame.samples / frame.sample_rate) for frame in film.decode(audio=0)]
    return frames[0][0], frames[-1][0] + frames[-1][1]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("begin_s", [0.0, 12.5])
def test_times_and_sound_stay_together_wherever_they_begin(tmp_path, suffix, begin_s):
    times = [begin_s + time_s for time_s in even_times(45)]
    source = write_film(tmp_path / "source.mkv", times, sound="aac", sound_from_s=begin_s)
    out = tmp_path / f"out{suffix}"
    assert written_again(source, out).sound == "copied"
    np.testing.assert_allclose(times_of(out), even_times(45), atol=2e-3)
    begin, end = sound_span(out)
    assert abs(begin) < 0.08 and end == pytest.approx(45 / 30, abs=0.15)


def test_sound_before_the_first_frame_is_kept_and_the_frames_follow_it(tmp_path):
    source = write_film(tmp_path / "source.mkv", [0.5 + time_s for time_s in even_times(45)], sound="aac", sound_from_s=0.0)
    written_again(source, tmp_path / "out.mkv")
    times = times_of(tmp_path / "out.mkv")
    assert times[0] - sound_span(tmp_path / "out.mkv")[0] == pytest.approx(0.5, abs=0.08) and len(times) == 45


@pytest.mark.parametrize(
    ("kind", "suffix", "codec", "how"),
    [
        (".avi", ".mp4", "mp2", "either"), (".wmv", ".mp4", "wmav2", "converted"), (".wmv", ".mkv", "wmav2", "either"),
        (".mkv", ".mp4", "libopus", "copied"), (".mkv", ".mov", "libopus", "either"), (".avi", ".mp4", "adpcm_ms", "converted"),
        (".avi", ".mp4", "pcm_s16le", "either"), (".mkv", ".mp4", "flac", "copied"), (".mkv", ".mp4", "libmp3lame", "copied"),
    ],
)  # fmt: skip
def test_sound_of_any_codec_comes_along(tmp_path, kind, suffix, codec, how):
    film = "libx264" if kind == ".mkv" else "mpeg4"
    source = write_film(tmp_path / f"source{kind}", even_times(45), codec=film, sound=codec)
    writer = written_again(source, tmp_path / f"out{suffix}")
    assert writer.sound in (("copied", "converted") if how == "either" else (how,)) and has_sound(tmp_path / f"out{suffix}")
    begin, end = sound_span(tmp_path / f"out{suffix}")
    assert abs(begin) < 0.1 and end == pytest.approx(45 / 30, abs=0.2)
    assert len(times_of(tmp_path / f"out{suffix}")) == 45


def test_joined_recordings_are_written_whole_with_their_sound(tmp_path):
    one = write_film(tmp_path / "one.ts", even_times(60), codec="libx264", sound="aac", tune="zerolatency").read_bytes()
    (tmp_path / "joined.ts").write_bytes(2 * one)
    for suffix in (".mp4", ".mkv"):
        written_again(tmp_path / "joined.ts", tmp_path / f"out{suffix}")
        np.testing.assert_allclose(times_of(tmp_path / f"out{suffix}"), even_times(120), atol=2e-3)
        assert sound_span(tmp_path / f"out{suffix}")[1] == pytest.approx(4.0, abs=0.3)


def test_a_film_keeps_the_shape_that_a_player_shows(tmp_path):
    source = write_film(tmp_path / "a.mp4", even_times(5), image=lambda _: corners(), turn=(270, True, False), ratio=Fraction(3, 2))
    written_again(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as film:
        frame = next(film.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (128, 288, 0) and film.streams.video[0].sample_aspect_ratio in (None, 1)
    shown = np.rot90(corners(288), -1)[:, ::-1]
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - shown).mean() < SAME


def test_frames_of_another_shape_are_fitted_between_bars(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", Fraction(10))
    for number, image in enumerate([corners(192, 128), corners(128, 192), corners(96, 64)]):
        writer.add(image, number / 10)
    writer.finish()
    with av.open(str(tmp_path / "a.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    assert [frame.shape for frame in frames] == 3 * [(128, 192, 3)]
    assert np.abs(frames[2] - corners(192, 128)).mean() < SAME
    height, width = 128, round(128 * 128 / 192)
    left = (192 - width) // 2
    inner = frames[1][:height, left : left + width]
    assert frames[1][:, : left - 4].max() < 30 and np.abs(inner - fitted(corners(128, 192), width, height)).mean() < SAME


def test_times_that_are_nearer_than_a_tick_still_rise(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", Fraction(30))
    for number in range(10):
        writer.add(moved(0.0), number * 1e-6)
    writer.finish()
    times = times_of(tmp_path / "a.mp4")
    assert len(times) == 10 and sorted(set(times)) == times


def test_odd_sizes_are_written_and_the_file_is_put_in_place_at_the_end(tmp_path):
    writer = VideoWriter(tmp_path / "odd.mp4", Fraction(25))
    for index in range(5):
        writer.add(np.full((41, 61, 3), 40 * index, np.uint8), index / 25)
        assert not (tmp_path / "odd.mp4").exists()
    assert writer.finish() == tmp_path / "odd.mp4" and len(times_of(tmp_path / "odd.mp4")) == frames_in(tmp_path / "odd.mp4") == 5
    assert len(list(tmp_path.iterdir())) == 1


def test_a_writer_without_frames_writes_nothing(tmp_path):
    assert VideoWriter(tmp_path / "none.mp4", Fraction(25)).finish() is None and not list(tmp_path.iterdir())


def test_names_of_any_kind_can_be_written_to(tmp_path):
    for name in ("12:30:45.mp4", "%d.mp4", "-a.mp4", "http:x.mkv", os.fsdecode(b"caf\xe9.mov")):
        folder = tmp_path / "a:b"
        writer = VideoWriter(folder / name, Fraction(25))
        writer.add(moved(0.0), 0.0)
        assert writer.finish() == folder / name
    assert len(list(folder.iterdir())) == 5


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    reasons = {"file/a.mp4": "cannot write", "folder.mp4": "it is a folder", "a.avi": "must end in"}
    for path, why in reasons.items():
        with pytest.raises(ZooError, match=why):
            VideoWriter(tmp_path / path, Fraction(25))
    writer = VideoWriter(tmp_path / "a.mp4", Fraction(25))
    writer.add(moved(0.0), 0.0)
    monkeypatch.setattr(video_writer, "frames_in", lambda path: 0)  # what was written does not play
    with pytest.raises(ZooError, match="0 of 1 frames can be read back"):
        writer.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.mp4"] and SIZE


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    writer = VideoWriter(tmp_path / "a.mp4", Fraction(25))
    writer.add(moved(0.0), 0.0)

    class Full:
        def mux_one(self, packet):
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    writer._container = Full()
    with pytest.raises(ZooError, match="No space left on device"):
        writer.finish()
    assert not list(tmp_path.iterdir())
