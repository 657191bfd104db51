"""A run folder that was moved: where MLflow's own store says that artifacts lie follows it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from palettune.search.experiment.run_folder import RunFolder

__all__ = ["follow_moved_folder"]

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns of MLflow's schema (3.1 to 3.17) that hold addresses of artifacts, which it writes in full."""
_SECONDS = 10


def follow_moved_folder(folder: RunFolder) -> bool:
    """Let the addresses in a run folder's own store begin where the folder is now.

    Returns:
        Whether they began elsewhere. A database that cannot be read, or not be written to, is left as it is: who opens
        it next says what is wrong with it.
    """
    if not folder.record.exists():
        return False
    try:
        with closing(sqlite3.connect(folder.record, timeout=_SECONDS)) as database, database:
            return _follow(database, folder)
    except sqlite3.Error:
        return False


def _follow(database: sqlite3.Connection, folder: RunFolder) -> bool:
    found = database.execute("SELECT artifact_location FROM experiments WHERE name = ?", (folder.name,)).fetchone()
    old, new = str(found[0]) if found and found[0] else "", folder.artifacts.resolve().as_uri()
    if old == new or not old.startswith("file:"):  # a place of the user's own choice
        return False
    for table, column in _COLUMNS:
        if column in {row[1] for row in database.execute(f"PRAGMA table_info({table})")}:
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
    return True
