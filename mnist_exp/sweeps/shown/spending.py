"""What a search has spent of its budget, for people and for other programs."""

from dataclasses import dataclass
from typing import Any

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import ledger
from mnist_exp.search.budget import Spent
from mnist_exp.sweeps.outcome.outcome import Outcome


@dataclass(frozen=True)
class Spending:
    """What a search with a budget has spent.

    Args:
        how: the options `sweep.*`.
        spent: so far, in all calls.
        ended: whether trials are left that the budget keeps from starting.
    """

    how: SweepSettings
    spent: Spent
    ended: bool

    @property
    def words(self) -> str:
        """The same for people: `37 of 40 epochs, 61 of 300 s of training`."""
        parts = []
        if self.how.budget_epochs is not None:
            parts.append(f"{self.spent.epochs:,} of {self.how.budget_epochs:,} epochs")
        if self.how.budget_s is not None:
            parts.append(f"{self.spent.seconds:,.0f} of {self.how.budget_s:,.0f} s of training")
        return ", ".join(parts)

    @property
    def fix(self) -> str:
        """How to go on."""
        options = []
        if self.how.budget_epochs is not None and self.spent.epochs >= self.how.budget_epochs:
            options.append(f"sweep.budget_epochs={self.how.budget_epochs}")
        if self.how.budget_s is not None and self.spent.seconds >= self.how.budget_s:
            options.append(f"sweep.budget_s={self.how.budget_s:g}")
        return f"{' and '.join(options)} ended the search: to go on, run the same command again with more"

    def as_data(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "epochs": {"spent": self.spent.epochs, "of": self.how.budget_epochs},
            "seconds": {"spent": round(self.spent.seconds, 3), "of": self.how.budget_s},
            "ended": self.ended,
        }


def of(outcome: Outcome) -> Spending | None:
    """Return what a search has spent so far; None for one without a budget, and for a grid."""
    how = outcome.how
    if outcome.opened is None or (how.budget_epochs is None and how.budget_s is None):
        return None
    spent = ledger.read(outcome.opened).spent()
    return Spending(how, spent, spent.has_reached(how) and outcome.count("left") > 0)
