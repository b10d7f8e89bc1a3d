"""A video may be closed at any moment: 500 times in the middle, in several threads, within a time limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 240  # it takes 4 s where nothing else runs
TIMES, THREADS = 500, 4

# In a process of its own: threads that wait for each other for ever end neither by an exception nor by a signal's handler.
CLOSING = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from zoo.video_reader import open_video
from zoo.video_writer import VideoWriter

def closed_after(number):
    video = open_video(sys.argv[1])
    frames = video.frames()
    if number % 3:
        next(frames)
    if number % 50 == 0:  # a writer given up in the middle frees an encoder
        writer = VideoWriter(f"{{sys.argv[2]}}/{{number}}.mp4", video.frames_per_s)
        writer.add(next(frames).image, 0.0)
        writer.abandon()
    video.close()
    return 1

with ThreadPoolExecutor({THREADS}) as pool:
    print(sum(pool.map(closed_after, range({TIMES}))))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A short H.264 film of noise, whose decoder has threads that still work, and log, when it is closed."""
    path, noise = tmp_path_factory.mktemp("clips") / "noise.mp4", np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 192, 192, "yuv420p"
        for _ in range(30):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noise.integers(0, 255, (192, 192, 3), np.uint8), "rgb24")))
        out.mux(stream.encode(None))
    return path


def test_closing_in_the_middle_never_waits_for_ever(clip, tmp_path):
    command = [sys.executable, "-c", CLOSING, str(clip), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.stdout.split() == [str(TIMES)] and done.stderr == "" and not list(tmp_path.iterdir())


def test_no_file_but_one_opens_films_and_pythons_log_callback_is_nowhere():
    """PyAV's callback needs the interpreter's lock, which the thread that closes a decoder may hold."""
    files = [path for top in ("zoo", "training", "tflite", "demo") for path in (ROOT / top).rglob("*.py")]
    sources = {path: path.read_text(encoding="utf-8") for path in files}
    assert not [path for path, text in sources.items() if "logging.set_level(" in text]
    assert [path.name for path, text in sources.items() if "import av" in text] == ["media.py"]
