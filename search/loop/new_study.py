"""A new study: weights compressed, layers scored, first trials solved, and all of it written down at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.weights_and_scores import fill_bank, score_layers
from palettune.search.preparation.driver_weights import prune_search_space
from palettune.search.preparation.preparation import Preparation
from palettune.search.proposing.allocation import allocation_problem
from palettune.search.proposing.first_trials import first_trials
from palettune.search.proposing.solver import Problem
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.study.study_context import StudyContext
from palettune.search.workers.evaluations import Evaluations, never
from palettune.search.workers.requests import Describe, FloatFacts

__all__ = ["create_study", "problem_of"]


def create_study(
    preparation: Preparation,
    identity: Mapping[str, Any],
    folder: RunFolder,
    evaluations: Evaluations,
    reporter: Reporter,
    *,
    storage: str | None,
    fresh: bool,
    stop: Callable[[], bool] = never,
) -> SearchStudy:
    """Compress and score what the search needs, and create its study with the first trials enqueued.

    Args:
        storage: URL of a database for the study; ``None`` for the journal in the run folder.
        fresh: put an earlier study of this name aside, once nothing can refuse the new one.
        stop: asked about once a second.

    Raises:
        SearchStopped: ``stop`` was true.
        UserError: for anything the user can mend.
    """
    experiment = preparation.experiment
    fill_bank(preparation, folder, evaluations, reporter, stop)
    if experiment.space.prune:
        preparation = prune_search_space(preparation, folder, reporter)
    with reporter.stage("running the float model"):
        facts = evaluations.result(Describe(), stop)
    scores, file = score_layers(preparation, identity, folder, evaluations, facts.energy, reporter, stop)
    context = _context(preparation, facts, file)
    first = first_trials(
        preparation.space,
        experiment.space.parsed,
        partial(problem_of, preparation, scores),
        context.objectives(experiment),
        experiment.search.solved_trials,
    )
    if fresh and storage is None:
        folder.set_aside()
    opened = open_storage(folder, storage)
    if fresh:
        SearchStudy.set_aside(opened, experiment.name)
    study = SearchStudy.create(opened, experiment, identity, context)
    study.data_free.enqueue(first)
    return study


def _context(preparation: Preparation, facts: FloatFacts, scores_file: str) -> StudyContext:
    space = preparation.space
    return StudyContext(
        search_id=StudyContext.new_id(),
        kind=preparation.kind,
        chance=facts.chance,
        float_metrics=facts.metrics,
        float_costs=preparation.costs(space.uniform(preparation.experiment.space.parsed[0])),
        rest_bytes=preparation.rest,
        scores_file=scores_file,
        space=space,
        ops=preparation.latency.ops if preparation.latency is not None else None,
    )


def problem_of(preparation: Preparation, scores: Scores) -> Problem:
    """Build the allocation problem of a prepared experiment."""
    target = preparation.experiment.deployment_target
    return allocation_problem(preparation.space, target, preparation.rest, scores, preparation.latency)
