"""Which training images int8 is calibrated on, and which pairs there are."""

import numpy as np
import pytest

from mnist_exp.errors import SettingsError
from mnist_exp.inference.exporting import quantizing


def test_calibration_takes_the_same_images_of_all_each_time():
    x = np.arange(1000, dtype=np.int64).reshape(1000, 1)
    chosen = quantizing.calibration(x, 100)
    assert (chosen.dtype, chosen.shape) == (np.float32, (100, 1))
    assert len(np.unique(chosen)) == 100
    assert chosen.min() < 100 < 900 < chosen.max()
    np.testing.assert_array_equal(chosen, quantizing.calibration(x, 100))
    np.testing.assert_array_equal(quantizing.calibration(x, 1000), x)


def test_other_formats_are_told_what_can_be_quantized():
    for form in ("keras", "savedmodel"):
        with pytest.raises(SettingsError, match=f"--format={form}: --format=litert and --format=onnx can be quantized"):
            quantizing.check(form, "int8")
    for form in ("litert", "onnx"):
        for choice in quantizing.MEANINGS:
            quantizing.check(form, choice)
