#!/usr/bin/env bash
# scipy 1.17.1, statsmodels 0.15.0: the power of a t-test is NaN for some large effects, and a number just beside them.
#
# Expected: `scipy.stats.nct.cdf(x, df, nc)` far below the noncentrality is a tiny probability, or 0.
# Seen: below zero, with a positive noncentrality, it is NaN for two in five noncentralities between 7 and 30, and below 1e-13 between
# them; warnings are not given. The upper tail, `nct.sf`, has no such hole. statsmodels' `TTestPower.power` adds both tails of a two-sided
# test, so it is NaN in the same places: for an effect of 5.4 with two pairs, though not for 5.3. Whoever looks for the smallest
# sample whose power is at least 0.8 passes over it, as NaN compares as false, and is told a larger one. The noncentral F
# distribution of t squared has the same two-sided probability and no holes.
# Source: statsmodels/stats/power.py, ttest_power; scipy.special.nctdtr, which is Boost's.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from scipy import stats
from statsmodels.stats.power import TTestPower

critical = stats.t.isf(0.025, 1)
places = np.linspace(7.0, 30.0, 1000)
lower, upper = stats.nct.cdf(-critical, 1, places), stats.nct.sf(critical, 1, places)
print(f"lower tail: NaN at {np.isnan(lower).sum()} of {places.size} places, else at most {np.nanmax(lower):.0e}")
print(f"upper tail: NaN at {np.isnan(upper).sum()} places")
power = [float(TTestPower().power(effect, 2, 0.05)) for effect in (5.3, 5.4)]
by_f = float(stats.ncf.sf(critical**2, 1, 1, 2 * 5.4**2))
print(f"power of two pairs: {power[0]:.3f} for an effect of 5.3, {power[1]} for 5.4; by the noncentral F {by_f:.3f}")
assert 200 < np.isnan(lower).sum() < 600
assert np.nanmax(lower) < 1e-12
assert not np.isnan(upper).any()
assert np.isfinite(power[0])
assert np.isnan(power[1])
assert 0.4 < by_f < 0.5
PYTHON
echo "as seen with scipy 1.17.1"
