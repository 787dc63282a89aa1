"""Whatever a digit is drawn on, and with, a network gets it as MNIST would have made it."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mnist_exp.data.images.files import read_image
from mnist_exp.errors import DataError
from mnist_exp.inference.mnist_style import BOX, INVERTED, REDRAWN, as_mnist, plain

SHAPE = (28, 28, 1)
FEW = settings(max_examples=25, deadline=None)
numbers = st.integers(0, 999)


def page(digit, zoom=6, size=300, top=30, left=40):
    """A digit, light on black, on a page."""
    large = np.asarray(Image.fromarray(digit).resize((28 * zoom, 28 * zoom), Image.Resampling.BICUBIC))
    empty = np.zeros((size, size), np.uint8)
    empty[top : top + len(large), left : left + len(large)] = large
    return empty[..., np.newaxis]


def coloured(grey, paper, ink):
    share = grey / 255
    return np.rint(np.array(paper) * (1 - share) + np.array(ink) * share).astype(np.uint8)


def apart(one, other):
    """The mean difference of two prepared digits, in levels of 255; two of the same class are about 30 apart."""
    return np.abs(one.pixels.astype(int) - other.pixels).mean()


@pytest.fixture(scope="module")
def x(digits):
    return digits[1][0]


def test_mnist_stays_what_it_is_wherever_it_is_put(x):
    for digit in x:
        assert np.array_equal(as_mnist(digit[..., np.newaxis], SHAPE).pixels[..., 0], digit)
    moved = [as_mnist(page(digit, 1, 70), SHAPE).pixels[..., 0] for digit in x]
    # All but the faintest ink is found: what is lost may move the rest by a pixel in a few digits.
    same = [np.abs(one.astype(int) - other).max() < 32 for one, other in zip(moved, x, strict=True)]
    assert np.mean(same) > 0.85
    assert np.abs(np.array(moved, int) - x).mean() < 1.5


def test_inverted_mnist_is_turned_back_and_that_is_said(x):
    for digit in x[::10]:
        found = as_mnist(255 - digit[..., np.newaxis], SHAPE)
        assert np.array_equal(found.pixels[..., 0], digit)
        assert found.notes == (INVERTED,)
    assert as_mnist(x[0][..., np.newaxis], SHAPE).notes == ("as it is",)


@FEW
@given(
    number=numbers, top=st.integers(10, 122), left=st.integers(10, 122)
)  # What touches the border is taken for paper.
def test_place_makes_no_difference(x, number, top, left):
    wanted = as_mnist(page(x[number]), SHAPE)
    assert np.array_equal(as_mnist(page(x[number], top=top, left=left), SHAPE).pixels, wanted.pixels)


@settings(max_examples=8, deadline=None)
@given(zoom=st.integers(3, 14))
def test_size_makes_next_to_no_difference(x, zoom):
    # The edge of a box may fall between two pixels, which moves a digit by one: so the mean of several.
    pairs = [(as_mnist(page(d), SHAPE), as_mnist(page(d, zoom, 28 * zoom + 80), SHAPE)) for d in x[::50]]
    assert np.mean([apart(one, other) for one, other in pairs]) < 5


@FEW
@given(number=numbers)
def test_dark_on_light_is_the_same_and_said(x, number):
    found = as_mnist(255 - page(x[number]), SHAPE)
    assert apart(found, as_mnist(page(x[number]), SHAPE)) == 0
    assert found.notes == (INVERTED, REDRAWN)


COLOURS = {
    "blue on white": ((255, 255, 255), (20, 40, 180), True),
    "yellow on blue": ((20, 30, 90), (250, 230, 60), False),
    "yellow on white": ((255, 255, 255), (250, 230, 0), True),
    "pencil on grey": ((150, 150, 150), (100, 100, 100), True),
    "green on red, equally light": ((200, 60, 60), (40, 134, 60), None),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_make_next_to_no_difference(x, name):
    paper, ink, is_dark = COLOURS[name]
    differences = []
    for digit in x[::50]:
        found = as_mnist(coloured(page(digit), paper, ink), SHAPE)
        differences.append(apart(found, as_mnist(page(digit), SHAPE)))
        assert is_dark is None or (found.notes == (INVERTED, REDRAWN)) == is_dark
    assert np.mean(differences) < 3


def test_uneven_light_noise_and_dirt_make_little_difference(x):
    random = np.random.default_rng(0)
    down, right = np.mgrid[-1:1:300j, -1:1:300j]
    differences = []
    for digit in x[::50]:
        ink = page(digit)[..., 0] / 255
        photo = (190 + 40 * right - 25 * down - 20 * right**2) * (1 - 0.7 * ink) + random.normal(0, 6, ink.shape)
        photo[5:8, 5:8] = 20
        found = as_mnist(photo.clip(0, 255).astype(np.uint8)[..., np.newaxis], SHAPE)
        differences.append(apart(found, as_mnist(page(digit), SHAPE)))
        assert found.notes[0] == INVERTED
    assert np.mean(differences) < 12


@pytest.mark.parametrize("angle", [0, 4])
def test_rules_and_squares_of_paper_are_no_ink(x, angle):
    ruled = Image.new("L", (600, 600), 0)
    for at in range(0, 600, 25):
        ruled.paste(255, (0, at, 600, at + 2))
        ruled.paste(255, (at, 0, at + 2, 600))
    rules = np.asarray(ruled.rotate(angle, Image.Resampling.BICUBIC).crop((150, 150, 450, 450)))[..., np.newaxis] / 255
    squared = (1 - rules) * np.array((245, 244, 240)) + rules * np.array((150, 180, 215))
    differences = []
    for digit in x[::50]:
        ink = page(digit) / 255
        photo = squared * (1 - ink) + np.array((30, 45, 140)) * ink
        differences.append(apart(as_mnist(np.rint(photo).astype(np.uint8), SHAPE), as_mnist(page(digit), SHAPE)))
    assert np.mean(differences) < 12


def test_shadow_on_the_paper_is_no_ink(x):
    down, right = np.mgrid[-1:1:300j, -1:1:300j]
    light = 230 - 70 / (1 + np.exp(-30 * (right + 0.3 * down - 0.4)))
    differences = []
    for digit in x[::50]:
        photo = light * (1 - 0.8 * page(digit)[..., 0] / 255)
        found = as_mnist(np.rint(photo).astype(np.uint8)[..., np.newaxis], SHAPE)
        differences.append(apart(found, as_mnist(page(digit), SHAPE)))
    assert np.mean(differences) < 12


def test_thin_strokes_are_made_as_thick_as_those_of_mnist():
    line = np.full((400, 400, 1), 255, np.uint8)
    line[40:360, 199:202] = 0
    found = as_mnist(line, SHAPE)
    assert found.notes == (INVERTED, "thin strokes thickened", REDRAWN)
    assert (found.pixels > 127).sum() >= 2 * 18


@FEW
@given(number=numbers, zoom=st.integers(1, 5), top=st.integers(0, 40))
def test_digit_lies_in_its_box_with_its_mass_in_the_middle(x, number, zoom, top):
    pixels = as_mnist(page(x[number], zoom, 240, top), SHAPE).pixels[..., 0].astype(float)
    for axis in (0, 1):
        inked = np.flatnonzero(pixels.any(axis=axis))
        assert inked[-1] - inked[0] < 28 * BOX
        centre = (pixels.sum(axis=axis) * np.arange(28)).sum() / pixels.sum()
        # Where the box would leave the image, it is kept inside.
        assert abs(centre - 14) <= 0.52 or inked[0] == 0 or inked[-1] == 27
    assert pixels.max() == 255


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3])),
    levels=st.lists(st.integers(0, 255), min_size=1, max_size=4),
    share=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    shape=st.sampled_from([(28, 28, 1), (32, 20, 3), (8, 8, 4), (1, 1, 1)]),
)
def test_any_array_gives_an_image_or_a_sentence(seed, size, levels, share, shape):
    random = np.random.default_rng(seed)
    image = np.full(size, levels[0], np.uint8)
    image = np.where(random.random(size) < share, random.choice(np.array(levels, np.uint8), size), image)
    for way in (as_mnist, plain):
        try:
            pixels = way(image, shape).pixels
        except DataError as error:
            assert str(error) == "nothing is drawn"
        else:
            assert pixels.shape == shape
            assert pixels.dtype == np.uint8


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("way", [as_mnist, plain])
def test_blank_image_is_told(way, level):
    with pytest.raises(DataError, match="nothing is drawn"):
        way(np.full((100, 80, 3), level, np.uint8), SHAPE)


def test_blank_paper_with_noise_is_told():
    noise = np.random.default_rng(0).normal(200, 5, (300, 300, 1))
    with pytest.raises(DataError, match="nothing is drawn"):
        as_mnist(noise.clip(0, 255).astype(np.uint8), SHAPE)


def test_colour_of_equal_channels_is_grey_exactly(x):
    colour = np.repeat(x[0][..., np.newaxis], 3, axis=2)
    assert np.array_equal(plain(colour, SHAPE).pixels[..., 0], x[0])
    assert np.array_equal(plain(colour, (28, 28, 3)).pixels, colour)


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0)])
def test_ink_on_nothing_is_seen_on_paper_of_the_other_colour(tmp_path, x, ink, paper):
    drawing = np.full((28, 28, 4), ink, np.uint8)
    drawing[..., 3] = x[0]
    content = io.BytesIO()
    Image.fromarray(drawing).save(content, "PNG")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    found = read_image(tmp_path / "a.png", size=None, channels=1, paper="contrast")
    assert np.array_equal(read_image(content.getvalue(), size=None, channels=1, paper="contrast"), found)
    assert np.array_equal(found[..., 0], x[0] if paper == 0 else 255 - x[0])
    # What is trained on has white paper, whatever the ink.
    assert read_image(content.getvalue(), size=None, channels=1).min() == (255 if ink else 0)
    assert read_image(content.getvalue(), size=None, channels=4)[..., 3].max() == 255


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"x" * 50, b"no image at all"])
def test_bytes_that_are_no_image_are_told(content):
    with pytest.raises(DataError, match="the image"):
        read_image(content, size=None, channels=1)
