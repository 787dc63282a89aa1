"""What a model said of some images, for notebooks and scripts."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from mnist_exp.config import wording
from mnist_exp.data.dataset import Array
from mnist_exp.runtime import notebooks

if TYPE_CHECKING:
    import pandas as pd

_MOST_SHOWN = 20


@dataclass(frozen=True, repr=False)
class Predictions(Sequence[dict[str, Any]]):
    """The answers of a model, in the order of the images: each as a line of `predict --json` has it.

    That is `path`, `label`, `probability`, `probabilities`, `preprocessing` and what is known of their confidence; of
    several labels `labels`, of numbers `values`; `path` and `error` for what could not be read.

    Args:
        answers: one an image.
        outputs: what the model returned, float32 (n, outputs): probabilities, or numbers; NaN where there is an error.
        notes: what is to be known of all of them, in sentences.
    """

    answers: list[dict[str, Any]]
    outputs: Array
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.answers)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self.answers[place]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.answers)

    @property
    def labels(self) -> list[Any]:
        """The label of each; None where there is no answer."""
        return [answer.get("label", answer.get("labels")) for answer in self.answers]

    def to_frame(self) -> "pd.DataFrame":
        """Return a row an answer."""
        import pandas as pd

        return pd.DataFrame(self.answers)

    def __repr__(self) -> str:
        failed = sum("error" in answer for answer in self.answers)
        return f"<Predictions for {len(self):,}{f', {failed:,} of them failed' if failed else ''}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows. IPython asks for it by this name."""
        shown = ("path", "label", "labels", "values", "probability", "error")
        head = [name for name in shown if any(name in answer for answer in self.answers)]
        rows = [[_cell(answer.get(name)) for name in head] for answer in self.answers[:_MOST_SHOWN]]
        more = f"<p>… and {len(self) - _MOST_SHOWN:,} more</p>" if len(self) > _MOST_SHOWN else ""
        told = "".join(f"<p>{html.escape(text)}</p>" for text in self.notes)
        return f"<div>{notebooks.table(head, rows)}{more}{told}</div>"


def _cell(value: Any) -> str:
    return "" if value is None else wording.metric(value) if isinstance(value, float) else str(value)
