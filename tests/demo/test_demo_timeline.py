"""The timeline tells trembling from motion, and gaps from faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import zoo
from demo import charts, samples, timeline
from demo.compare import ModelFile
from demo.intake import CLIP_FRAMES, CLIP_SIDE_PX, read_clip
from zoo.errors import ZooError
from zoo.video_reader import VideoFrame

FILE = ModelFile("mixed-035-128.open", "int8")


def face_points() -> np.ndarray:
    return samples.draw_sample("Smile").truth[0]


def test_noise_is_trembling_and_smooth_motion_is_not():
    points, rng = face_points(), np.random.default_rng(0)
    eyes = np.linalg.norm(points[66] - points[79])
    at = np.arange(120) / 30
    motion = np.stack([0.5 * eyes * np.sin(2 * at), 0.3 * eyes * np.cos(at)], 1)[:, None]
    assert timeline.trembling(points + motion) < 0.05
    noise = rng.normal(0, 0.01 * eyes, (120, 106, 2))
    assert timeline.trembling(points + motion + noise) == pytest.approx(1.0, rel=0.05)


def test_gaps_do_not_count_and_nothing_is_nothing():
    points = np.tile(face_points(), (30, 1, 1))
    points[7], points[20:22] = np.nan, np.nan
    assert timeline.trembling(points) == 0 and timeline.trembling(np.full((30, 106, 2), np.nan)) is None


def test_a_face_that_goes_and_comes_back_leaves_a_gap():
    image = samples.draw_sample("Smile").image
    clip = [VideoFrame(np.zeros_like(image) if 4 <= index < 7 else image, index / 30) for index in range(12)]
    (line,) = timeline.follow({FILE: zoo.load(FILE.path)}, clip).values()
    assert np.isnan(line.scores).tolist() == [4 <= index < 7 for index in range(12)]
    assert line.by_detector == 2 and line.found_share == 0.75
    rows = timeline.chart_rows({FILE: line})
    assert [row["score"] is None for row in rows] == np.isnan(line.scores).tolist()
    chart = charts.timeline(rows, {FILE: "#0072B2"}).to_dict()
    assert chart["encoding"]["color"]["scale"]["domain"] == [FILE.label]
    (row,) = timeline.rows({FILE: line})
    assert row["file"] == FILE.label and row["found %"] == 75 and 0.9 < row["mean score"] <= 1


def test_clips_are_the_first_frames_in_a_row_and_small(tmp_path, monkeypatch):
    path = tmp_path / "film.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (2 * CLIP_SIDE_PX, CLIP_SIDE_PX))
    for index in range(12):
        writer.write(np.full((CLIP_SIDE_PX, 2 * CLIP_SIDE_PX, 3), 20 * index, np.uint8))
    writer.release()
    frames = read_clip(path.read_bytes())
    assert [round(frame.time_s, 3) for frame in frames] == [round(index / 10, 3) for index in range(12)]
    assert all(frame.image.shape == (CLIP_SIDE_PX // 2, CLIP_SIDE_PX, 3) for frame in frames)
    assert [round(float(frame.image.mean()) / 20) for frame in frames] == list(range(12))
    monkeypatch.setattr("demo.intake.CLIP_FRAMES", 5)
    assert len(read_clip(path.read_bytes())) == 5 < CLIP_FRAMES


def test_what_is_no_video_is_refused():
    with pytest.raises(ZooError, match="not a video"):
        read_clip(b"nothing at all")
