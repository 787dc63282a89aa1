"""Hydra's own tests of launchers: what any Hydra application may ask of one. Those for Slurm are in test_slurm.py."""

import os

import pytest
from conformance import applications, launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
in_its_network = pytest.mark.skipif("RAY_ADDRESS" not in os.environ, reason="run by test_ray.py, beside its cluster")


@pytest.mark.slow
@launcher("local")
class TestLocal(LauncherTestSuite):
    """Closures, resolvers and configuration sources travel to worker processes."""


@pytest.mark.slow
@applications("local")
class TestLocalIntegration(IntegrationTestSuite):
    """Names, folders and working folders of jobs, in applications of their own."""


@pytest.mark.services
@in_its_network
@launcher("ray")
class TestRay(LauncherTestSuite):
    """The same on a cluster."""


@pytest.mark.services
@in_its_network
@applications("ray")
class TestRayIntegration(IntegrationTestSuite):
    """The same on a cluster."""
