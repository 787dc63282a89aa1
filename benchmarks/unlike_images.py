"""Which measure tells best that an image is unlike all training images: AUROC against images that are none of them.

    python benchmarks/unlike_images.py RUN_ID [--tracking-uri URI] [--images 600]

The run must be one of data=mnist with a hold-out, as of `python -m mnist_exp.run data.validation=0.1 trainer.epochs=4`.
Every image is a file, made ready as `predict` does it: noise, letters of fonts, two digits on a page, photographs; and
test digits on pages, of which few may be called unlike. All measures see the same 1,000 training and 1,000 held-out
images; a measure's threshold is exceeded by 1 % of the latter. `flagged` is the share of images above it.
"""

import argparse
import json

import numpy as np
import strange_images
from peer_data import find_data

from mnist_exp import commands
from mnist_exp.errors import DataError
from mnist_exp.evaluation import likeness
from mnist_exp.inference import load, preprocessing
from mnist_exp.inference.answers import Ready, ahead, failed
from mnist_exp.inference.inputs.images import Image
from mnist_exp.runtime import imports

FEW = 1000
Scores = dict[str, np.ndarray]


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


class Measures:
    """All measures, fitted on training images.

    Args:
        features: of training images, (n, features).
        outputs: their probabilities, (n, classes).
        labels: theirs, (n,).
        pixels: theirs, (n, height, width, 1).
        held_out: features and pixels of images that were held out, for the scales of the last measure.
        kernel: of the last layer, by which features become logits.
        bias: likewise.
    """

    def __init__(self, features, outputs, labels, pixels, held_out, kernel, bias) -> None:
        self.kernel, self.bias, self.bank = kernel, bias, unit(features)
        self.of_features = self.gaussian(features, labels)
        self.of_logits = self.gaussian(self.centred(outputs), labels)
        self.of_pixels = self.gaussian(likeness.numbers_of(pixels), np.zeros_like(labels))
        self.like = likeness.measure(features, labels, pixels, *held_out)
        self.like_features = likeness.measure(features, labels, None, held_out[0], None)

    @staticmethod
    def centred(outputs):
        logs = np.log(np.maximum(outputs, 1e-38))
        return logs - logs.mean(axis=1, keepdims=True)

    @staticmethod
    def gaussian(rows, labels):
        means = np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])
        spread = np.cov((rows - means[labels]).T)
        ridge = 1e-3 * np.trace(spread) / len(spread) * np.eye(len(spread))
        return means, np.linalg.inv(spread + ridge)

    @staticmethod
    def mahalanobis(rows, means, inverse):
        off = rows[:, np.newaxis] - means
        return np.einsum("ncj,jk,nck->nc", off, inverse, off).min(axis=1)

    def neighbours(self, features, count):
        return 1 - np.sort(unit(features) @ self.bank.T, axis=1)[:, -count]

    def all_of(self, features, outputs, pixels) -> Scores:
        """Return each measure of images: more for those that are less like the training images."""
        logits = features @ self.kernel + self.bias
        highest = logits.max(axis=1)
        return {
            "max softmax": -outputs.max(axis=1),
            "max logit": -highest,
            "energy": -(highest + np.log(np.exp(logits - highest[:, np.newaxis]).sum(axis=1))),
            "Mahalanobis, log-probabilities": self.mahalanobis(self.centred(outputs), *self.of_logits),
            "Mahalanobis, features": self.mahalanobis(features, *self.of_features),
            "nearest of 1,000 features": self.neighbours(features, 1),
            "5th nearest": self.neighbours(features, 5),
            "two numbers of the pixels": self.mahalanobis(likeness.numbers_of(pixels), *self.of_pixels),
            "5 prototypes a class": self.like_features.distances(features, None),
            "these and the pixels (taken)": self.like.distances(features, pixels),
        }


def prepared(reader, files) -> np.ndarray:
    """Return images of files as the network takes them, without those on which nothing is drawn."""

    def ready(image):
        try:
            made = reader.read(image.source)
        except DataError as error:
            return failed(image.path, error)
        return Ready(image.path, made.pixels, made.pixels, made.notes)

    images = (Image(str(number), content) for number, content in enumerate(files))
    return np.stack([each.picture for each in ahead(ready, images) if each.picture is not None])


def auroc(usual: np.ndarray, strange: np.ndarray) -> float:
    """Return how often a strange image has more of a measure than a usual one."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.r_[np.zeros(len(usual)), np.ones(len(strange))], np.r_[usual, strange]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands.add_run(parser)
    parser.add_argument("--images", type=int, default=600, help="of each kind")
    options = parser.parse_args()
    with np.load(find_data()) as file:
        x_train, y_train, x_test = file["x_train"], file["y_train"], file["x_test"]
    run = commands.find(options)
    with imports.quick_imports():
        model = load.of_run(run)
        from mnist_exp.training import outputs, trust
    twin = outputs.with_features(model)
    reader, random = preprocessing.reader(run, (28, 28, 1)), np.random.default_rng(1)
    # Which images were held out does not matter here: the last thousand stand for images that are not looked at.
    count, (known, held_out) = options.images, (x_train[::54][:FEW, ..., None], x_test[-FEW:, ..., None])
    kinds = {
        "test digits": x_test[:-FEW][:3000, ..., None],
        "digits on pages": prepared(reader, (strange_images.page(digit, random) for digit in x_test[:count])),
        "noise": prepared(reader, strange_images.noise(count, random)),
        "letters": prepared(reader, strange_images.letters(count, random)),
        "two digits": prepared(reader, strange_images.two_digits(x_test, count, random)),
        "photographs": prepared(reader, strange_images.photographs(count, random)),
    }
    asked = {name: (*trust.features_of(twin, images), images) for name, images in kinds.items()}
    features, probabilities = trust.features_of(twin, known)
    held = trust.features_of(twin, held_out)
    last = model.layers[-1]
    while hasattr(last, "layers"):
        last = last.layers[-1]
    kernel, bias = (weight.numpy() for weight in (last.kernel, last.bias))
    measures = Measures(features, probabilities, y_train[::54][:FEW], known, (held[0], held_out), kernel, bias)
    scores = {name: measures.all_of(*answer) for name, answer in asked.items()}
    limits = {name: np.quantile(values, 0.99) for name, values in measures.all_of(*held, held_out).items()}
    strange = [name for name in kinds if name not in ("test digits", "digits on pages")]
    head = ["measure", *(f"AUROC {name}" for name in strange), "mean", *(f"flagged {name}" for name in kinds)]
    print(f"| {' | '.join(head)} |")
    print(f"| --- |{' ---: |' * (len(strange) + 1 + len(kinds))}")
    for name, limit in limits.items():
        each = [auroc(scores["test digits"][name], scores[kind][name]) for kind in strange]
        flagged = [(scores[kind][name] > limit).mean() for kind in kinds]
        cells = [f"{value:.3f}" for value in (*each, np.mean(each))] + [f"{share:.1%}" for share in flagged]
        print(f"| {name} | {' | '.join(cells)} |")
    counts = ", ".join(f"{len(images):,} {name}" for name, images in kinds.items())
    print(f"\n{len(json.dumps(measures.like.to_facts())):,} bytes; {counts}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
