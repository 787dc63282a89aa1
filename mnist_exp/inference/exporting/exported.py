"""The result of an export, and whether it is kept."""

from dataclasses import dataclass

from mnist_exp.inference.exporting.cost import Cost
from mnist_exp.inference.exporting.parity import Parity
from mnist_exp.inference.labelled_images import Images
from mnist_exp.tracking.runs import StoredRun


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Args:
        run: whose model it is.
        images: that it was compared on.
        form: name of the format.
        choice: how it was quantized; None if it was not.
        size: size of the exported model, bytes; before it was quantized.
        parity: agreement with the Keras model; with a float32 copy of it if the runtime supports float32 only.
        own_parity: agreement with the Keras model in its own precision, if `parity` is with a copy; otherwise None.
        latencies: (images in the batch, ms in the runtime, ms in Keras), for one image and for a batch.
        cost: of quantizing; None if that was not asked for, or if the model does not agree with Keras before.
        max_drop: largest drop that is allowed; None for any.
    """

    run: StoredRun
    images: Images
    form: str
    choice: str | None
    size: int
    parity: Parity
    own_parity: Parity | None
    latencies: list[tuple[int, float, float]]
    cost: Cost | None
    max_drop: float | None

    @property
    def why_not(self) -> str:
        """Why nothing is written; empty if it is."""
        if not self.parity.is_kept:
            wrong = self.parity.images - self.parity.agreeing - self.parity.ties
            fix = "" if self.choice else ". To allow a larger difference, use --tolerance"
            when = ", before it is quantized" if self.choice else ""
            return (
                f"it does not agree with Keras{when}: {wrong:,} predictions differ, by up to "
                f"{self.parity.difference:.2g} (allowed: {self.parity.tolerance:g}); nothing was written{fix}"
            )
        if self.cost is not None and self.max_drop is not None and not self.cost.drop.value <= self.max_drop:
            drop = self.cost.drop
            return (
                f"the {self.cost.metric} {self.cost.change} by {drop.value:.6g} on these test images (95 % interval "
                f"{drop.low:.4g} to {drop.high:.4g}), more than --max-drop={self.max_drop:g}; nothing was written"
            )
        return ""
