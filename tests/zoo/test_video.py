"""A video comes out as it went in, marked: its times, its turn, its sound; and whatever ends it leaves a file that plays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import SIZE, even_times, has_sound, moved, shift_px, still, times_of, write_clip, write_film

from zoo import terminal
from zoo.__main__ import main
from zoo.images import write_image
from zoo.video_reader import camera_frames, open_video

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


def test_names_are_names_and_what_is_printed_is_json(tmp_path, monkeypatch):
    """A name that is no text, or looks like an address or a pattern: in the words of a process of its own, with nothing lost at the end."""
    monkeypatch.chdir(tmp_path)
    for name in (b"caf\xe9.mp4", b"12:30:45.mp4", b"http:x.mp4", b"%d.mp4", b"0"):
        write_clip(tmp_path / "film.mp4", even_times(5)).rename(os.fsdecode(name))
        command = [sys.executable, "-m", "zoo", "video", name, "--json", "--out", b"marked " + name + b".mp4"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        assert [line["frame"] for line in lines] == list(range(5)) and {(line["width"], line["height"]) for line in lines} == {(SIZE, SIZE)}
        assert len(times_of(Path(os.fsdecode(b"marked " + name + b".mp4")))) == 5
        assert b"5 frames read, 5 with a face, 5 written, 0 skipped" in done.stderr and b"wrote marked" in done.stderr


def test_a_phones_video_is_followed_upright_and_written_so(tmp_path, capsys):
    source = write_film(tmp_path / "phone.mp4", even_times(8), image=lambda time_s: np.rot90(moved(time_s)), turn=(270, False, False))
    out, _ = said(capsys, source, "--out", tmp_path / "marked.mp4", "--json", "--no-smoothing")
    points = np.array([json.loads(line)["faces"][0]["points"] for line in out.splitlines()])
    plain, _ = said(capsys, write_clip(tmp_path / "plain.mp4", even_times(8)), "--json", "--no-smoothing")
    expected = np.array([json.loads(line)["faces"][0]["points"] for line in plain.splitlines()])
    assert np.abs(points - expected).mean() < 0.5  # pixels


def test_every_frame_is_accounted_for(tmp_path, capsys):
    one = write_film(tmp_path / "one.ts", even_times(10), codec="libx264", tune="zerolatency").read_bytes()
    (tmp_path / "joined.ts").write_bytes(3 * one)
    _, err = said(capsys, tmp_path / "joined.ts", "--out", tmp_path / "marked.mp4")
    assert "30 frames read" in err and "30 written, 0 skipped" in err and "time stamps jump back 2 times: joined recordings" in err
    np.testing.assert_allclose(times_of(tmp_path / "marked.mp4"), even_times(30), atol=2e-3)
    blank = write_clip(tmp_path / "blank.mp4", even_times(6), image=lambda time_s: np.zeros((SIZE, SIZE, 3), np.uint8))
    _, err = said(capsys, blank, "--out", tmp_path / "marked.mp4")
    assert "6 frames read, 0 with a face, 6 written, 0 skipped; 0 faces told apart" in err
