"""How many nearly equal images `mnist_exp.inspect` finds, and how often it is wrong: MNIST with planted copies.

    python benchmarks/near_copies.py [--copies 200] [--seed 2]

Copies of training images ($MNIST_EXP_DATA or the Keras cache), changed in eight ways, are added to the test set. A pair
that was not planted is a false alarm: no two images of MNIST are equal. The same is done with scikit-learn's digits of
8×8, on which nothing was chosen. Last, how many of MNIST's test images share one of the usual 64-bit hashes.
"""

import argparse
import io

import numpy as np
from peer_data import find_data
from PIL import Image

from mnist_exp.inspection import near
from mnist_exp.inspection.parts import Part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args()
    with np.load(find_data()) as file:
        mnist = file["x_train"], file["x_test"]
    from sklearn.datasets import load_digits

    small = (load_digits().images * 15).astype(np.uint8)
    for name, (train, test) in {"MNIST": mnist, "scikit-learn's digits": (small[:1400], small[1400:])}.items():
        measure(name, train, test, min(options.copies, len(train) // 10), np.random.default_rng(options.seed))
    hashes(mnist[1])


def measure(name, train, test, copies, rng):
    kinds = changes(rng)
    planted, origins = [], []
    for kind in kinds.values():
        chosen = rng.choice(len(train), copies, replace=False)
        planted += [kind(train[i]) for i in chosen]
        origins += chosen.tolist()
    found = near.find([part("train", train), part("test", np.concatenate([test, np.stack(planted)]))],
                      [np.zeros(len(train), bool), np.zeros(len(test) + len(planted), bool)])  # fmt: skip
    hits, wrong = set(), []
    for pair, distance in zip(found.pairs, found.distances, strict=True):
        known = [origin(place, len(test), origins) for place in pair]
        if known[0] == known[1]:
            hits |= {row - len(test) for split, row in pair if split == 1 and row >= len(test)}
        else:
            wrong.append(distance)
    print(f"{name}: {len(train) + len(test):,} images and {len(planted):,} copies, {found.seconds:.0f} s")
    for number, kind in enumerate(kinds):
        own = range(number * copies, (number + 1) * copies)
        print(f"| {kind} | {len(hits & set(own)) / copies:.3f} |")
    print(f"false alarms: {len(wrong)}{f', nearest {min(wrong):.3f}' if wrong else ''}")


def hashes(images):
    """Hashes as the package imagehash makes them: N. Krawetz, Looks Like It, 2011."""
    from scipy.fft import dctn

    def small(image, width, height):
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS), float)

    def perceptual(image):
        low = dctn(small(image, 32, 32))[:8, :8]
        return low > np.median(low)

    kinds = {
        "average": lambda image: small(image, 8, 8) > small(image, 8, 8).mean(),
        "difference": lambda image: np.diff(small(image, 9, 8), axis=1) > 0,
        "perceptual": perceptual,
    }
    for name, kind in kinds.items():
        found = np.array([np.packbits(kind(image)).tobytes() for image in images], "V8")
        _, inverse, counts = np.unique(found, return_inverse=True, return_counts=True)
        print(f"{name} hash: shared by {(counts[inverse] > 1).sum():,} of {len(images):,} images")


def origin(place, tests, origins):
    """The image that a place has, or is a copy of."""
    split, row = place
    return (0, origins[row - tests]) if split == 1 and row >= tests else (split, row)


def part(split, x):
    x = x[..., np.newaxis]
    return Part(split, f"x_{split}", x, np.zeros(len(x)), np.arange(len(x)), x)


def changes(rng):
    def compressed(image, quality):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    def shifted(image):
        return np.roll(image, [(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, 1)][rng.integers(6)], axis=(0, 1))

    def as_bytes(values):
        return np.clip(values, 0, 255).astype(np.uint8)

    return {
        "JPEG, quality 75": lambda image: compressed(image, 75),
        "JPEG, quality 40": lambda image: compressed(image, 40),
        "shifted by a pixel": shifted,
        "shifted, then JPEG, quality 75": lambda image: compressed(shifted(image), 75),
        "× 1.3, cut off at 255": lambda image: as_bytes(image * 1.3),
        "× 0.7": lambda image: as_bytes(image * 0.7),
        "+ 30, cut off at 255": lambda image: as_bytes(image + 30.0),
        "noise of deviation 5": lambda image: as_bytes(image + rng.normal(0, 5, image.shape)),
    }


if __name__ == "__main__":
    main()
