"""The store behind the tracking: reached before anything else is done, within seconds, or refused in words."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import sqlalchemy

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import; a search reports to nobody
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # one for each run, with the URI's secrets
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # stages are told by the console

from mlflow import MlflowClient

from palettune.search.experiment.run_folder import RunFolder, without_secrets
from palettune.search.tracking.moved_folder import follow_moved_folder
from palettune.space.errors import UserError

__all__ = ["TrackingError", "absolute", "mlflow_client", "reach_store", "shown", "wait_at_most", "words"]

REACH_SECONDS = 20.0
REQUEST_SECONDS = 10
_SILENT = f"no answer within {REACH_SECONDS:.0f} seconds"
_SETTINGS = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
_GIVEN = frozenset(name for name in _SETTINGS if name in os.environ)
_WAYS = "http://HOST:PORT of an MLflow server that runs, or sqlite:///FILE"
_WAY_OUT = f"expected {_WAYS}; without --tracking-uri the record is kept in the run folder"
_OWN = "--tracking-uri names the store of the search"


class TrackingError(UserError):
    """The tracking store cannot be used."""


def wait_at_most(seconds: int) -> None:
    """Have MLflow's requests answered within these seconds and not repeated, unless the user set it otherwise.

    Who asks repeats them: MLflow's own five repetitions take minutes, and would create a run twice.
    """
    for name, value in zip(_SETTINGS, (0, seconds), strict=True):
        if name not in _GIVEN:
            os.environ[name] = str(value)


def mlflow_client(uri: str) -> MlflowClient:
    """Make a client that waits seconds, not minutes, and whose failures are reported by Palettune alone."""
    wait_at_most(REQUEST_SECONDS)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri)


def shown(uri: str | None, folder: RunFolder) -> str:
    """Return a tracking URI without secrets, to be printed."""
    return without_secrets(uri or folder.tracking_uri)


def reach_store(
    folder: RunFolder, uri: str | None, warn: Callable[[str], None] = lambda words: None, *, read: bool = False
) -> None:
    """Ask the store for one thing, and wait some seconds for the answer.

    A database of the run folder's own that cannot be used (its making was killed half-way, its disk was full) is put
    aside by a search: it is a view of the study, and is written anew.

    Args:
        uri: MLflow's tracking URI; ``None`` for the run folder's own store, which is made by the first search.
        warn: told what was put aside.
        read: refuse a database that does not exist instead of leaving its creation to a search.

    Raises:
        TrackingError: naming the URI, what came of it and what to do.
    """
    name = f"{'--tracking-uri: ' if uri else ''}{shown(uri, folder)}"
    if uri is None:
        follow_moved_folder(folder)
    file = _database(uri) if uri else folder.record
    if file is not None and not file.exists():
        if read:
            raise TrackingError(f"{name}: there is no such database; {_OWN}")
        if uri and not file.parent.is_dir():
            raise TrackingError(f"--tracking-uri: {file.parent}: no such folder; make it first, or name another file")
        return
    problem = _ask(uri or folder.tracking_uri)
    if problem is not None and uri is None and not read and problem != _SILENT:
        aside = folder.set_record_aside()
        warn(
            f"{folder.record} cannot be used ({problem}); it is put aside as {aside.name}, and written anew from the study"
        )
    elif problem is not None:
        anew = f"`palettune search` writes {folder.record} anew from the study"
        raise TrackingError(f"{name} cannot be used: {problem}; {(_OWN if read else _WAY_OUT) if uri else anew}")


def _ask(uri: str) -> str | None:
    """What keeps a store from being used, in words."""
    if re.match(r"^[\w.-]+:\d+(/|$)", uri):
        return f"it has no scheme (http://{uri}?)"
    answer: list[str | None] = []

    def ask() -> None:
        try:
            if _is_database(uri):  # MLflow tries ten times, for minutes
                sqlalchemy.inspect(sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool))
            mlflow_client(uri).search_experiments(max_results=1)
            answer.append(None)
        except Exception as error:  # of any library behind any scheme
            answer.append(words(error, uri))

    thread = threading.Thread(target=ask, name="mlflow-reach", daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return answer[0] if answer else _SILENT


def words(error: Exception, uri: str) -> str:
    """Describe an error in one line, without the secrets of the URI."""
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    cause = re.search(r"Caused by \w+\([\"'](?:HTTPS?Connection(?:Pool)?\(.*?\): )?(.*)[\"']\)", text)
    text = cause.group(1) if cause else text
    for secret in (uri, uri.rstrip("/")):
        text = text.replace(secret, without_secrets(secret))
    text = re.sub(r"://[^/\s@]*@", "://", text)
    if re.search(r"error code 40[13]\b", text):
        text += " (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, give credentials)"
    return text if len(text) <= 400 else f"{text[:400]} ..."


def _is_database(uri: str) -> bool:
    return re.match(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://", uri) is not None


def _database(uri: str) -> Path | None:
    """The file of an SQLite URI; ``None`` for any other URI."""
    if not uri.startswith("sqlite") or not _is_database(uri):
        return None
    name = sqlalchemy.make_url(uri).database
    if not name or name == ":memory:":
        raise TrackingError(f"--tracking-uri: {uri} names no file; expected sqlite:///FILE")
    return Path(name)


def absolute(uri: str) -> str:
    """Make a tracking URI independent of the working directory."""
    file = _database(uri)
    if file is not None:
        return f"{uri.partition(':')[0]}:///{file.resolve()}"
    return uri if ":" in uri or uri == "databricks" else str(Path(uri).resolve())
