"""The labels that `mnist_exp.inspect` doubts beside those that people found wrong, and beside cleanlab's ranking.

    python benchmarks/label_errors.py RUN_ID [--tracking-uri URI]

A run on the full MNIST. The wrong labels of its test set are those of Northcutt, Athalye, Mueller 2021 (Pervasive Label
Errors in Test Sets, arXiv:2103.14749): 15 of its 10,000 images, to which two or fewer of five people gave the label
(github.com/cleanlab/label-errors, mturk/mnist_mturk.json). For the columns of cleanlab:

    pip install --no-deps --target FOLDER cleanlab termcolor tqdm pandas; PYTHONPATH=FOLDER python benchmarks/…
"""

import argparse

import numpy as np
from peer_data import find_data

from mnist_exp import commands
from mnist_exp.inference import load
from mnist_exp.inspection.labels import judged
from mnist_exp.runtime import imports

WRONG = {947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands.add_run(parser)
    options = parser.parse_args()
    with np.load(find_data()) as file:
        x, y = file["x_test"], file["y_test"].astype(int)
    run = commands.find(options)
    with imports.quick_imports():
        from mnist_exp.training.predict import predict

        model = load.of_run(run, commands.trusted(options))
    probabilities = predict(model, x[..., np.newaxis]).astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    margins, _, confident = judged(y, probabilities)
    ranked = np.argsort(margins, kind="stable")
    ours = ranked[margins[ranked] < 0]
    lists = {"mnist_exp": ours, "mnist_exp, the confident ones": ours[confident[ours]]}
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        print(f"without cleanlab: {error}")
    else:
        for rule in ("prune_by_noise_rate", "confident_learning", "predicted_neq_given"):
            lists[f"cleanlab, {rule}"] = find_label_issues(
                y, probabilities, filter_by=rule, return_indices_ranked_by="normalized_margin"
            )
    print(f"accuracy {(probabilities.argmax(axis=1) == y).mean():.4f}")
    print("| list | images | known wrong ones in it | in its first 20 | of its first 20 in ours |")
    for name, listed in lists.items():
        first = set(listed[:20].tolist())
        known, known_first = len(WRONG & set(listed.tolist())), len(WRONG & first)
        counts = len(listed), known, known_first, len(first & set(ours[:20].tolist()))
        print(f"| {name} | {' | '.join(map(str, counts))} of {len(first)} |")
    print("mnist_exp, first 20:", *ours[:20])


if __name__ == "__main__":
    main()
