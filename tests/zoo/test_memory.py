"""What a picture takes on its way in is bounded in bytes: in a process of its own, so many for each pixel, whatever the file holds."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.errors import ZooError
from zoo.images import MAX_DECODING_BYTES, MAX_MEGAPIXELS, read_image

ROOT = Path(__file__).parents[2]
SIDE = 4000  # 16 megapixels
# Pillow's own 4 and the result's 3, with two to spare: of the largest picture possible 1 GB with what Python and NumPy take.
MOST_BYTES_A_PIXEL = 9
assert MOST_BYTES_A_PIXEL * MAX_MEGAPIXELS * 1e6 + 100e6 <= 1e9
# The channels' bits and how a PNG calls them; what stands before the pixels.
KINDS = {
    "RGBA": (8, 6, 4, b""),
    "grey with transparency": (8, 4, 2, b""),
    "16-bit grey": (16, 0, 2, b""),
    "16-bit RGBA": (16, 6, 8, b""),
    "palette": (8, 3, 1, b"\xff\x00\x00\x00\x00\xff"),
}


def png(kind, side):
    """A PNG of one colour, made without holding its pixels."""
    bits, colours, width, palette = KINDS[kind]

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer, packed = zlib.compressobj(1), BytesIO()
    for _ in range(side):
        packed.write(packer.compress(b"\0" + bytes(side * width)))
    packed.write(packer.flush())
    tables = chunk(b"PLTE", palette) + chunk(b"tRNS", b"\x00") if palette else b""
    head = struct.pack(">IIBBBBB", side, side, bits, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + tables + chunk(b"IDAT", packed.getvalue()) + chunk(b"IEND", b"")


@pytest.mark.timed
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_takes_so_many_bytes_a_pixel_and_no_more(tmp_path, kind):
    (tmp_path / "a.png").write_bytes(png(kind, SIDE))
    (tmp_path / "small.png").write_bytes(png(kind, 8))
    program = """
import sys
from zoo.images import read_image
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
read_image(sys.argv[1])
before = peak()
read_image(sys.argv[2])
print(peak() - before)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "small.png"), str(tmp_path / "a.png")]
    taken = int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert 3 * SIDE**2 < taken < MOST_BYTES_A_PIXEL * SIDE**2


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG2000"])
def test_a_format_that_decodes_into_several_copies_has_a_lower_limit(monkeypatch, kind):
    packed = BytesIO()
    Image.new("RGB", (64, 64)).save(packed, kind)
    assert read_image(packed.getvalue(), name="a.webp").shape == (64, 64, 3)
    monkeypatch.setattr("zoo.images.MAX_DECODING_BYTES", 12 * 64 * 64)
    with pytest.raises(ZooError, match=f"megapixels as {kind}, which takes .* to decode; at most .* save it as JPEG or PNG"):
        read_image(packed.getvalue(), name="a.webp")


def test_a_jpeg_or_png_of_the_most_megapixels_is_within_the_bound():
    assert 7 * MAX_MEGAPIXELS * 1e6 <= MAX_DECODING_BYTES


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_strips_meet_whatever_the_turn(monkeypatch, turned, rows):
    monkeypatch.setattr("zoo.images._STRIP_PIXELS", 7 * rows)
    pixels = np.random.default_rng(turned).integers(0, 256, (11, 7, 4), np.uint8)
    exif, packed = Image.Exif(), BytesIO()
    exif[0x0112] = turned
    Image.fromarray(pixels).save(packed, "PNG", exif=exif)
    opacity = pixels[..., 3:].astype(np.uint32)
    flat = ((pixels[..., :3] * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)
    expected = {
        1: flat, 2: flat[:, ::-1], 3: flat[::-1, ::-1], 4: flat[::-1], 5: flat.transpose(1, 0, 2), 6: np.rot90(flat, -1),
        7: np.rot90(flat, 2).transpose(1, 0, 2), 8: np.rot90(flat, 1),
    }[turned]  # fmt: skip
    np.testing.assert_array_equal(read_image(packed.getvalue()), expected)


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.parametrize("case", ["rgba_24mp.png", "rgba_99mp.png"])
def test_the_pictures_that_were_found_take_less_than_a_gigabyte(case):
    path = ROOT.parent / "shared" / "cases" / "hostile" / case
    if not path.is_file():
        pytest.skip("the cases are not here")
    program = """
import sys
from zoo.images import read_image
read_image(sys.argv[1])
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000
