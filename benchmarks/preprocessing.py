"""What it is worth to prepare images as those of MNIST were prepared: accuracy on pages of real test digits.

    python benchmarks/preprocessing.py RUN_ID [--tracking-uri URI] [--images 2000]

Real digits of MNIST's test set ($MNIST_EXP_DATA or the Keras cache), drawn on pages of 300×300 at random sizes and
places, dark on light, coloured, noisy, photographed; each page is read once prepared as MNIST was made (mnist) and once
scaled to the model's size (plain; inverted where it is dark on light, so that this is not what is measured).
"""

import argparse
import io
import time

import numpy as np
from peer_data import find_data
from PIL import Image, ImageFilter

from mnist_exp import commands
from mnist_exp.errors import DataError
from mnist_exp.inference import load
from mnist_exp.inference.mnist_style import as_mnist, plain
from mnist_exp.runtime import imports

SIDE = 300
COLOURS = [((250, 240, 200), (20, 40, 160)), ((30, 60, 30), (250, 220, 40)), ((200, 60, 60), (60, 140, 60))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands.add_run(parser)
    parser.add_argument("--images", type=int, default=2000)
    options = parser.parse_args()
    with np.load(find_data()) as file:
        x, y = file["x_test"], file["y_test"]
    run = commands.find(options)
    with imports.quick_imports():
        from mnist_exp.training.predict import predict

        model = load.of_run(run, commands.trusted(options))
    read = predict(model, np.stack([as_mnist(each[..., np.newaxis], (28, 28, 1)).pixels for each in x]))
    logged = run.metrics["test_accuracy"]
    print(f"all {len(x):,} test images as they are: {(read.argmax(axis=1) == y).mean():.4f}; logged {logged:.4f}")
    x, y = x[: options.images], y[: options.images]
    print(f"\n{'pages of ' + format(len(x), ',') + ' digits':<28}  mnist   plain   ms an image (mnist)")
    for name, draw in KINDS.items():
        random = np.random.default_rng(1)
        pages = [draw(each, random) for each in x]
        row, spent = [], 0.0
        for way in (as_mnist, plain):
            began = time.perf_counter()
            ready = [prepared(way, page) for page in pages]
            spent = spent or time.perf_counter() - began
            row.append(f"{(predict(model, np.stack(ready)).argmax(axis=1) == y).mean():.4f}")
        print(f"{name:<28}  {row[0]}  {row[1]}  {1000 * spent / len(x):.1f}", flush=True)


def prepared(way, page):
    try:
        return way(page if page.ndim == 3 else page[..., np.newaxis], (28, 28, 1)).pixels
    except DataError:  # Counts as a mistake: an empty image is not a digit.
        return np.zeros((28, 28, 1), np.uint8)


def somewhere(digit, random, low=2.0, high=8.0):
    zoom = random.uniform(low, high)
    side = round(28 * zoom)
    large = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC))
    top, left = random.integers(0, SIDE - side, 2)
    page = np.zeros((SIDE, SIDE), np.uint8)
    page[top : top + side, left : left + side] = large
    return page


def dark(digit, random):
    return 255 - somewhere(digit, random)


def small(digit, random):
    return 255 - somewhere(digit, random, 1, 2)


def coloured(digit, random):
    share = somewhere(digit, random)[..., np.newaxis] / 255
    paper, ink = np.array(COLOURS[random.integers(len(COLOURS))])
    return np.rint(paper * (1 - share) + ink * share).astype(np.uint8)


def jpeg(digit, random, quality=60):
    return through_jpeg(dark(digit, random), quality)


def noisy(digit, random):
    page = 255 - 0.8 * somewhere(digit, random, 4) + random.normal(0, 12, (SIDE, SIDE))
    return page.clip(0, 255).astype(np.uint8)


def dirty(digit, random):
    page = 255 - somewhere(digit, random, 4)
    for top, left in random.integers(0, SIDE - 3, (12, 2)):
        page[top : top + 3, left : left + 3] = 0
    return page


def blurred(digit, random):
    return np.asarray(Image.fromarray(somewhere(digit, random)).filter(ImageFilter.GaussianBlur(3)))


def photo(digit, random):
    down, right = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    angle = random.uniform(0, 2 * np.pi)
    light = 200 + 30 * (np.cos(angle) * right + np.sin(angle) * down) - 20 * (right**2 + down**2)
    page = light * (1 - 0.75 * somewhere(digit, random, 4) / 255) + random.normal(0, 6, (SIDE, SIDE))
    warm = np.stack([page, 0.97 * page, 0.9 * page], axis=-1)
    return through_jpeg(warm.clip(0, 255).astype(np.uint8), 80)


def through_jpeg(page, quality):
    content = io.BytesIO()
    Image.fromarray(page).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))


KINDS = {
    "light on dark": somewhere,
    "dark on light": dark,
    "small, dark on light": small,
    "coloured": coloured,
    "JPEG, quality 60": jpeg,
    "noisy": noisy,
    "with specks": dirty,
    "blurred": blurred,
    "photo: uneven light, noise": photo,
}

if __name__ == "__main__":
    main()
