"""What a sweep may select by: not the test set, and not losses that are not one quantity."""

import pytest

from mnist_exp.composition.compose import compose
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.terminal import Screen
from mnist_exp.sweeps.planning import rules


@pytest.mark.parametrize(
    ("words", "varies_loss", "is_told"),
    [
        (["objective=val_loss", "direction=minimize"], True, True),
        (["objective=val_loss", "direction=minimize"], False, False),
        (["objective=val_macro_f1"], True, False),
    ],
)
def test_losses_of_several_kinds_do_not_select(words, varies_loss, is_told, capsys):
    settings, options = compose(words), {"on_test": False, "jobs": 4, "varies_loss": varies_loss}
    rules.check_selection(settings, Screen(), search=False, **options)
    assert ("different losses, whose values are not one quantity" in capsys.readouterr().err) == is_told
    if is_told:
        with pytest.raises(SettingsError, match="select by another metric, as objective=val_accuracy"):
            rules.check_selection(settings, Screen(), search=True, **options)
