"""What each way to quantize costs: size, time, accuracy and changed labels of the exports of one run.

    python -m mnist_exp.run && python benchmarks/quantized.py RUN_ID

The run is that of the baseline on full MNIST; it is in the store of the working folder. Each pair of a format and a way
is a process of its own: `python -m mnist_exp.export RUN_ID --format … --quantize … --json`. Times are of one thread.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mnist_exp.inference.exporting import formats, quantizing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_id")
    options = parser.parse_args()
    rows, used = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for form in ("litert", "onnx"):
            for choice in quantizing.MEANINGS:
                facts = exported(options.run_id, form, choice, Path(folder))
                if choice == next(iter(quantizing.MEANINGS)):
                    rows.append(as_row(form, "none", facts["cost"]["before"]))
                rows.append(as_row(form, choice, facts["cost"]["after"], facts["cost"]))
                used |= facts["versions"]
    head = ["format", "quantized", "MB", "1 image, ms", "200 images, ms", "accuracy", "drop, 95 % interval"]
    head += ["McNemar's p", "labels changed", "more in a batch"]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    print(", ".join(f"{name} {version}" for name, version in used.items()) + f"; {facts['machine']}")


def exported(run_id: str, form: str, choice: str, folder: Path) -> dict:
    file = folder / f"{form}-{choice}{formats.FORMATS[form].suffix}"
    words = ["mnist_exp.export", run_id, "--format", form, "--quantize", choice, "--output", str(file), "--json"]
    done = subprocess.run([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def as_row(form: str, choice: str, side: dict, cost: dict | None = None) -> list[str]:
    row = [form, choice, f"{side['size'] / 1e6:.3f}", f"{side['ms_alone']:.3f}", f"{side['ms_batch']:.1f}"]
    row.append(f"{side['score']:.4f}")
    if cost is None:
        return [*row, "", "", "", ""]
    drop = cost["drop"]
    interval = f"{drop['value']:.4f}, {drop['low']:.4f} to {drop['high']:.4f}"
    return [*row, interval, f"{drop['p']:.2g}", str(len(cost["changed"])), str(len(cost["by_batch"]))]


if __name__ == "__main__":
    main()
