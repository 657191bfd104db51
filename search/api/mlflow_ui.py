"""MLflow's own interface on the store of an experiment's search, and links to the pages worth landing on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from palettune.search.api.run import open_run
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder, without_secrets
from palettune.space.errors import UserError

__all__ = ["MlflowUi", "lines_after_a_search", "mlflow_ui", "show_mlflow"]


@dataclass(frozen=True)
class MlflowUi:
    """MLflow's store and run of a search.

    Attributes:
        folder: of the search.
        store: MLflow's tracking URI of the search.
        search_id: of the study, where there is one.
        notes: what a reader should know of the search.
    """

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
        """Return the pages to look at in MLflow, a line for each.

        Args:
            base: address of the server that shows the store; the store itself unless it is given.
        """
        from palettune.search.tracking.mlflow_links import find_links  # loads MLflow
        from palettune.search.tracking.tracking_store import mlflow_client

        address = base or without_secrets(self.store)
        try:
            links = find_links(mlflow_client(self.store), self.folder.name, self.search_id, address)
        except Exception:  # of any library behind any store: the page itself says what is wrong
            links = None
        if links is None:
            return [f"MLflow: {address}"]
        named = {"all runs": links.runs, "the front": links.front, "its charts": links.charts}
        named |= {"the search": links.search, "its review page": links.artifact(self.folder.review.name)}
        return [f"{name}: {address}" for name, address in named.items() if address is not None]


def mlflow_ui(experiment: Experiment | str | Path, root: str | Path) -> MlflowUi:
    """Find the store of a search.

    Raises:
        UserError: there is none, or it is of another experiment.
    """
    loaded = Experiment.of(experiment)
    folder = RunFolder(Path(root), loaded.name)
    store = folder.remembered_tracking_uri or folder.tracking_uri
    if store == folder.tracking_uri:
        from palettune.search.tracking.moved_folder import follow_moved_folder

        if not folder.record.exists():
            raise UserError(f"{folder.path}: no MLflow store there; run `palettune search EXPERIMENT.toml` first")
        follow_moved_folder(folder)
    if not folder.journal.exists():
        return MlflowUi(folder, store)
    run = open_run(loaded, root=root)
    return MlflowUi(folder, store, run.search_id, run.notes)


def show_mlflow(found: MlflowUi, host: str, port: int, say: Callable[[Sequence[str]], None]) -> None:
    """Serve the store of a search until the process is interrupted; where a server shows it already, say where.

    Args:
        port: where to listen; the next free one where it is busy.
        say: told the links as soon as they can be opened.

    Raises:
        UserError: the address cannot be listened on.
    """
    if found.is_served:
        say(["a server of its own shows this search", *_review(found.folder), *found.lines()])
        return
    from palettune.search.tracking.mlflow_server import bound_socket, serve_mlflow  # loads MLflow

    listening = bound_socket(host, port)
    given = listening.getsockname()[1]
    address = f"http://{f'[{host}]' if ':' in host else host}:{given}"
    say([f"port {port} is busy: starting MLflow on port {given} ..." if given != port else "starting MLflow ..."])
    artifacts = found.folder.artifacts if found.is_own else None
    serve_mlflow(
        found.store,
        artifacts,
        listening,
        lambda: say([*_review(found.folder), *found.lines(address), "Ctrl-C ends it"]),
    )


def _review(folder: RunFolder) -> Sequence[str]:
    return [f"review: {folder.review.resolve().as_uri()}"] if folder.review.exists() else []


def lines_after_a_search(folder: RunFolder, search_id: str, uri: str | None, command: str) -> Sequence[str]:
    """Return where to look after a search: the pages of the server that tracks it, or the command that serves them.

    Args:
        uri: MLflow's tracking URI of the search; ``None`` for the run folder's own store.
        command: `palettune ui` with what it takes to find this search.
    """
    found = MlflowUi(folder, uri or folder.tracking_uri, search_id)
    return found.lines() if found.is_served else [f"all runs and the front in MLflow: {command}"]
