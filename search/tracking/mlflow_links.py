"""Addresses of MLflow's pages that are worth landing on: the runs in model-training mode, and a file of the search."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow import MlflowClient

from palettune.search.tracking.saved_view import VIEW, view_tag

__all__ = ["MlflowLinks", "find_links"]

_TRAINING = "workflowType=machine_learning"
"""Without it MLflow 3.17 opens an experiment as one about language models, whatever its kind."""


@dataclass(frozen=True)
class MlflowLinks:
    """Where a search is on a server.

    Attributes:
        base: address of the server.
        experiment: MLflow's id of the experiment.
        parent: id of the search's own run; ``None`` where the store holds none.
        viewed: whether the experiment has the saved view of the front.
    """

    base: str
    experiment: str
    parent: str | None = None
    viewed: bool = False

    @property
    def runs(self) -> str:
        """The table of all runs."""
        return f"{self._experiment}/runs?{_TRAINING}"

    @property
    def front(self) -> str | None:
        """The saved view of the front."""
        return f"{self._experiment}/runs?viewStateShareKey={VIEW}&{_TRAINING}" if self.viewed else None

    @property
    def search(self) -> str | None:
        """The search's own run, with its note."""
        return f"{self._experiment}/runs/{self.parent}?{_TRAINING}" if self.parent else None

    def artifact(self, name: str) -> str | None:
        """A file of the search's own run."""
        return f"{self._experiment}/runs/{self.parent}/artifacts/{name}?{_TRAINING}" if self.parent else None

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
    return MlflowLinks(base, str(found.experiment_id), parent, view_tag() in found.tags)
