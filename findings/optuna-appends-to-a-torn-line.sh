#!/usr/bin/env bash
# Optuna 5.0.0: a journal file whose last record was not written whole can be read once, and never again after the next write.
#
# Expected: a record that a full disk cut off is removed, or followed by a line break, before the next one is written; or the file is
# refused while it still holds no more than that one incomplete record.
# Seen: JournalFileBackend.read_logs passes over a last line without a line break. `append_logs` opens the file with "ab" and writes the
# next record on that same line, which is then no JSON. That record is lost, and its writer fails with an AttributeError. After one
# more record every reading raises JSONDecodeError, in all processes.
# Here the record is cut off for real: the process may write 20 bytes more, and the writing fails with OSError.
# Source: optuna/storages/journal/_file.py. Reported for Optuna 3 as https://github.com/optuna/optuna/issues/5138.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
cat > "$folder/seen.py" <<'PYTHON'
import os
import resource
import sys

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

optuna.logging.set_verbosity(optuna.logging.ERROR)
file, what = sys.argv[1:]
storage = JournalStorage(JournalFileBackend(file))
if what == "cut":
    study = optuna.create_study(storage=storage, study_name="s")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(file).st_size + 20, resource.RLIM_INFINITY))
    try:
        study.add_trial(optuna.trial.create_trial(value=2.0))
    except OSError as error:
        print(error.strerror)
else:
    study = optuna.load_study(storage=storage, study_name="s")
    print(len(study.trials), "trial")
    if what == "write":
        study.add_trial(optuna.trial.create_trial(value=3.0))
PYTHON
look() { { "$folder/venv/bin/python" "$folder/seen.py" "$folder/study.journal" "$1" 2>&1 || true; } | tail -n 1; }
cut=$(look cut)
before=$(look read)
first=$(look write)
second=$(look write)
after=$(look read)
printf '%s\n' "cut off: $cut" "then read: $before" "then written: $first" "written again: $second" "then read: $after"
[ "$cut" = "File too large" ] && [ "$before" = "1 trial" ]
case "$first" in *Error*) ;; *) exit 1 ;; esac
case "$second$after" in *JSONDecodeError*JSONDecodeError*) ;; *) exit 1 ;; esac
echo "as seen with optuna 5.0.0"
