"""One image file: the pixels that a person sees, whatever the file keeps them as."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from mnist_exp.data.images.files import read_image, read_picture
from mnist_exp.errors import DataError

COLOURS = np.zeros((16, 16, 3), np.uint8)
COLOURS[:8], COLOURS[8:] = (200, 30, 40), (10, 220, 120)


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=98, **options)
    return file.getvalue()


def without_adobe(content):
    """Return a JPEG without the marker by which Adobe's programs say that its colours are inverted."""
    start = content.index(b"\xff\xee")
    return content[:start] + content[start + 2 + struct.unpack_from(">H", content, start + 2)[0] :]


def test_a_jpeg_in_cmyk_of_adobe_has_the_colours_that_were_saved():
    content = jpeg(Image.fromarray(COLOURS).convert("CMYK"))
    assert b"Adobe" in content
    np.testing.assert_allclose(read_image(content, size=None, channels=3).astype(int), COLOURS, atol=4)


def test_a_jpeg_in_cmyk_of_others_has_the_colours_that_were_saved():
    """Without Adobe's marker the inks are kept as they are. Pillow 13.0 inverts these files, too: we undo that.

    Source: Adobe's Technical Note 5116, and libjpeg's libjpeg.txt, "CMYK"; Pillow's JpegImagePlugin says of itself
    that it assumes Adobe's convention.
    """
    inks = Image.fromarray(COLOURS).convert("CMYK")
    content = without_adobe(jpeg(Image.eval(inks, lambda value: 255 - value)))  # Pillow inverts as it saves.
    with Image.open(io.BytesIO(content)) as opened:
        assert np.abs(np.asarray(opened.convert("RGB")).astype(int) - COLOURS).max() > 150
    np.testing.assert_allclose(read_image(content, size=None, channels=3).astype(int), COLOURS, atol=4)
    grey = np.asarray(Image.fromarray(COLOURS).convert("L"))
    np.testing.assert_allclose(read_image(content, size=None, channels=1)[..., 0].astype(int), grey, atol=4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "YCbCr", "CMYK", "LAB", "HSV"])
def test_every_mode_of_a_tiff_or_png_is_read_or_told(mode, tmp_path):
    black_and_white = np.zeros((16, 16, 3), np.uint8)
    black_and_white[4:9] = 255
    made = Image.fromarray(black_and_white)
    try:
        made = made.convert(mode)
        made.save(tmp_path / "a.tif")
    except (OSError, ValueError):
        made = Image.fromarray(black_and_white)
        if mode in ("LA", "P"):
            made.convert(mode).save(tmp_path / "a.png")
        else:
            pytest.skip("Pillow writes no such file")
    path = next(tmp_path.iterdir())
    if mode == "LAB":
        with pytest.raises(DataError, match=r"a.tif has colours in LAB.*save it in red, green and blue"):
            read_image(path, size=None, channels=1)
        return
    found = read_image(path, size=None, channels=1)[..., 0]
    np.testing.assert_allclose(found.astype(int), black_and_white[..., 0], atol=3)


def test_transparent_parts_are_paper():
    image = Image.new("LA", (8, 8), (0, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    assert read_image(file.getvalue(), size=None, channels=1).min() == 255
    assert read_image(file.getvalue(), size=None, channels=3).min() == 255


def test_an_image_is_turned_as_its_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees, clockwise.
    made = np.zeros((16, 32), np.uint8)
    made[:, 16:] = 255
    content = jpeg(Image.fromarray(made), exif=exif)
    found = read_image(content, size=None, channels=1)[..., 0]
    assert found.shape == (32, 16)
    assert found[:12].max() < 20
    assert found[-12:].min() > 235


def test_the_values_of_black_and_white_of_a_deep_file_can_be_said():
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(file, "PNG")
    assert read_picture(file.getvalue(), size=None, channels=1).depth == (0, 1023)
    found = read_picture(file.getvalue(), size=None, channels=1, depth=(0.0, 4095.0))
    assert (found.pixels[0, 0, 0], found.depth) == (62, (0, 4095))
