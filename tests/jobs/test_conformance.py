"""Hydra's own tests of launchers: what any Hydra application may ask of one."""

import pytest
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

from mnist_exp.composition.compose import CONF

SEARCHPATH = [f"file://{CONF}"]
# As Hydra's own tests of its launchers: their applications are of an older base version, and it warns of that.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.mark.parametrize("launcher_name, overrides", [("local", [f"hydra.searchpath={SEARCHPATH}"])])
class TestLocal(LauncherTestSuite):
    """Closures, resolvers and configuration sources travel to worker processes."""


@pytest.mark.parametrize(
    "task_launcher_cfg, extra_flags",
    [({"defaults": [{"override hydra/launcher": "local"}], "hydra": {"searchpath": SEARCHPATH}}, ["-m"])],
)
class TestLocalIntegration(IntegrationTestSuite):
    """Names, folders and working folders of jobs, in applications of their own."""
