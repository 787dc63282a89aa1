#!/usr/bin/env bash
# hydra-core 1.3.8: `HydraConfig.get().overrides.task` gives other words than those that the user wrote.
#
# Expected: the overrides as they were given, as `.hydra/overrides.yaml` has them.
# Seen: an override that holds an interpolation is resolved when the list is read. `name=${where} x` becomes `name=/tmp/a (b) x`, which
# Hydra's own parser then refuses, and `seed=${hydra:job.num}` of a single run becomes `seed=None`. Who looks a job up by its overrides
# does not find it. Read them with OmegaConf.to_container(…, resolve=False).
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-core==1.3.8 omegaconf==2.3.1
echo "{where: '/tmp/a (b)', name: x, seed: 1}" > "$folder/config.yaml"
cat > "$folder/app.py" <<'PYTHON'
import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf


@hydra.main(version_base="1.3", config_path=".", config_name="config")
def app(config):
    overrides = HydraConfig.get().overrides.task
    written, read = OmegaConf.to_container(overrides, resolve=False), list(overrides)
    print("written", written)
    print("read   ", read)
    OverridesParser.create().parse_overrides(written)
    try:
        OverridesParser.create().parse_overrides(read)
    except Exception as error:
        print("parsed again:", type(error).__name__)


app()
PYTHON
cd "$folder"
seen=$(venv/bin/python app.py 'name="${where} x"' 'seed=${hydra:job.num}')
echo "$seen"
grep -qF "read    ['name=\"/tmp/a (b) x\"', 'seed=None']" <<< "$seen"
seen=$(venv/bin/python app.py 'name=${where}')
echo "$seen"
grep -qF "read    ['name=/tmp/a (b)']" <<< "$seen"
grep -q "parsed again: OverrideParseException" <<< "$seen"
echo "as seen with hydra-core 1.3.8, omegaconf 2.3.1"
