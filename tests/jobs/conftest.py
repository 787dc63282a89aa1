"""For the tests of Hydra's own suites."""

import pytest


@pytest.fixture
def fresh_hydra(monkeypatch):
    """No version of Hydra's behaviour is chosen yet, as its own tests expect; other tests of the process choose one."""
    from hydra import version

    monkeypatch.setattr(version.VersionBase.instance(), "version_base", version._UNSPECIFIED_)
