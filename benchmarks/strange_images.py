"""Images that a network trained on digits should not answer, for `unlike_images.py`: PNG files, as of users."""

import io
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Without those that may be read as digits: B D G I O Q S Z, b g i l o q s z.
LETTERS = "ACEFHJKLMNPRTUVWXYacdefhjkmnprtuvwxy"
SIDE = 200


def png(image: Image.Image) -> bytes:
    """Return an image as a file."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def page(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Return a digit, uint8 (28, 28), dark on a light page."""
    zoom = int(random.integers(2, 6))
    drawn = Image.fromarray(255 - digit).resize((28 * zoom, 28 * zoom), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (SIDE, SIDE), 255)
    sheet.paste(drawn, tuple(int(random.integers(0, SIDE - 28 * zoom + 1)) for _ in range(2)))
    return png(sheet)


def noise(count: int, random: np.random.Generator) -> Iterator[bytes]:
    """Yield noise: each pixel by chance, of the network's size and larger, even and normal."""
    for number in range(count):
        side = 28 if number % 2 else SIDE
        even = random.integers(0, 256, (side, side))
        normal = np.clip(random.normal(128, 40, (side, side)), 0, 255)
        yield png(Image.fromarray((even if number % 4 < 2 else normal).astype(np.uint8)))


def letters(count: int, random: np.random.Generator) -> Iterator[bytes]:
    """Yield letters of the fonts that Matplotlib brings, of any size, slightly turned."""
    fonts = sorted((Path(mpl.get_data_path()) / "fonts" / "ttf").glob("DejaVuS*.ttf"))
    fonts = [font for font in fonts if "Display" not in font.name]
    for number in range(count):
        font = ImageFont.truetype(fonts[int(random.integers(len(fonts)))], int(random.integers(40, 120)))
        sheet = Image.new("L", (SIDE, SIDE), 255)
        ImageDraw.Draw(sheet).text((SIDE / 2, SIDE / 2), LETTERS[number % len(LETTERS)], 0, font, anchor="mm")
        yield png(sheet.rotate(float(random.uniform(-10, 10)), fillcolor=255))


def two_digits(digits: np.ndarray, count: int, random: np.random.Generator) -> Iterator[bytes]:
    """Yield two digits beside each other on one page."""
    for _ in range(count):
        pair = digits[random.integers(0, len(digits), 2)]
        wide = np.concatenate([pair[0][:, 4:24], np.zeros((28, 2), np.uint8), pair[1][:, 4:24]], axis=1)
        sheet = Image.new("L", (SIDE, SIDE), 255)
        sheet.paste(Image.fromarray(255 - wide).resize((wide.shape[1] * 4, 112), Image.Resampling.BICUBIC), (12, 40))
        yield png(sheet)


def photographs(count: int, random: np.random.Generator) -> Iterator[bytes]:
    """Yield parts of the photographs that scikit-learn and Matplotlib bring."""
    from sklearn.datasets import load_sample_images

    hopper = Image.open(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    whole = [Image.fromarray(image) for image in load_sample_images().images] + [hopper]
    for number in range(count):
        image, side = whole[number % len(whole)], int(random.integers(80, 300))
        left, top = (int(random.integers(0, size - side)) for size in image.size)
        yield png(image.crop((left, top, left + side, top + side)))
