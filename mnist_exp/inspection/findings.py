"""What an inspection found, gravest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp.inspection.parts import Example

# From the gravest on: what makes a score worthless, what spoils a training, what one should know.
KINDS = {
    "in_two_sets_with_other_label": "grave",
    "in_two_sets": "grave",
    "equal_with_other_label": "grave",
    "missing_class": "grave",
    "unreadable": "grave",
    "likely_wrong_label": "doubtful",
    "nearly_in_two_sets_with_other_label": "doubtful",
    "nearly_in_two_sets": "doubtful",
    "nearly_equal_with_other_label": "doubtful",
    "equal": "doubtful",
    "one_colour": "doubtful",
    "other_data": "doubtful",
    "nearly_equal": "doubtful",
    "imbalance": "note",
    "remark": "note",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        kind: one of `KINDS`.
        text: a sentence for people, with the count.
        count: of examples, groups or whatever the sentence counts.
        groups: examples that one can look up: pairs and larger groups of those that are alike, or single ones.
        details: a sentence each, where there is no example to look up.
        sets: the two sets that examples are in both of, if so.
    """

    kind: str
    text: str
    count: int = 1
    groups: Sequence[Sequence[Example]] = ()
    details: Sequence[str] = ()
    sets: tuple[str, str] | None = None

    @property
    def gravity(self) -> str:
        """How grave it is: grave, doubtful or note."""
        return KINDS[self.kind]


def sorted_by_gravity(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, the gravest first."""
    order = list(KINDS)
    return sorted(findings, key=lambda finding: order.index(finding.kind))
