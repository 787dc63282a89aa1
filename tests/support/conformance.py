"""Parameters with which Hydra's own tests of launchers test one of ours."""

import pytest

from mnist_exp.composition.compose import CONF

SEARCHPATH = [f"file://{CONF}"]


def launcher(name, *overrides):
    """For `LauncherTestSuite`: the launcher, and the options that it needs."""
    given = [f"hydra.searchpath={SEARCHPATH}", *overrides]
    return _in_a_fresh_hydra(pytest.mark.parametrize("launcher_name, overrides", [(name, given)]))


def applications(name, *overrides):
    """For `IntegrationTestSuite`: applications that choose the launcher in their own configuration."""
    config = {"defaults": [{"override hydra/launcher": name}], "hydra": {"searchpath": SEARCHPATH}}
    return _in_a_fresh_hydra(pytest.mark.parametrize("task_launcher_cfg, extra_flags", [(config, ["-m", *overrides])]))


def _in_a_fresh_hydra(mark):
    return lambda suite: pytest.mark.usefixtures("fresh_hydra")(mark(suite))
