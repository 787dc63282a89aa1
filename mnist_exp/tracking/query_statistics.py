"""Statistics of an SQLite store's tables, without which its queries take quadratic time.

SQLite plans a query by what the command ANALYZE has counted, and MLflow never runs it. Without, the page of MLflow's
that sorts 16,000 runs by a metric takes 10 to 20 s of CPU time, with it 0.1 to 0.3 s (benchmarks/store_growth.py).
PostgreSQL counts by itself (autovacuum), as MySQL does, and the store of a server is not ours to touch.
"""

import contextlib
import sqlite3

from mnist_exp.tracking import store

# A smaller store answers at once in either way.
_FEW_RUNS = 200
# Rows of each index that ANALYZE looks at: 0.02 s for 16,000 runs instead of 0.6 s, and all plans are the same.
_LOOKED_AT = 1000
# While others write, there is no hurry: the next run that ends tries again.
_PATIENCE_S = 0.1
_MADE = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'"
_COUNTED = "SELECT stat FROM sqlite_stat1 WHERE tbl = 'runs' AND idx IS NOT NULL"


def refresh(uri: str, *, growth: float = 2.0) -> bool:
    """Count the rows of a store anew if it has grown much since they were counted; never an error, never a long wait.

    Args:
        uri: address of the store; one that is not SQLite is left alone.
        growth: how many times the runs of the last count there must be.
    Returns: whether they were counted.
    """
    file = store.sqlite_file(uri)
    if file is None or not file.exists():
        return False
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_opened(f"{file.as_uri()}?mode=rw")) as opened:
        (runs,) = opened.execute("SELECT count(*) FROM runs").fetchone()
        if runs < max(_FEW_RUNS, growth * _counted(opened)):
            return False
        with opened:  # One transaction: readers wait once.
            opened.execute("BEGIN IMMEDIATE")
            opened.execute(f"PRAGMA analysis_limit = {_LOOKED_AT}")
            opened.execute("ANALYZE")
            opened.execute("PRAGMA analysis_limit = 0")
            opened.execute("ANALYZE runs")  # Its number of rows exactly, to know later how much it has grown.
        return True
    return False


def _opened(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, timeout=_PATIENCE_S, isolation_level=None)


def _counted(opened: sqlite3.Connection) -> int:
    """Return how many runs there were when they were counted last; 0 if they never were."""
    if opened.execute(_MADE).fetchone() is None:
        return 0
    row = opened.execute(_COUNTED).fetchone()
    return int(str(row[0]).split()[0]) if row else 0
