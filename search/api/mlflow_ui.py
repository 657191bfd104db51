"""MLflow's own interface on the store of an experiment's search."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from palettune.search.api.run import open_run
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.space.errors import UserError

__all__ = ["MlflowUi", "mlflow_ui"]


@dataclass(frozen=True)
class MlflowUi:
    """How to look at a search in MLflow.

    Attributes:
        address: to open in a browser.
        command: what serves it; ``None`` where a server of the user's own does.
        notes: what a reader should know of the search.
    """

    address: str
    command: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def mlflow_ui(experiment: Experiment | str | Path, root: str | Path, host: str, port: int) -> MlflowUi:
    """Find the store of a search.

    Raises:
        UserError: there is none, or it is of another experiment.
    """
    loaded = Experiment.of(experiment)
    folder = RunFolder(Path(root), loaded.name)
    store = folder.remembered_tracking_uri or folder.tracking_uri
    if store == folder.tracking_uri and not folder.record.exists():
        raise UserError(f"{folder.path}: no MLflow store there; run `palettune search EXPERIMENT.toml` first")
    notes = open_run(loaded, root=root).notes if folder.journal.exists() else ()
    if store.startswith("http"):
        return MlflowUi(store, None, notes)
    command = (sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--host", host, "--port", str(port))
    return MlflowUi(f"http://{host}:{port}", command, notes)
