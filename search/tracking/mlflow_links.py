"""Addresses of MLflow's pages that are worth landing on: the runs in model-training mode, and a file of the search."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from mlflow import MlflowClient

from palettune.search.tracking.saved_view import FRONT_VIEW, RUNS_VIEW, view_tag

__all__ = ["MlflowLinks", "find_links"]

_TRAINING = "workflowType=machine_learning"
"""Without it MLflow 3.17 opens an experiment as one about language models, whatever its kind."""


@dataclass(frozen=True)
class MlflowLinks:
    """Addresses of a search on a server.

    Attributes:
        base: address of the server.
        experiment: MLflow's id of the experiment.
        parent: id of the search's own run; ``None`` where the store holds none.
        views: keys of the saved views that the experiment has.
        files: names of the artifacts of the search's own run.
    """

    base: str
    experiment: str
    parent: str | None = None
    views: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    @property
    def runs(self) -> str:
        """The table of all runs, with their figures where the experiment has that view."""
        return self._view(RUNS_VIEW) or f"{self._experiment}/runs?{_TRAINING}"

    @property
    def front(self) -> str | None:
        """The saved view of the front."""
        return self._view(FRONT_VIEW)

    @property
    def charts(self) -> str | None:
        """Address of the front as charts: quality over each cost, and a bar for each figure."""
        return f"{self.front}&compareRunsMode=CHART" if self.front else None

    @property
    def search(self) -> str | None:
        """The search's own run, with its note."""
        return f"{self._experiment}/runs/{self.parent}?{_TRAINING}" if self.parent else None

    def artifact(self, name: str) -> str | None:
        """Return the address of a file of the search's own run; ``None`` where it has none of that name."""
        found = f"{self._experiment}/runs/{self.parent}/artifacts/{name}?{_TRAINING}"
        return found if name in self.files else None

    def _view(self, key: str) -> str | None:
        return f"{self._experiment}/runs?viewStateShareKey={key}&{_TRAINING}" if key in self.views else None

    @property
    def _experiment(self) -> str:
        return f"{self.base.rstrip('/')}/#/experiments/{self.experiment}"


def find_links(client: MlflowClient, name: str, search_id: str | None, base: str) -> MlflowLinks | None:
    """Look up an experiment and the run of a search in a store; ``None`` where it has no such experiment.

    Args:
        search_id: of the study; ``None`` for the latest search.
        base: address of the server that shows the store.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        return None
    which = f"tags.search_id = '{search_id}'" if search_id else "tags.kind = 'search'"
    runs = client.search_runs([found.experiment_id], which, max_results=1, order_by=["attributes.start_time DESC"])
    parent = runs[0].info.run_id if runs else None
    views = frozenset(key for key in (RUNS_VIEW, FRONT_VIEW) if view_tag(key) in found.tags)
    return MlflowLinks(base, str(found.experiment_id), parent, views, _files(client, parent))


def _files(client: MlflowClient, run: str | None) -> frozenset[str]:
    with suppress(Exception):  # of any library behind any artifact store: the other pages are there all the same
        return frozenset(item.path for item in client.list_artifacts(run)) if run else frozenset()
    return frozenset()
