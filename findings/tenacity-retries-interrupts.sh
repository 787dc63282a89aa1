#!/usr/bin/env bash
# tenacity 9.2.1: a retry condition of one's own is asked about KeyboardInterrupt and SystemExit too.
#
# Expected: as in `for attempt in range(3): try: … except Exception: …`, Ctrl-C ends the loop at once.
# Seen: tenacity catches BaseException. Its default condition retries on Exception only, so the difference shows only with a
# condition of one's own, such as `retry=lambda state: state.outcome.failed`: that loop swallows Ctrl-C and SIGTERM's SystemExit.
# A condition made of `retry_if_exception(f)` is asked about them too.
# Source: tenacity/__init__.py, `Retrying.__call__`, "except BaseException".
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tenacity==9.2.1
"$folder/venv/bin/python" - <<'PYTHON'
import tenacity

STOP = tenacity.stop_after_attempt(3)


def calls_of(error, **options):
    calls = []

    def fail():
        calls.append(1)
        raise error

    try:
        tenacity.Retrying(stop=STOP, reraise=True, **options)(fail)
    except BaseException as raised:
        assert raised is error
    return len(calls)


own = {"retry": lambda state: state.outcome.failed}
made = {"retry": tenacity.retry_if_exception(lambda error: True)}
for error in (KeyboardInterrupt(), SystemExit(143)):
    seen = calls_of(error), calls_of(error, **own), calls_of(error, **made)
    print(f"{type(error).__name__}: called {seen[0]} time by default, {seen[1]} and {seen[2]} times with conditions of one's own")
    assert seen == (1, 3, 3), seen
PYTHON
echo "as seen with tenacity 9.2.1"
