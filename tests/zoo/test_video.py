"""A video comes out as it went in, marked: its times, its turn, its sound; and whatever ends it leaves a file that plays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import SIZE, even_times, has_sound, moved, shift_px, still, times_of, write_clip

from zoo import terminal
from zoo.__main__ import main
from zoo.errors import ZooError
from zoo.images import write_image
from zoo.video_reader import camera_frames, open_video
from zoo.video_writer import VideoWriter

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", even_times(20), sound=True)


def said(capsys, *words, status: int = 0) -> tuple[str, str]:
    assert terminal.run(main, ["video", *map(str, words)]) == status
    found = capsys.readouterr()
    return found.out, found.err


def test_frames_come_with_their_times(clip):
    video = open_video(clip)
    frames = list(video.frames())
    video.close()
    assert [round(frame.time_s, 3) for frame in frames] == [round(time_s, 3) for time_s in even_times(20)]
    assert video.expected_frames == 20 and video.condition.frames == 20 and not video.condition.ended_early and not video.condition.broken
    for frame in frames[::6]:
        assert frame.image.shape == (SIZE, SIZE, 3) and np.abs(frame.image.astype(int) - moved(frame.time_s)).mean() < 6


def test_a_marked_video_keeps_times_size_and_sound(clip, tmp_path, capsys):
    out = tmp_path / "deep" / "marked.mp4"
    _, err = said(capsys, clip, "--out", out)
    assert "20 frames read, 20 with a face, 20 written, 0 skipped; 1 face told apart" in err and f"wrote {out}\n" in err
    assert len(err.strip().splitlines()) == 2
    np.testing.assert_allclose(times_of(out), even_times(20), atol=2e-3)
    assert has_sound(out) and list(out.parent.iterdir()) == [out]
    video = open_video(out)
    marked = next(video.frames()).image
    video.close()
    difference = np.abs(marked.astype(int) - moved(0.0)).max(2)
    assert marked.shape == (SIZE, SIZE, 3) and (difference > 60).sum() > 100  # points were drawn


def test_uneven_times_stay_uneven(tmp_path, capsys):
    times = [0.0, 0.033, 0.1, 0.3, 0.333, 0.7, 0.733, 0.766]
    source = write_clip(tmp_path / "uneven.mkv", times)
    out, _ = said(capsys, source, "--out", tmp_path / "marked.mkv", "--json")
    np.testing.assert_allclose(times_of(tmp_path / "marked.mkv"), times, atol=2e-3)
    np.testing.assert_allclose([json.loads(line)["time_s"] for line in out.splitlines()], times, atol=2e-3)


def test_json_lines_follow_the_face(clip, capsys):
    out, err = said(capsys, clip, "--json", "--scheme", "68", "--no-smoothing")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["frame"] for line in lines] == list(range(20)) and "wrote" not in err
    assert {len(line["faces"]) for line in lines} == {1} and {line["faces"][0]["identity"] for line in lines} == {0}
    assert [line["faces"][0]["found_by"] for line in lines] == ["detector"] + 19 * ["tracking"]
    points = np.array([line["faces"][0]["points"] for line in lines])
    assert points.shape == (20, 68, 2)
    back = points - np.array([shift_px(line["time_s"]) for line in lines])[:, None]
    assert back.mean(1).std(0).max() < 0.8  # pixels


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg writes the turn into the file")
def test_a_turned_video_is_read_upright(clip, tmp_path, capsys):
    turned = tmp_path / "turned.mp4"
    command = ["ffmpeg", "-y", "-loglevel", "error", "-i", clip, "-c", "copy", "-metadata:s:v:0", "rotate=90", turned]
    subprocess.run(command, check=True)
    video = open_video(turned)
    frame = next(video.frames())
    video.close()
    if np.abs(frame.image.astype(int) - moved(0.0)).mean() < 6:
        pytest.skip("this ffmpeg does not write the turn")
    player = subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", turned, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    shown = np.frombuffer(player.stdout, np.uint8).reshape(SIZE, SIZE, 3)
    assert np.abs(frame.image.astype(int) - shown).mean() < 4


def test_a_video_that_ends_early_is_done_as_far_as_it_goes(tmp_path, capsys):
    whole = write_clip(tmp_path / "whole.mkv", even_times(40))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _, err = said(capsys, cut, "--out", tmp_path / "marked.mkv")
    assert "the file ends early: at" in err and "processed as far as it goes" in err
    assert 5 < len(times_of(tmp_path / "marked.mkv")) < 35


def test_damaged_frames_do_not_end_the_video(tmp_path, capsys):
    content = bytearray(write_clip(tmp_path / "whole.mp4", even_times(30)).read_bytes())
    start = content.find(b"mdat")
    for place in range(start + len(content) // 3, start + len(content) // 3 + 3000):
        content[place] = 0
    (tmp_path / "damaged.mp4").write_bytes(content)
    said(capsys, tmp_path / "damaged.mp4", "--out", tmp_path / "marked.mp4")
    assert len(times_of(tmp_path / "marked.mp4")) >= 15


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_leaves_a_video_that_plays(tmp_path):
    source = write_clip(tmp_path / "long.mp4", even_times(600))
    out = tmp_path / "marked.mp4"
    command = [sys.executable, "-m", "zoo", "video", str(source), "--out", str(out), "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(25):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted; what was done until then is kept" in err
    assert 20 <= len(times_of(out)) < 600 and sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "marked.mp4"]


def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, capsys, clip):
    write_image(tmp_path / "picture.png", still())
    (tmp_path / "text.mp4").write_text("nothing")
    (tmp_path / "empty.mp4").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    for words, fault in (
        ([tmp_path / "none.mp4"], "there is no video file"),
        ([tmp_path], "it is a folder"),
        ([tmp_path / "picture.png"], "damaged or of another kind"),
        ([tmp_path / "text.mp4"], "is not a video that can be read"),
        ([tmp_path / "empty.mp4"], "is not a video that can be read"),
        (["987"], "there is no camera 987"),
        ([clip, "--out", tmp_path / "a.avi"], "must end in .mp4, .mkv or .mov"),
        ([clip, "--out", clip], "is the video that is read"),
        ([clip, "--beta", "-1"], "beta must be 0 or more"),
        ([clip, "--max-faces", "0"], "max_faces must be at least 1"),
        ([clip, "--frames", "0"], "--frames must be at least 1"),
        ([clip, "--variant", "nobody"], "nobody"),
    ):
        _, err = said(capsys, *words, *([] if "--out" in words else ["--out", tmp_path / "x.mp4"]), status=1)
        assert len(err.strip().splitlines()) == 1 and fault in err, words
    assert sorted(tmp_path.iterdir()) == before
    assert main(["video"]) == 2 and "no video given" in capsys.readouterr().err


def test_a_writer_takes_odd_sizes_and_puts_the_file_in_place_at_the_end(tmp_path):
    writer = VideoWriter(tmp_path / "odd.mp4", Fraction(25))
    for index in range(5):
        writer.add(np.full((41, 61, 3), 40 * index, np.uint8), index / 25)
        assert not (tmp_path / "odd.mp4").exists()
    assert writer.finish() == tmp_path / "odd.mp4" and len(times_of(tmp_path / "odd.mp4")) == 5
    assert len(list(tmp_path.iterdir())) == 1


def test_a_writer_without_frames_writes_nothing(tmp_path):
    assert VideoWriter(tmp_path / "none.mp4", Fraction(25)).finish() is None and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match="cannot write"):
        VideoWriter(tmp_path / "file" / "a.mp4", Fraction(25))


@pytest.mark.slow
def test_fewer_frames_may_be_asked_for(clip, capsys):
    began = time.monotonic()
    out, _ = said(capsys, clip, "--json", "--frames", "3")
    assert len(out.splitlines()) == 3 and time.monotonic() - began < 30


def test_a_camera_is_followed_until_it_ends(clip, tmp_path, capsys, monkeypatch):
    """No camera is here: OpenCV reads a file as it would read one, in its own order of colours."""
    capture, exists = cv2.VideoCapture, os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/dev/video0" or exists(path))
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: capture(str(clip)))
    frames = list(camera_frames(0))
    assert len(frames) == 20 and np.abs(frames[0].image.astype(int) - moved(0.0)).mean() < 6
    assert all(later.time_s > earlier.time_s for earlier, later in pairwise(frames))
    out, err = said(capsys, "0", "--json", "--frames", "7", "--out", tmp_path / "marked.mp4")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [len(line["faces"]) for line in lines] == 7 * [1] and "7 frames read, 7 with a face, 7 written" in err
    assert len(times_of(tmp_path / "marked.mp4")) == 7

    monkeypatch.setattr(cv2, "VideoCapture", lambda number: capture(str(tmp_path / "none.mp4")))
    _, err = said(capsys, "0", "--json", status=1)
    assert "camera 0 gives no picture" in err and len(err.strip().splitlines()) == 1
