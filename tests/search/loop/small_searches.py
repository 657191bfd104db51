"""Searches of spaces so small that they end before the budget does, by evaluations that cost nothing."""

import random
from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.experiment.experiment import Budget, Experiment
from palettune.search.loop.search import Search, never
from palettune.search.loop.trials import Trials
from palettune.search.proposing.samplers import SamplerSetting, sampler_factory
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import FirstTrial
from palettune.search.study.study import SearchStudy
from palettune.search.study.study_context import StudyContext
from palettune.search.workers.evaluations import Answer, Evaluations, Pending
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


def history_of(layers=2, sampler="random", trials=100, storage=None, in_flight=4):
    """What the study of such a search holds; a new one has two first trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage, space = storage or InMemoryStorage(), space_of(layers)
    experiment = Experiment(name="x", workload=Path("workload.py"), search={"sampler": sampler})
    context = StudyContext("id", DivergenceKind.KL, 1.0, {}, {"size_mb": 1.0}, 0, "scores", space)
    study = SearchStudy.load(storage, experiment)
    if study is None:
        study = SearchStudy.create(storage, experiment, {"experiment": experiment.identity()}, context)
        study.data_free.enqueue(
            [FirstTrial("uniform lut8", space.uniform(MENU[1])), FirstTrial("uniform fp16", space.uniform(MENU[0]))]
        )
    experiment = experiment.model_copy(
        update={
            "budget": Budget(trials=trials),
            "search": experiment.search.model_copy(update={"in_flight": in_flight}),
        }
    )
    return SearchHistory(experiment, study, context.objectives(experiment))


def trials_of(history, pool, screen=0):
    """The trials of such a search."""
    space = history.study.context.space
    return Trials(history, pool, sampler_of(history.experiment, space, history), costs, screen, space.size)


def search(
    layers=2, sampler="random", trials=100, storage=None, pool=None, stop_after=None, in_flight=4, observer=None
):
    """One run of the loop; its ending, its study and its pool."""
    pool, history = pool or Unordered(0), history_of(layers, sampler, trials, storage, in_flight)
    before = len(history.trials)
    stop = (lambda: len(history.trials) - before >= stop_after) if stop_after else never
    ending = Search(history, pool, trials_of(history, pool), stop=stop, observer=observer).run()
    return ending, history.study, pool
