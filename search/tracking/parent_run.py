"""The search's own run in MLflow, for whoever adds to it when the search is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities import Run

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.tracking_store import (
    TrackingError,
    mlflow_client,
    reach_store,
    shown,
    wait_at_most,
    words,
)

__all__ = ["log_review", "parent_run"]

_UPLOAD_SECONDS = 120


@contextmanager
def parent_run(folder: RunFolder, uri: str | None, search_id: str) -> Iterator[tuple[MlflowClient, Run]]:
    """Open a client of the store that holds a search, and its own run; errors meanwhile become a ``TrackingError``.

    Args:
        uri: MLflow's tracking URI; ``None`` for the run folder's own store.

    Raises:
        TrackingError: the store does not answer, does not hold the search, or does not take what is written.
    """
    reach_store(folder, uri, read=True)
    client = mlflow_client(uri or folder.tracking_uri)
    wait_at_most(_UPLOAD_SECONDS)
    try:
        found = client.get_experiment_by_name(folder.name)
        runs = found and client.search_runs([found.experiment_id], f"tags.search_id = '{search_id}'")
        if not runs:
            raise TrackingError(
                f"{shown(uri, folder)}: no run of this search there; --tracking-uri names the store of the search"
            )
        yield client, runs[0]
    except TrackingError:
        raise
    except Exception as error:  # of any library behind any artifact store
        raise TrackingError(f"{shown(uri, folder)}: {words(error, uri or '')}") from error


def log_review(folder: RunFolder, uri: str | None, search_id: str) -> None:
    """Let MLflow have the review page as it is now.

    Args:
        uri: MLflow's tracking URI; ``None`` for that of the search, as the run folder remembers it.

    Raises:
        TrackingError: see ``parent_run``.
    """
    with parent_run(folder, uri or folder.remembered_tracking_uri, search_id) as (client, run):
        client.log_artifact(run.info.run_id, str(folder.review))
