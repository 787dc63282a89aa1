"""How many epochs a pruner grants: as in earlier searches, else as it does with made-up curves."""

import pytest

from mnist_exp.config.schema import SweepSettings
from mnist_exp.pricing import pruned
from mnist_exp.search.rungs import Rungs
from mnist_exp.tracking.runs import StoredRun


def search(pruner, spent, saved):
    metrics = {"epochs_spent": spent, "epochs_saved": saved}
    return StoredRun("r", "", "", "FINISHED", {"sweep.pruner": pruner}, metrics, {}, "")


def test_earlier_searches_with_the_same_pruner_tell_it():
    how = SweepSettings(pruner="asha")
    searches = [search("asha", 30, 70), search("asha", 50, 50), search("median", 90, 10)]
    assert pruned.share_of_earlier(searches, how) == pytest.approx(0.4)
    assert pruned.share_of_earlier(searches[2:], how) is None


@pytest.mark.parametrize(
    ("pruner", "least", "most"), [("none", 1, 1), ("asha", 0.2, 0.6), ("hyperband", 0.2, 0.8), ("median", 0.4, 0.9)]
)
def test_made_up_curves_are_pruned_by_the_pruner_itself(pruner, least, most):
    share = pruned.share_played(SweepSettings(pruner=pruner, n_trials=20), 9)
    assert least <= share <= most


def test_paused_trials_are_promoted_and_the_best_finished():
    how = SweepSettings(pruner="asha", n_trials=27)
    rungs = Rungs(1, 9, maximizes=True)
    share = pruned.share_played(how, 9, rungs)
    # 27 trials have an epoch, 9 of them two more, 3 of these six more; some go on though in the end they are not best.
    least = (27 + 9 * 2 + 3 * 6) / (27 * 9)
    assert least <= share < 2 * least
    assert pruned.share_played(how, 9, Rungs(1, 9, maximizes=False)) == pytest.approx(share, rel=0.3)
    assert pruned.share_played(SweepSettings(pruner="asha", n_trials=27, finish_best=5), 9, rungs) > share


def test_what_every_trial_gets_is_never_less():
    assert pruned.share_played(SweepSettings(pruner="asha", n_trials=10, prune_after=9), 9) == 1
