"""What a model is worth on labelled images, for notebooks and scripts."""

import html
from dataclasses import dataclass
from typing import Any

from mnist_exp.data.dataset import Array
from mnist_exp.inference.labelled_images import Images
from mnist_exp.inference.scoring import Scored
from mnist_exp.runtime import notebooks


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The results of a model, or of all models of a sweep, on labelled images.

    Args:
        document: all of it as plain values: `evaluate --json` prints the same.
        scored: the results.
        images: that it was evaluated on.
        warnings: what is to be known of them, in sentences.
    """

    document: dict[str, Any]
    scored: Scored
    images: Images
    warnings: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, float]:
        """Each metric by its name, as the run computes those of its test set."""
        return dict(self.scored.tested)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the accuracy; None where the task has none."""
        found = self.document.get("interval")
        return None if found is None else (found["low"], found["high"])

    @property
    def outputs(self) -> Array:
        """What the model returned, float32 (n, outputs): probabilities, or numbers."""
        return self.scored.prediction.outputs

    @property
    def labels(self) -> Array:
        """What is true of each image, (n, …)."""
        return self.images.y

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"<Evaluation on {len(self.labels):,} {self.images.words()}: {shown}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows. IPython asks for it by this name."""
        measured = self.scored.measured
        rows = notebooks.table(["", ""], [[name, words] for name, words in measured.rows.items()])
        told = "".join(f"<p>{html.escape(text)}</p>" for text in self.warnings)
        title = html.escape(f"{len(self.labels):,} {self.images.words()}")
        return f"<div><b>{title}</b>{told}{rows}{notebooks.table(*measured.shown)}</div>"
