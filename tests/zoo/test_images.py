"""Every usual picture becomes upright RGB uint8; everything else ends in one line that says what was received."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from demo import intake
from zoo import images
from zoo.errors import ZooError
from zoo.images import MAX_MEGAPIXELS, as_rgb, list_images, read_image, write_image

RED, BLUE = (255, 0, 0), (0, 0, 255)
# A JPEG at quality 95 without chroma subsampling keeps flat colours within this.
JPEG_TOLERANCE = 4


def two_halves(width=16, height=8):
    """Red on the left, blue on the right: no turn or mirror maps it onto itself unseen."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = RED, BLUE
    image[0, 0] = (255, 255, 255)
    return image


def one_line(error):
    text = str(error.value)
    return text if text and "\n" not in text else pytest.fail(f"not one line: {text!r}")


def png_header(width, height):
    """A PNG that ends after its header: whoever decodes it fails, whoever reads the header knows its size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (chunk, data))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".PNG"])
def test_lossless_pictures_come_back_as_written(tmp_path, suffix):
    path = write_image(tmp_path / f"a{suffix}", two_halves())
    np.testing.assert_array_equal(read_image(path), two_halves())


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_pictures_come_back_nearly(tmp_path, suffix):
    flat = np.full((32, 32, 3), (200, 120, 60), np.uint8)
    read = read_image(write_image(tmp_path / f"a{suffix}", flat))
    assert np.abs(read.astype(int) - flat).max() <= JPEG_TOLERANCE


@pytest.mark.parametrize("kind", ["GIF", "PPM", "MPO", "JPEG2000", "AVIF"])
def test_formats_that_are_only_read(tmp_path, kind):
    frames = [Image.fromarray(np.full((32, 32, 3), colour, np.uint8)) for colour in ((200, 120, 60), (0, 0, 0))]
    more = {"save_all": True, "append_images": frames[1:]} if kind in ("GIF", "MPO") else {}
    frames[0].save(tmp_path / "a", kind, **more)
    assert np.abs(read_image(tmp_path / "a").astype(int) - (200, 120, 60)).max() <= JPEG_TOLERANCE


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = two_halves()
    # How a camera held that way stores the upright picture: the inverse of what the tag asks for.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright)


def test_grey_and_one_pixel_pictures(tmp_path):
    Image.fromarray(np.full((1, 1), 77, np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.full((1, 1, 3), 77, np.uint8))


def test_transparency_is_laid_over_white(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), [[[255, 0, 0], [255, 255, 255], [127, 127, 127]]])
    Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "la.png")[0, :, 0], [10, 255])


def test_palette_with_a_transparent_colour(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putdata([0, 1])
    palette.save(tmp_path / "a.png", transparency=1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[RED, (255, 255, 255)]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    samples = np.array([[0, 257, 32768, 65535]], np.uint16)
    Image.fromarray(samples).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}")[0, :, 1], [0, 1, 128, 255])


def test_float_tiff_from_zero_to_one_is_scaled_and_others_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0, :, 2], [0, 128, 255])
    Image.fromarray(np.array([[0, 900]], np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(ZooError, match="900") as error:
        read_image(tmp_path / "b.tif")
    one_line(error)


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - RED).max() <= JPEG_TOLERANCE


def damaged_files():
    jpeg = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(jpeg, "JPEG")
    png = BytesIO()
    Image.fromarray(noise).save(png, "PNG")
    return {
        "half.jpg": (jpeg.getvalue()[: len(jpeg.getvalue()) // 2], "truncated"),
        "half.png": (png.getvalue()[: len(png.getvalue()) // 2], "truncated"),
        "start.jpg": (jpeg.getvalue()[:20], "cannot read|not a picture|damaged"),
        "no_pixels.png": (png_header(64, 64), "truncated"),
        "text.jpg": (b"this is no picture\n" * 20, "not a picture"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        "empty.png": (b"", "empty"),
    }


@pytest.mark.parametrize("name", list(damaged_files()))
def test_damaged_files_end_in_one_line_that_names_them(tmp_path, name):
    content, fault = damaged_files()[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ZooError, match=fault) as error:
        read_image(tmp_path / name)
    assert name in one_line(error)


@pytest.mark.parametrize("side", [10_100, 12_000, 60_000])
def test_huge_pictures_are_refused_by_their_header(tmp_path, side, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    with pytest.raises(ZooError, match=f"at most {MAX_MEGAPIXELS}") as error:
        read_image(tmp_path / "bomb.png")
    assert "megapixels" in one_line(error)


@pytest.mark.filterwarnings("error")
def test_large_pictures_within_the_limit_give_no_warning(tmp_path):
    (tmp_path / "large.png").write_bytes(png_header(9_900, 10_000))
    with pytest.raises(ZooError, match="truncated"):
        read_image(tmp_path / "large.png")


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(ZooError, match="there is no file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ZooError, match="is a folder"):
        read_image(tmp_path)


def test_folders_are_searched_sorted_and_without_regard_to_case(tmp_path):
    names = ["b.JPG", "a.png", "deep/er/c.jpeg", "notes.txt", ".hidden.jpg", ".cache/d.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    expected = [tmp_path / name for name in ["a.png", "b.JPG", "deep/er/c.jpeg"]]
    assert list_images(tmp_path) == expected
    # A file that is named comes as it is, and nothing comes twice.
    named = tmp_path / "notes.txt"
    assert list_images([named, tmp_path, expected[0]]) == [named, *expected]


def test_listing_refuses_what_is_missing_or_holds_nothing(tmp_path):
    with pytest.raises(ZooError, match="there is no file or folder"):
        list_images([tmp_path / "none"])
    with pytest.raises(ZooError, match="holds no picture"):
        list_images([tmp_path])


def test_arrays_of_every_usual_kind_become_rgb():
    grey = np.array([[0, 255]], np.uint8)
    expected = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    opaque = np.full((1, 2, 1), 255, np.uint8)
    for array in (grey, grey[..., None], expected, grey.astype(np.uint16) * 257, np.dstack([grey, opaque]), np.dstack([expected, opaque])):
        np.testing.assert_array_equal(as_rgb(array), expected)
    assert as_rgb(expected) is expected or np.shares_memory(as_rgb(expected), expected)
    assert as_rgb(np.zeros((4, 6, 3), np.uint8)[:, ::-1]).flags.c_contiguous


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)), np.zeros((4, 4, 3), bool), np.zeros((4, 4, 5), np.uint8), np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8), np.zeros(4, np.uint8),
    ],
)  # fmt: skip
def test_other_arrays_are_refused_with_their_shape_and_type(array):
    with pytest.raises(ZooError) as error:
        as_rgb(array)
    assert str(array.shape) in one_line(error) and str(array.dtype) in one_line(error)


@pytest.mark.parametrize("value", ["photo.jpg", None, [[1, 2], [3, 4]]])
def test_what_is_no_array_is_refused(value):
    with pytest.raises(ZooError, match=r"read_image|numpy array"):
        as_rgb(value)


def test_writing_is_refused_for_unknown_suffixes_and_leaves_nothing(tmp_path):
    with pytest.raises(ZooError, match=r"a\.gif.*\.png"):
        write_image(tmp_path / "a.gif", two_halves())
    with pytest.raises(ZooError, match="WEBP"):
        write_image(tmp_path / "wide.webp", np.zeros((1, 20_000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def heic(image, **options):
    pillow_heif = pytest.importorskip("pillow_heif")
    content = BytesIO()
    pillow_heif.from_pillow(Image.fromarray(image)).save(content, quality=-1, **options)
    return content.getvalue()


def test_heic_is_read_as_phones_write_it_whatever_it_is_called(tmp_path):
    picture = np.full((48, 64, 3), (200, 120, 60), np.uint8)
    (tmp_path / "a.jpg").write_bytes(heic(picture))
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - picture).max() <= JPEG_TOLERANCE
    (tmp_path / "IMG_1.HEIC").write_bytes(heic(picture))
    assert list_images(tmp_path / "IMG_1.HEIC") == [tmp_path / "IMG_1.HEIC"] and len(list_images(tmp_path)) == 2
    (tmp_path / "cut.heic").write_bytes(heic(picture)[:300])
    with pytest.raises(ZooError, match=r"cut\.heic") as error:
        read_image(tmp_path / "cut.heic")
    one_line(error)


def test_heic_without_its_library_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_heif_opener", lambda: False)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ZooError, match=r"a\.heic is HEIC.*pip install pillow-heif") as error:
        read_image(tmp_path / "a.heic")
    one_line(error)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([[0, 257, 65535]], np.uint16), [0, 1, 255]),
        (np.array([[0, 514, 65535]], np.int32), [0, 2, 255]),
        (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
    ],
)
def test_bytes_are_read_as_files_are_and_as_the_page_does(tmp_path, samples, expected):
    Image.fromarray(samples).save(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    for read in (read_image(tmp_path / "a.tif"), read_image(content), intake.read_picture(content)):
        np.testing.assert_array_equal(read[0, :, 0], expected)


def test_bytes_are_named_as_asked_and_limited_as_asked():
    content = BytesIO()
    Image.new("RGB", (200, 100)).save(content, "PNG")
    assert read_image(content.getvalue()).shape == (100, 200, 3)
    with pytest.raises(ZooError, match=r"yours has 200 x 100 = 0 megapixels; at most 0\.01"):
        read_image(content.getvalue(), name="yours", max_megapixels=0.01)
    with pytest.raises(ZooError, match="yours is empty"):
        read_image(b"", name="yours")


_PEAK = """
import sys
import numpy as np
from zoo.images import read_image
def peak(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
from PIL import Image
Image.open(sys.argv[2]).load()
before = peak()
image = read_image(sys.argv[1])
print((peak() - before) * 2**20 / (image.shape[0] * image.shape[1]))
"""


def test_transparency_takes_few_bytes_a_pixel(tmp_path):
    """It took 42 at first: three visitors of the page with one such picture of 90 KB each 3.2 GB."""
    Image.new("RGBA", (4000, 3000), (10, 20, 30, 90)).save(tmp_path / "large.png")
    Image.new("RGBA", (40, 30), (10, 20, 30, 90)).save(tmp_path / "small.png")
    command = [sys.executable, "-c", _PEAK, tmp_path / "large.png", tmp_path / "small.png"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10


def test_zoo_reads_pictures_by_its_first_name(tmp_path):
    write_image(tmp_path / "a.png", two_halves())
    np.testing.assert_array_equal(zoo.read_image(tmp_path / "a.png"), two_halves())
