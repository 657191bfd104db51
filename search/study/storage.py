"""The storage of a study: the journal file of a run folder, or a database."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from palettune.search.experiment.run_folder import RunFolder, without_secrets
from palettune.search.study.study_identity import StudyError

__all__ = ["open_storage"]


def open_storage(folder: RunFolder, url: str | None, *, read: bool = False) -> BaseStorage:
    """Open the journal file of a run folder, or a database by its URL.

    Args:
        read: refuse a database file that does not exist instead of making it.

    Raises:
        StudyError: naming what cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        try:
            return JournalStorage(JournalFileBackend(str(folder.journal)))
        except (ValueError, KeyError) as error:
            raise StudyError(
                f"{folder.journal}: the journal cannot be read ({error}); restore it from a copy, "
                "or start afresh with --fresh"
            ) from error
    from sqlalchemy import make_url  # a journal does without

    try:
        file = make_url(url).database if url.startswith("sqlite") else None
        if read and file and not Path(file).exists():
            raise StudyError(f"--storage: {file}: there is no such database")
        return RDBStorage(url, heartbeat_interval=None)
    except StudyError:
        raise
    except Exception as error:  # of SQLAlchemy or of any driver below it
        raise StudyError(
            f"--storage: {without_secrets(url)} cannot be used ({type(error).__name__}: {_line(error)}); expected the URL "
            "of a database that answers, as postgresql://HOST/NAME, or leave it out: the journal is a file"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
