"""The most memory of a run: of each run its own, also where one process has several."""

import sys

import numpy as np
import pytest

from mnist_exp.experiment import memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux forgets the peak")
def test_peak_counts_from_the_last_time_it_was_forgotten():
    memory.forget_peak()
    before = memory.peak_mb()
    large = np.ones(30_000_000)  # 240 MB
    assert memory.peak_mb() - before == pytest.approx(240, abs=20)
    del large
    assert memory.peak_mb() - before == pytest.approx(240, abs=20)
    memory.forget_peak()
    assert memory.peak_mb() - before < 20
