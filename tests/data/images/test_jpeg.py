"""Which JPEG files are plain: those of every kind that Pillow writes, and no other content at all."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mnist_exp.data.images.jpeg import is_plain

SHAPE = (11, 14, 3)


def jpeg(shape=SHAPE, mode=None, **options):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, shape, np.uint8)
    image = Image.fromarray(pixels[..., 0] if shape[2] == 1 else pixels)
    if "orientation" in options:
        exif = image.getexif()
        exif[0x0112] = options.pop("orientation")
        options["exif"] = exif
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, options.pop("format", "JPEG"), **options)
    return file.getvalue()


PLAIN = jpeg()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"optimize": True}, {"quality": 5}, {"comment": b"hello"}, {"icc_profile": b"x" * 99}],
    ids=lambda options: next(iter(options), "default"),
)
def test_files_of_the_size_and_colours_are_plain(channels, sampling, options):
    shape = (11, 14, channels)
    content = jpeg(shape, subsampling=sampling, **options)
    assert is_plain(content, shape)
    assert not is_plain(content, (11, 14, 4 - channels))
    assert not is_plain(content, (14, 11, channels))


@pytest.mark.parametrize(
    "content",
    [
        jpeg(orientation=1),
        jpeg(orientation=6),
        jpeg(mode="CMYK"),
        jpeg(mode="L"),
        jpeg(format="PNG"),
        jpeg(format="MPO", save_all=True, append_images=[Image.new("RGB", (14, 11))]),
        jpeg(keep_rgb=True),
        b"",
        b"\xff\xd8",
        b"no image",
    ],
    ids=["exif", "turned", "cmyk", "grey", "png", "several", "rgb", "nothing", "start only", "text"],
)
def test_what_decoders_may_read_in_several_ways_is_not_plain(content):
    assert not is_plain(content, SHAPE)


@given(st.binary(max_size=200), st.booleans())
def test_no_content_is_an_error(content, begins_well):
    assert is_plain((b"\xff\xd8" if begins_well else b"") + content, SHAPE) in (True, False)


@given(st.integers(0, len(PLAIN)), st.integers(0, 255))
def test_no_damage_is_an_error(place, value):
    content = bytearray(PLAIN)
    content[place:] = b""
    assert is_plain(bytes(content), SHAPE) in (True, False)
    changed = bytearray(PLAIN)
    changed[min(place, len(PLAIN) - 1)] = value
    assert is_plain(bytes(changed), SHAPE) in (True, False)
