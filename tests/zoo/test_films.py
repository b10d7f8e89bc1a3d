"""Every kind of film in the documents' table is read whole: each frame, in order, at its time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import even_times, moved, write_film
from tried_films import FILMS, LAYOUTS, STAMPS, with_tables

from zoo.video_reader import open_video

ROOT = Path(__file__).resolve().parents[2]
COUNT, RATE = 15, 25
SAME = 12.0  # mean difference of levels: some of these codecs compress much
TOLERANCE_S = 2e-3


@pytest.mark.parametrize("film", FILMS, ids=lambda film: f"{film.suffix[1:]}-{film.codec}-{film.container}")
def test_a_film_is_read_whole(tmp_path, film):
    def image(time_s):
        return cv2.resize(moved(time_s), film.size, interpolation=cv2.INTER_AREA)

    times, path = even_times(COUNT, RATE), tmp_path / f"film{film.suffix}"
    fragmented = {"movflags": "frag_keyframe+empty_moov"} if "fragmented" in film.container else {}
    form = {"codec": film.encoder, "kind": film.kind, "rate": RATE, "pixels": film.pixels, "written": fragmented}
    write_film(path, times, image=image, **form, **film.options)
    for source in (path, path.read_bytes()):
        video = open_video(source, "film")
        frames = list(video.frames())
        video.close()
        assert len(frames) == COUNT
        np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=TOLERANCE_S)
        for frame, time_s in zip(frames, times, strict=True):
            expected = image(time_s)
            shown = cv2.resize(frame.image, film.size) if film.suffix in (".dv", ".3gp") else frame.image
            assert shown.shape == expected.shape and np.abs(shown.astype(int) - expected).mean() < SAME
        condition = video.condition
        assert not (condition.broken or condition.damaged or condition.joined or condition.ended_early)
        assert condition.retimed == 0 or film.times != STAMPS or film.suffix == ".avi"


def test_the_documents_tables_are_what_was_tried():
    text = (ROOT / "docs" / "video.md").read_text(encoding="utf-8")
    assert with_tables(text) == text, "write them again: python -m tests.tried_films docs/video.md"
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert all(f"def {test}(" in tests for *_, test in LAYOUTS)
