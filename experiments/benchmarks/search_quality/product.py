"""The product's own loop over a landscape: its trials in flight, its first trials, its deduplication, its samplers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
from landscape import Run
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.experiment.experiment import SamplerName
from palettune.search.loop.search import Search
from palettune.search.loop.trials import Trials
from palettune.search.proposing.samplers import SamplerSetting, sampler_factory
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.proposals import SamplerFactory
from palettune.search.study.record import FirstTrial, Record
from palettune.search.study.study import SearchStudy
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.space.configuration import Configuration

__all__ = ["sampler_of", "search"]


class Counting(SearchObserver):
    """Counts a search's evaluations on a run; trials answered from an earlier one are none.

    Args:
        began: simulated seconds of the run before the search.
    """

    def __init__(self, run: Run, began: float) -> None:
        self._run, self._began = run, began

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """Count one trial, at the second at which its evaluation ended."""
        if record.answered_from is None and record.evaluation is not None:
            row = self._run.landscape.row(record.configuration)
            self._run.count(row, record.evaluation.divergence, self._began + record.span[1])


def sampler_of(run: Run, name: SamplerName) -> SamplerFactory:
    """A sampler of the product's over a run's landscape."""
    landscape = run.landscape
    setting = SamplerSetting(landscape.space, landscape.objectives, lambda: landscape.problem("fisher"))
    return sampler_factory(name, setting)


def search(run: Run, sampler: SamplerName, first: Sequence[FirstTrial], seed: int) -> None:
    """Search until the run's budget is spent, or nothing new is proposed."""
    landscape = run.landscape
    budget = {"trials": max(1, math.ceil(run.left))}
    experiment = landscape.experiment(seed=seed, budget=budget, search={"sampler": sampler})
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = SearchStudy.create(InMemoryStorage(), experiment, {"experiment": experiment.identity()}, landscape.context)
    study.data_free.enqueue(first)

    def measured(configuration: Configuration) -> Evaluation:
        divergence = landscape.measure(landscape.row(configuration)).divergence
        return Evaluation(configuration.hash, Workflow.DATA_FREE, divergence, (divergence,))

    evaluations = RecordedEvaluations(measured, lambda configuration: landscape.seconds, timed=True)
    history = SearchHistory(experiment, study, landscape.objectives)
    trials = Trials(history, evaluations, sampler_of(run, sampler), landscape.costs_of, size=landscape.space.size)
    Search(history, evaluations, trials, observer=Counting(run, run.seconds)).run()
