#!/usr/bin/env bash
# mlflow 3.17.2: two new SQLite stores of one version have different schemas, by chance.
#
# Expected: `mlflow db upgrade` of an empty file makes the same tables each time, so that a schema can be compared as text.
# Seen: the table `runs` has its constraints in one of two orders, another from call to call, also with PYTHONHASHSEED=0.
# Columns and indexes are always the same, so `PRAGMA table_info` can be compared.
# Source: run; alembic copies a table to change it in SQLite, and a set holds the constraints of the copy.
# The script fails if a later run behaves otherwise (twelve stores of one order would be a chance of 1 in 2,000).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1
for number in $(seq 12); do
    PYTHONHASHSEED=0 "$folder/venv/bin/python" -m mlflow db upgrade "sqlite:///$folder/$number.db" >/dev/null 2>&1
done
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib
import sqlite3
import sys


def content(file):
    with sqlite3.connect(file) as opened:
        schema = dict(opened.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return schema, opened.execute("PRAGMA table_info(runs)").fetchall()


schemas, columns = zip(*map(content, pathlib.Path(sys.argv[1]).glob("*.db")))
different = {name for schema in schemas for name in schema if schema[name] != schemas[0][name]}
orders = {schema["runs"] for schema in schemas}
print(f"{len(schemas)} stores of {len(schemas[0])} tables and indexes: of {len(orders)} texts is {', '.join(different)}")
assert different == {"runs"}
assert len({str(each) for each in columns}) == 1
PYTHON
echo "as seen with mlflow 3.17.2"
