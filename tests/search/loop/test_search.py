"""The loop over spaces so small that they end before the budget does: no evaluation twice, on any workers, after any kill."""

import random
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.experiment.experiment import Budget, Experiment
from palettune.search.loop.search import Search, never
from palettune.search.loop.trials import Trials
from palettune.search.proposing.samplers import SamplerSetting, sampler_factory
from palettune.search.results.ending import Ending
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import FirstTrial
from palettune.search.study.study import SearchStudy
from palettune.search.study.study_context import StudyContext
from palettune.search.workers.evaluations import Answer, Evaluations, Pending
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4")]
SAMPLERS = ("random", "tpe", "nsga2", "gp")


def space_of(layers):
    made = tuple(Layer(f"l{i}", LayerKind.LINEAR, (64, 64 * (i + 1))) for i in range(layers))
    return SearchSpace.build(made, MENU, DeploymentTarget("iOS18"))


def costs(configuration):
    bits = {"fp16": 16, "lut8": 8, "lut4": 4}
    return {"size_mb": sum((i + 1) * bits[str(e)] for i, e in enumerate(configuration.encodings.values())) / 100}


class Unordered(Evaluations):
    """Answers in an order of its own, as several workers would; the first ``lost`` requests fail at ``stage``."""

    def __init__(self, seed, lost=0, stage=Stage.LOST):
        self.random, self.waiting, self.lost, self.evaluated = random.Random(seed), [], lost, []
        self.stage = stage

    size = property(lambda self: 4)
    unanswered = property(lambda self: len(self.waiting))

    def submit(self, request):
        pending = Pending(request)
        self.waiting.append(pending)
        return pending

    def wait(self, timeout=None):
        pending = self.waiting.pop(self.random.randrange(len(self.waiting)))
        configuration = pending.request.configuration
        self.evaluated.append(configuration.hash)
        result = measured(configuration)
        if self.lost:
            self.lost -= 1
            result = Failure(self.stage, "why")
        pending.answer = Answer(result, (0.0, 1.0))

    def stop(self):
        self.waiting.clear()


def measured(configuration):
    divergence = 0.1 / costs(configuration)["size_mb"]
    return Evaluation(configuration.hash, Workflow.DATA_FREE, divergence, (divergence,) * 4)


def sampler_of(experiment, space, history):
    setting = SamplerSetting(space, history.objectives, lambda: pytest.fail("no stock sampler needs scores"))
    return sampler_factory(experiment.search.sampler, setting)


def search(
    layers=2, sampler="random", trials=100, storage=None, pool=None, stop_after=None, in_flight=4, observer=None
):
    """One run of the loop; its ending, its study and its pool."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage, pool, space = storage or InMemoryStorage(), pool or Unordered(0), space_of(layers)
    experiment = Experiment(name="x", workload=Path("workload.py"), search={"sampler": sampler})
    context = StudyContext("id", DivergenceKind.KL, 1.0, {}, {"size_mb": 1.0}, 0, "scores", space)
    study = SearchStudy.load(storage, experiment)
    if study is None:
        study = SearchStudy.create(storage, experiment, {"experiment": experiment.identity()}, context)
        study.enqueue(
            [FirstTrial("uniform lut8", space.uniform(MENU[1])), FirstTrial("uniform fp16", space.uniform(MENU[0]))]
        )
    experiment = experiment.model_copy(
        update={
            "budget": Budget(trials=trials),
            "search": experiment.search.model_copy(update={"in_flight": in_flight}),
        }
    )
    history = SearchHistory(experiment, study, context.objectives(experiment))
    before = len(history.trials)
    stop = (lambda: len(history.trials) - before >= stop_after) if stop_after else never
    trials = Trials(history, pool, sampler_of(experiment, space, history), costs, 0, space.size)
    return Search(history, pool, trials, stop=stop, observer=observer).run(), study, pool


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_space_that_is_exhausted_ends_the_search_without_a_repeat(sampler, layers):
    ending, study, pool = search(layers, sampler)
    assert ending is Ending.EXHAUSTED
    assert "every configuration" in ending.value
    records = study.records()
    assert len(records) == 3**layers == len({r.configuration.hash for r in records})
    assert all(record.answered_from is None for record in records)
    assert sorted(pool.evaluated) == sorted(record.configuration.hash for record in records)
    assert search(layers, sampler, trials=200)[0] is Ending.EXHAUSTED


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_the_same_trials_on_any_workers_and_after_any_kill(sampler):
    def trials(study):
        return [(record.trial, record.configuration.hash) for record in study.records()]

    whole = trials(search(3, sampler)[1])
    assert len(whole) == 27
    assert trials(search(3, sampler, pool=Unordered(5))[1]) == whole
    for stop_after in (1, 9, 20):
        storage = InMemoryStorage()
        assert search(3, sampler, storage=storage, stop_after=stop_after)[0] is Ending.STOPPED
        ending, study, _ = search(3, sampler, storage=storage, pool=Unordered(7))
        assert ending is Ending.EXHAUSTED
        assert trials(study) == whole


@pytest.mark.parametrize("workers", [1, 3])
def test_recorded_evaluations_give_the_same_trials_whatever_they_take(workers):
    def trials(pool):
        return [(record.trial, record.configuration.hash) for record in search(3, pool=pool)[1].records()]

    recorded = RecordedEvaluations(measured, lambda c: 1.0 + int(c.hash, 16) % 7, workers=workers)
    assert trials(recorded) == trials(Unordered(0))
    assert 27 / workers < recorded.clock < 27 * 7


def test_the_history_read_back_is_the_one_that_grew():
    class Listener(SearchObserver):
        def on_search_started(self, history):
            self.before = len(history.steps)

        def on_trial_finished(self, record, history):
            self.history = history

    storage, listener = InMemoryStorage(), Listener()
    _, study, _ = search(2, storage=storage, observer=listener)
    grown = listener.history
    read = SearchHistory(grown.experiment, study, grown.objectives)
    assert listener.before == 0
    assert [step.record.trial for step in read.steps] == [step.record.trial for step in grown.steps] == list(range(9))
    assert [step.metrics for step in read.steps] == [step.metrics for step in grown.steps]
    assert read.front.members == grown.front.members
    assert (read.evaluated, read.hypervolume) == (grown.evaluated, grown.hypervolume) == (9, grown.hypervolume)
    assert read.escalations == []


def test_what_a_worker_took_down_is_tried_again():
    ending, study, pool = search(2, pool=Unordered(0, lost=3))
    assert ending is Ending.EXHAUSTED
    good = [record for record in study.records() if record.evaluation is not None]
    assert len({record.configuration.hash for record in good}) == 9 == len(good)
    assert len(pool.evaluated) == 12


def test_what_raised_is_not_tried_again():
    ending, study, pool = search(2, pool=Unordered(0, lost=3, stage=Stage.RAISED))
    assert ending is Ending.EXHAUSTED
    assert len([record for record in study.records() if record.evaluation is not None]) == 6
    assert len(pool.evaluated) == 9 == len(set(pool.evaluated))


def test_a_budget_below_the_space_is_spent_and_a_larger_one_goes_on_to_its_end():
    storage = InMemoryStorage()
    assert search(2, trials=5, storage=storage)[0] is Ending.TRIALS
    ending, study, pool = search(2, trials=50, storage=storage)
    assert (ending, len(study.records()), len(pool.evaluated)) == (Ending.EXHAUSTED, 9, 4)


def test_repeats_in_a_journal_of_before_are_read():
    storage = InMemoryStorage()
    _, study, _ = search(1, storage=storage, stop_after=2)
    number, configuration = study.ask(lambda seed: RandomSampler(seed))
    old = study._study.ask()  # as trials were asked before: the sampler may repeat itself
    old.suggest_categorical("l0", [str(encoding) for encoding in MENU])
    for key, value in (("origin", "random"), ("workflow", "data_free"), ("configuration_hash", configuration.hash)):
        old.set_user_attr(key, value)
    ending, study, _ = search(1, storage=storage)
    assert ending is Ending.EXHAUSTED
    assert len({record.configuration.hash for record in study.records()}) == 3
    assert number in [record.trial for record in study.records()]


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_a_proposal_that_a_kill_cut_in_half_is_made_again_the_same(sampler):
    for asked in (4, 12):
        storage = InMemoryStorage()
        _, study, _ = search(3, sampler, trials=asked, storage=storage, in_flight=1)
        number = len(study.records())
        experiment = Experiment(name="x", workload=Path("workload.py"), search={"sampler": sampler})
        study._view.sampler = sampler_of(experiment, space_of(3), SearchHistory(experiment, study, study.objectives))(
            study._seed(number)
        )
        study._view.ask().suggest_categorical("l0", [str(encoding) for encoding in MENU])
        found = search(3, sampler, storage=storage, in_flight=1)[1].records()
        alone = search(3, sampler, in_flight=1)[1].records()
        assert [record.configuration.hash for record in found] == [record.configuration.hash for record in alone]
