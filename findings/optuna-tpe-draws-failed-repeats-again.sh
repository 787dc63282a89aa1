#!/usr/bin/env bash
# Optuna 5.0.0: TPE that is told FAIL for a point it has drawn before draws that point again and again; told PRUNED, it goes on.
#
# Guessed: a repeat that is ended as FAIL is the cleanest, since no value is counted twice and failed trials do not mislead the sampler.
# Seen: in a space of 96 points, 100 trials, ten seeds, 66 trials repeat an earlier one where repeats are told FAIL, 41 where they get the
# value of the earlier trial again, 31 where they are told PRUNED. A failed trial is not
# looked at by TPESampler, so nothing has changed when it draws next, and what was the most promising point still is. A pruned trial
# is looked at: without an intermediate value it counts among the poor ones.
# Source: optuna/samplers/_tpe/sampler.py (`_get_states`, `_split_trials`). The FAQ of Optuna ("How can I ignore duplicated samples?") says what
# to do, and not what this costs.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
cat > "$folder/seen.py" <<'PYTHON'
import warnings

import optuna
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")


def repeats(told, seed):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True), direction="maximize")
    tried, repeated = {}, 0
    for _ in range(100):
        trial = study.ask()
        filters = trial.suggest_int("filters", 8, 64, step=8)
        dropout = trial.suggest_int("dropout", 0, 5)
        layers = trial.suggest_int("layers", 1, 2)
        value = 0.9 - abs(filters - 40) / 400 - abs(dropout - 3) / 50 - (layers == 1) / 100
        point = (filters, dropout, layers)
        if point not in tried:
            tried[point] = value
            study.tell(trial, value)
            continue
        repeated += 1
        if told == "value":
            study.tell(trial, value)
        else:
            study.tell(trial, state=TrialState[told])
    return repeated


counts = {told: sorted(repeats(told, seed) for seed in range(10)) for told in ("FAIL", "value", "PRUNED")}
for told, each in counts.items():
    print(f"told {told:7s} {sum(each) / 10:.1f} of 100 trials repeat an earlier one ({each[0]} to {each[-1]})")
means = [sum(each) / 10 for each in counts.values()]
assert means[0] > 50 and means[0] > 1.4 * means[1] and means[1] > means[2], means
print("as seen with optuna 5.0.0")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
