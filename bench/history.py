# SPDX-License-Identifier: Apache-2.0
"""Makes a store deep without waiting for it to be filled: what the server has written is repeated.

Every message is there again, with its payload, deliveries and attempts, a whole number of seconds
earlier for each repetition: the same columns and the same indexes, oldest first as a server would have
written them. No server may run on the store.
"""

import contextlib
import os
import pathlib
import shutil
import sqlite3

from harness import Failed

# Seconds are the upper bits of an id: see src/core/id.h.
SECOND_SHIFT = 31
US_PER_S = 1_000_000
# Column by which the rows of a table are in order of time, for the tables that grow with messages.
TABLES = {"message": "id", "payload": "message_id", "delivery": "message_id", "attempt": "id"}
IDS = {"id", "message_id"}
TIMES = {"payload_expires_at", "next_attempt_at"}


def shifted(column):
    """The column as it is :seconds earlier."""
    if column in IDS:
        return f"{column} - :seconds * {1 << SECOND_SHIFT}"
    return f"{column} - :seconds * {US_PER_S}" if column in TIMES else column


def copy_statement(db, table):
    columns = [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]
    return (f"INSERT INTO main.{table} ({', '.join(columns)})"
            f" SELECT {', '.join(shifted(column) for column in columns)}"
            f" FROM source.{table} ORDER BY {TABLES[table]}")


def span_s(db):
    """How many seconds the stored messages and attempts reach over, rounded up."""
    ends = db.execute("SELECT min(id), max(id) FROM (SELECT id FROM message UNION ALL SELECT id FROM attempt)")
    oldest, newest = ends.fetchone()
    return (newest >> SECOND_SHIFT) - (oldest >> SECOND_SHIFT) + 1


def count(db, table):
    return db.execute(f"SELECT count(*) FROM main.{table}").fetchone()[0]


def repeat(data, attempts_min):
    """Repeats the history of the store in the folder `data` until it has so many attempts. Returns the
    numbers of messages and attempts then."""
    path = pathlib.Path(data) / "posthorn.db"
    source = path.with_name("source.db")
    if os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal") > 0:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(path, source)
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            # Nothing here has to outlive a crash.
            db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-200000")
            db.execute("ATTACH ? AS source", (str(source),))
            if count(db, "attempt") == 0:
                raise Failed("there is no history to repeat")
            times, seconds = -(-attempts_min // count(db, "attempt")), span_s(db)
            db.execute("BEGIN")
            for table in TABLES:
                db.execute(f"DELETE FROM main.{table}")
            for earlier in reversed(range(times)):
                for table in TABLES:
                    db.execute(copy_statement(db, table), {"seconds": earlier * seconds})
            made = count(db, "message"), count(db, "attempt")
            db.execute("COMMIT")
            return made
    finally:
        for suffix in ("", "-wal", "-shm"):
            pathlib.Path(f"{source}{suffix}").unlink(missing_ok=True)
