# SPDX-License-Identifier: BSD-3-Clause
"""The database of a service that is not running, for trials that need a past that nobody lived through."""
import contextlib
import os
import pathlib
import sqlite3


@contextlib.contextmanager
def reading(path):
    """A connection that changes nothing, not even the log that a killed process left."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


@contextlib.contextmanager
def rewriting(path):
    """A connection that may write. The service keeps a sum in every page, which this one does not know of: so the file is
    replaced by a copy without sums."""
    copy = pathlib.Path(f"{path}.copy")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()
        connection.execute("VACUUM INTO ?", (str(copy),))
    for suffix in ("-wal", "-shm"):
        pathlib.Path(f"{path}{suffix}").unlink(missing_ok=True)
    os.replace(copy, path)
