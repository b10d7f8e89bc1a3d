"""What visitors give is judged by its content, limited, decoded in memory, and never written to the disk."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from clips import corners, even_times, write_film
from PIL import Image

from demo import intake
from zoo.errors import ZooError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (40, 60, 3), np.uint8)
_written: list[str] = []
_watching = False


def _watch(event, arguments):
    if _watching and event == "open" and any(letter in str(arguments[1] or "r") for letter in "wxa+"):
        _written.append(str(arguments[0]))


sys.addaudithook(_watch)  # a hook cannot be taken off again; it looks only while it is told to


@pytest.fixture
def nothing_written():
    global _watching
    _written.clear()
    _watching = True
    yield
    _watching = False
    assert not _written


def packed(image, kind, **options):
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind, **options)
    return content.getvalue()


def film(tmp_path, frames, suffix=".mp4", codec="mp4v", size=(320, 240), fps=10):
    path = tmp_path / f"film{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), 255 * index // max(frames - 1, 1), np.uint8))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_pictures_of_every_lossless_kind_come_in_whole(kind, nothing_written):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(intake.read_picture(packed(PICTURE, kind, **options)), PICTURE)


def test_pictures_are_turned_upright_made_opaque_and_brought_to_eight_bits():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert intake.read_picture(packed(PICTURE, "JPEG", exif=exif)).shape == (60, 40, 3)
    clear = np.dstack([PICTURE, np.zeros((40, 60), np.uint8)])
    assert (intake.read_picture(packed(clear, "PNG")) == 255).all()
    assert (intake.read_picture(packed(np.full((9, 9), 65535, np.uint16), "PNG")) == 255).all()
    assert intake.read_picture(packed(PICTURE[..., 0], "PNG")).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (packed(PICTURE, "PNG")[:200], "damaged"),
        (packed(PICTURE, "JPEG")[:400], "damaged"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line_that_names_it(content, reason, nothing_written):
    with pytest.raises(ZooError, match=reason) as error:
        intake.read_picture(content, "'face.png'")
    assert str(error.value).startswith("'face.png'") and "\n" not in str(error.value)


def test_a_picture_too_large_is_refused_by_its_header_or_its_bytes():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side, reason in ((6000, "36 megapixels"), (60_000, "megapixels")):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
        with pytest.raises(ZooError, match=reason):
            intake.read_picture(bomb)
    with pytest.raises(ZooError, match="at most 16 MB"):
        intake.read_picture(b"\0" * (intake.MAX_PICTURE_BYTES + 1))


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG"), (".webm", "VP80")])
def test_a_video_gives_frames_in_order_over_its_whole_length(tmp_path, suffix, codec, request):
    content = film(tmp_path, 60, suffix, codec)
    request.getfixturevalue("nothing_written")
    frames = intake.read_frames(content)
    assert 12 <= len(frames) <= intake.KEPT_FRAMES
    greys = [frame.image.mean() for frame in frames]
    assert greys == sorted(greys) and greys[0] < 20 and greys[-1] > 220
    assert frames[0].time_s == 0 and 5 < frames[-1].time_s < 6
    assert frames[0].image.shape == (240, 320, 3)


def test_frames_are_few_and_small_however_long_and_large_the_video(tmp_path):
    assert len(intake.read_frames(film(tmp_path, 1))) == 1
    assert len(intake.read_frames(film(tmp_path, 5))) == 5
    large = intake.read_frames(film(tmp_path, 3, size=(1920, 1080)))
    assert large[0].image.shape == (540, 960, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n", "not a video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video"),
        (packed(PICTURE, "PNG"), "not a video"),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 500, "not a video"),
    ],
)
def test_what_is_no_video_is_refused(content, reason, nothing_written):
    with pytest.raises(ZooError, match=reason):
        intake.read_frames(content, "'film.mp4'")


def test_a_video_with_frames_too_large_or_too_many_bytes_is_refused(tmp_path, monkeypatch):
    content = film(tmp_path, 2)
    monkeypatch.setattr(intake, "MAX_FRAME_MEGAPIXELS", 0.01)
    with pytest.raises(ZooError, match="320 x 240"):
        intake.read_frames(content)
    monkeypatch.setattr(intake, "MAX_VIDEO_BYTES", 100)
    with pytest.raises(ZooError, match="MB are possible"):
        intake.read_frames(content)


def test_a_phones_video_stands_upright_and_a_thumbnail_is_passed_over(tmp_path):
    upright = np.rot90(corners(192, 128), -1)
    path = write_film(tmp_path / "a.mp4", even_times(40), image=lambda _: corners(192, 128), turn=(270, False, False), beside=[PICTURE])
    for frames in (intake.read_frames(path.read_bytes()), intake.read_clip(path.read_bytes())):
        assert len(frames) > 10 and frames[0].time_s == 0 and all(frame.image.shape == (192, 128, 3) for frame in frames)
        assert np.abs(frames[-1].image.astype(int) - upright).mean() < 8
