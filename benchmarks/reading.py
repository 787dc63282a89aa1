"""How long 60,000 images of 28×28 take to be read, and how much memory: from CSV, and from parquet of PNG files.

    python benchmarks/reading.py FOLDER [--rounds 3] [--images 60000]

The images are the bundled 5,000 digits, again and again; they are written into FOLDER once. Each reader is a process of
its own, in turn. Time and memory are those of the reading alone: imports are made before, and what they take is
subtracted. `csv` and `parquet` are the readers of this package, without the division into train and test.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

READERS = ("csv", "numpy.loadtxt", "pandas", "pyarrow.csv", "parquet", "pyarrow + Pillow")
MEASURED = "measured:"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        print(MEASURED, *measured(options.reader, options.folder))
        return
    write(options.folder, options.images)
    found = {reader: [] for reader in READERS}
    for _ in range(options.rounds):
        for reader in READERS:
            command = [sys.executable, __file__, str(options.folder), "--reader", reader]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[reader].append([float(value) for value in out.rpartition(MEASURED)[2].split()])
    print(f"{'reader':<18} wall s (median)   CPU s   most MB")
    for reader, rows in found.items():
        wall, cpu, most = (statistics.median(column) for column in zip(*rows, strict=True))
        all_of_them = ", ".join(f"{row[0]:.2f}" for row in rows)
        print(f"{reader:<18} {wall:6.2f} ({all_of_them})   {cpu:5.2f}   {most:5.0f}")


def write(folder: Path, images: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mnist_exp.data.images.files import as_png
    from mnist_exp.data.loaders import mnist_5k

    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "train.parquet").exists():
        return
    x, y = mnist_5k().train
    chosen = np.arange(images) % len(y)
    with (folder / "train.csv").open("w") as file:
        file.write(",".join(["label", *(f"pixel{number}" for number in range(784))]) + "\n")
        np.savetxt(file, np.hstack([y[chosen, np.newaxis], x[chosen].reshape(images, -1)]), "%d", ",")
    pictures = [as_png(image[..., np.newaxis]) for image in x]
    column = pa.array([{"bytes": pictures[number], "path": None} for number in chosen.tolist()])
    pq.write_table(pa.table({"image": column, "label": y[chosen].astype(np.int64)}), folder / "train.parquet")


def measured(reader: str, folder: Path) -> tuple[float, float, float]:
    """Return wall time, CPU time and the most memory of a reader."""
    import pandas as pd
    import pyarrow.csv
    import pyarrow.parquet as pq
    from PIL import Image  # noqa: F401  imported here for all

    from mnist_exp.data.formats import csv, parquet, parquet_columns

    table, images = folder / "train.csv", folder / "train.parquet"
    read = {
        "csv": lambda: csv.read(table, options=csv.Options()).train[0],
        "numpy.loadtxt": lambda: np.loadtxt(table, np.uint8, delimiter=",", skiprows=1, quotechar='"'),
        "pandas": lambda: pd.read_csv(table).to_numpy(),
        "pyarrow.csv": lambda: pyarrow.csv.read_csv(table),
        "parquet": lambda: parquet.read(images, parquet_columns.Options()).train[0],
        "pyarrow + Pillow": lambda: by_hand(pq.read_table(images)),
    }[reader]
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    wall, cpu = time.perf_counter(), time.process_time()
    found = read()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert len(found) > 0
    return wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before


def by_hand(table) -> np.ndarray:
    import io

    from PIL import Image

    files = table.column("image").combine_chunks().field("bytes")
    return np.stack([np.asarray(Image.open(io.BytesIO(file.as_py()))) for file in files])


if __name__ == "__main__":
    main()
