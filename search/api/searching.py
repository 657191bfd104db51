"""Run a search from Python: in a notebook, a script or a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from palettune.search.api.run import Run, open_run
from palettune.search.display.notebook import NotebookObserver, in_notebook
from palettune.search.experiment.experiment import Experiment
from palettune.search.loop.session import Places, run_session
from palettune.search.results.observer import SearchObserver
from palettune.search.workers.evaluations import never

__all__ = ["run_search"]


def run_search(
    experiment: Experiment | str | Path,
    *,
    root: str | Path = "runs",
    storage: str | None = None,
    tracking_uri: str | None = None,
    ray_address: str | None = None,
    inline: bool = False,
    fresh: bool = False,
    observers: Sequence[SearchObserver] | None = None,
    also: Sequence[str | Path] = (),
    stop: Callable[[], bool] = never,
) -> Run:
    """Run a search, or go on with it; what is already known is never computed again.

    Works on any thread and installs no signal handlers: ``KeyboardInterrupt`` ends it, and the next call goes on.

    Args:
        experiment: an experiment, or the path of its file.
        root: the folder of all runs; everything the search leaves lies under ``root/NAME``.
        storage: URL of a database for Optuna, instead of the journal file.
        tracking_uri: MLflow server or store, instead of the run folder's.
        ray_address: Ray cluster to work on, instead of this machine.
        inline: evaluate in this process, one trial after another, without Ray.
        fresh: begin anew; an earlier search of this name is put aside.
        observers: hear what happens. Without it a notebook shows a live front, and a script is silent.
        also: files of recipes to compare the search with, besides those that the experiment names.
        stop: asked several times a second while trials go on, and about once a second before; true ends the search, which
            can be gone on with.

    Raises:
        SearchStopped: ``stop`` was true before the first trial, so that there is no run yet.
        UserError: for anything the user can mend; the message names the file, key or layer.
    """
    loaded = Experiment.of(experiment)
    heard = observers if observers is not None else [NotebookObserver()] if in_notebook() else []
    places = Places(Path(root), storage, tracking_uri, ray_address, inline)
    outcome = run_session(loaded, places, heard, stop=stop, fresh=fresh, also=[Path(path).resolve() for path in also])
    return open_run(loaded, root=root, storage=storage, ending=outcome.ending)
