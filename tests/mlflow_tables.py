"""MLflow's tables, made once by MLflow itself: each search has a database of its own, and forty migrations take seconds."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

from mlflow.store.db import utils
from sqlalchemy import Engine, inspect

__all__ = ["copy_tables"]


def copy_tables() -> None:
    """Have MLflow's first database of this process migrated, and every further empty one filled with the same tables."""
    made, template, lock = (
        utils._initialize_tables,
        sqlite3.connect(":memory:", check_same_thread=False),
        threading.Lock(),
    )

    def initialize(engine: Engine) -> None:
        file = engine.url.database
        with lock:
            if engine.dialect.name != "sqlite" or not file or inspect(engine).get_table_names():
                made(engine)
            elif template.execute("SELECT 1 FROM sqlite_master").fetchone():
                with closing(sqlite3.connect(file)) as database:
                    template.backup(database)
            else:
                made(engine)
                with closing(sqlite3.connect(file)) as database:
                    database.backup(template)

    utils._initialize_tables = initialize
