"""A session that only adds evaluations to a finished or stopped search: nothing is proposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.added_columns import prepare_columns
from palettune.search.loop.added_evaluations import AddedEvaluations, AskedEvaluation
from palettune.search.loop.session import Places, history_of, search_record
from palettune.search.loop.weights_and_scores import restore_scores
from palettune.search.preparation.as_searched import prepare_as_searched
from palettune.search.preparation.data_groups import data_groups
from palettune.search.preparation.preparation import Preparation
from palettune.search.results.ending import Ending
from palettune.search.results.observer import Observers, SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.tracking.tracking_store import reach_store
from palettune.search.workers.evaluations import never
from palettune.search.workers.start import start_evaluations
from palettune.space.errors import UserError

__all__ = ["add_to_search"]


def add_to_search(
    experiment: Experiment,
    places: Places,
    ask: Callable[[Preparation], Sequence[AskedEvaluation]],
    observers: Sequence[SearchObserver] = (),
    *,
    stop: Callable[[], bool] = never,
) -> list[Record]:
    """Evaluate what is asked for, and add it to the study and to MLflow; give the last record of each.

    Args:
        ask: what is to be evaluated, once the workload is known to be the one that was searched.

    Raises:
        UserError: there is no search, one is running, the workload is not the one searched, or one of the configurations
            cannot be evaluated.
    """
    folder, heard = RunFolder(places.root, experiment.name), Observers(observers)
    if places.storage is None and not folder.journal.exists():
        raise UserError(f"{folder.path}: no search there yet; run `palettune search EXPERIMENT.toml` first")
    with hold(folder, heard.warn):
        uri = places.tracking_uri or folder.remembered_tracking_uri
        with heard.stage("opening MLflow"):
            reach_store(folder, uri, heard.warn)
        record = search_record(folder, replace(places, tracking_uri=uri), heard.warn)
        with heard.stage("checking the workload"):
            storage = open_storage(folder, places.storage)
            preparation = prepare_as_searched(experiment, SearchStudy.searched_layers(storage, experiment.name))
            study = SearchStudy.load(storage, experiment, preparation.identity())
        if study is None:
            raise UserError(
                f"{folder.path}: the search has no trials yet; `palettune search EXPERIMENT.toml` makes some"
            )
        study.keep_groups(data_groups(preparation))
        preparation = replace(preparation, space=study.context.space)
        return _added(preparation, study, folder, places, ask(preparation), record, observers, stop)


def _added(
    preparation: Preparation,
    study: SearchStudy,
    folder: RunFolder,
    places: Places,
    asked: Sequence[AskedEvaluation],
    record: SearchObserver,
    observers: Sequence[SearchObserver],
    stop: Callable[[], bool],
) -> list[Record]:
    observer = Observers([record, *observers])
    evaluations = start_evaluations(preparation, folder, observer, inline=places.inline, ray_address=places.ray_address)
    try:
        configurations = [item.configuration for item in asked]
        restore_scores(preparation, folder.scores / study.context.scores_file, evaluations, observer, stop)
        prepare_columns(preparation, study.context, folder, evaluations, configurations, observer)
        history = history_of(preparation, study, folder)
        adding = AddedEvaluations(
            history,
            evaluations,
            preparation.costs,
            observer,
            confirm=preparation.workload.offers(Split.CONFIRMATION.value),
        )
        return _recorded(adding, asked, history, record, stop)
    finally:
        evaluations.stop()


def _recorded(
    adding: AddedEvaluations,
    asked: Sequence[AskedEvaluation],
    history: SearchHistory,
    record: SearchObserver,
    stop: Callable[[], bool],
) -> list[Record]:
    """Evaluate between the beginning and the end of what is written of the search."""
    ending = Ending.FAILED
    record.on_search_started(history)
    try:
        found = adding.evaluate(asked, stop)
        ending = Ending.STOPPED if stop() else Ending.ADDED
        return found
    finally:
        record.on_finished(ending, history)
