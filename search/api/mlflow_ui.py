"""MLflow's own interface on the store of an experiment's search, and links to the pages worth landing on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palettune.search.api.run import open_run
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder, without_secrets
from palettune.space.errors import UserError

__all__ = ["MlflowUi", "mlflow_ui"]

_REVIEW = "review.html"
_LOOK_SECONDS = 5


@dataclass(frozen=True)
class MlflowUi:
    """How to look at a search in MLflow.

    Attributes:
        name: of the experiment.
        folder: of the search.
        store: MLflow's tracking URI of the search.
        search_id: of the study, where there is one.
        notes: what a reader should know of the search.
    """

    name: str
    folder: RunFolder
    store: str
    search_id: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_served(self) -> bool:
        """Whether a server of the user's own shows the store."""
        return self.store.startswith("http")

    @property
    def is_own(self) -> bool:
        """Whether the store is the run folder's."""
        return self.store == self.folder.tracking_uri

    def lines(self, base: str | None = None) -> Sequence[str]:
        """Where to look, a line for each page.

        Args:
            base: address of the server that shows the store; the store itself unless it is given.
        """
        from palettune.search.tracking.mlflow_links import find_links
        from palettune.search.tracking.tracking_store import mlflow_client, wait_at_most

        wait_at_most(_LOOK_SECONDS)
        address = base or without_secrets(self.store)
        try:
            links = find_links(mlflow_client(self.store), self.name, self.search_id, address)
        except Exception:  # of any library behind any store: the page itself says what is wrong
            links = None
        page = self.folder.path / _REVIEW
        lines = [f"review page: {page.resolve().as_uri()}"] if page.exists() else []
        if links is None:
            return [*lines, f"MLflow: {address}"]
        named = {"all runs": links.runs, "the front": links.front, "the search": links.search}
        return [*lines, *(f"{name}: {address}" for name, address in named.items() if address is not None)]


def mlflow_ui(experiment: Experiment | str | Path, root: str | Path) -> MlflowUi:
    """Find the store of a search.

    Raises:
        UserError: there is none, or it is of another experiment.
    """
    loaded = Experiment.of(experiment)
    folder = RunFolder(Path(root), loaded.name)
    store = folder.remembered_tracking_uri or folder.tracking_uri
    own = store == folder.tracking_uri
    if own and not folder.record.exists():
        raise UserError(f"{folder.path}: no MLflow store there; run `palettune search EXPERIMENT.toml` first")
    if own:
        from palettune.search.tracking.moved_folder import follow_moved_folder

        follow_moved_folder(folder)
    if not folder.journal.exists():
        return MlflowUi(loaded.name, folder, store)
    run = open_run(loaded, root=root)
    return MlflowUi(loaded.name, folder, store, run.search_id, run.notes)
