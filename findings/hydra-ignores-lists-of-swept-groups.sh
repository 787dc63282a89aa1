#!/usr/bin/env bash
# hydra-core 1.3.8: `hydra.sweeper.params` in a choice of a group is not used where that group is swept over.
#
# Expected: `-m experiment=a,b`, each with a list of its own in `hydra.sweeper.params`, runs the lists, or is refused.
# Seen: `-m experiment=a` runs the list of a (2 jobs). `-m experiment=a,b` runs a and b once each (2 jobs), neither list is used,
# nothing is said, and the exit code is 0: the sweeper's options come from a configuration without the swept groups. Other options of the
# sweep itself in such a file, as those of the launcher, are not used either.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-core==1.3.8 omegaconf==2.3.1
mkdir "$folder/experiment"
printf 'defaults:\n  - _self_\n  - experiment: null\nx: 0\ny: 0\n' > "$folder/config.yaml"
printf '# @package _global_\nhydra: {sweeper: {params: {x: "1,2"}}}\n' > "$folder/experiment/a.yaml"
printf '# @package _global_\nhydra: {sweeper: {params: {y: "3,4,5"}}}\n' > "$folder/experiment/b.yaml"
cat > "$folder/app.py" <<'PYTHON'
import hydra


@hydra.main(version_base="1.3", config_path=".", config_name="config")
def app(config):
    print("ran", config.x, config.y)


app()
PYTHON
cd "$folder"
one=$(venv/bin/python app.py -m experiment=a | grep -c "^ran")
both=$(venv/bin/python app.py -m experiment=a,b | grep "^ran")
echo "experiment=a: $one jobs; experiment=a,b:" $both
[ "$one" = 2 ]
[ "$both" = $'ran 0 0\nran 0 0' ]
echo "as seen with hydra-core 1.3.8"
