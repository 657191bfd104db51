"""The guided sampler on landscapes whose front is known."""

import itertools

import numpy as np
import optuna
import pytest

from palettune.search.experiment.experiment import Constraints
from palettune.search.experiment.objectives import Objective, ObjectiveSet, hypervolume
from palettune.search.proposing.guided_sampler import GuidedSampler
from palettune.search.proposing.samplers import SamplerSetting, sampler_factory
from palettune.search.proposing.solver import Problem, solve, sweep
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.menu import Menu
from palettune.space.search_space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)
LEVELS = ["fp16", "lut8", "lut6", "lut4", "lut2"]
BITS = np.array([16, 8, 6, 4, 2])


class Landscape:
    """A divergence that is additive up to noise in every group's factor, interactions and saturation."""

    def __init__(self, seed, groups=12, error=0.5, metric=False):
        random = np.random.default_rng(seed)
        self.groups, self.metric = groups, metric
        sizes = random.uniform(0.05, 1.0, groups)
        sensitivity = 10 ** random.uniform(-3, 0, groups)
        true = sensitivity[:, None] * 4.0 ** (-(BITS - 2) / 1.5)[None]
        self.true = true
        guess = true * np.exp(error * random.normal(size=(groups, 1)))
        size = sizes[:, None] * BITS[None] / 16
        self.problem = Problem(tuple(guess), {"size_mb": tuple(size)}, {"size_mb": 0.1})
        self.interaction = random.uniform(-0.2, 0.4, (groups, groups))
        reference = self.problem.total("size_mb", [0] * groups)
        quality = (
            Objective("top1", "maximize", 0.9, origin=0.9)
            if metric
            else Objective("divergence", "minimize", 3.0, logarithmic=True)
        )
        self.objectives = ObjectiveSet((quality, Objective("size_mb", "minimize", reference)), Constraints())

    def divergence(self, choices):
        parts = self.true[np.arange(self.groups), choices]
        roots = np.sqrt(parts)
        return float(3 * (1 - np.exp(-max(parts.sum() + 0.3 * roots @ self.interaction @ roots, 1e-9) / 3)))

    def values(self, choices):
        divergence = self.divergence(choices)
        quality = 0.9 * np.exp(-divergence) if self.metric else divergence
        return [quality, self.problem.total("size_mb", choices)]

    def seeds(self):
        members = sweep(self.problem, "size_mb")
        spread = [members[i].choices for i in np.linspace(0, len(members) - 1, 10).astype(int)]
        return [(i,) * self.groups for i in range(len(LEVELS))] + spread

    def run(self, sampler, trials, seeds=True):
        study = optuna.create_study(directions=self.objectives.directions)
        names = [f"g{i}" for i in range(self.groups)]
        if seeds:
            for choices in self.seeds():
                study.enqueue_trial({name: LEVELS[c] for name, c in zip(names, choices, strict=True)})
        space = {name: optuna.distributions.CategoricalDistribution(LEVELS) for name in names}
        for number in range(trials):
            study.sampler = sampler(number)
            trial = study.ask(space)
            study.tell(trial, self.values([LEVELS.index(trial.params[name]) for name in names]))
        return study

    def guided(self, number):
        names = [f"g{i}" for i in range(self.groups)]
        return GuidedSampler(self.problem, names, [LEVELS] * self.groups, self.objectives, number)

    def space(self):
        layers = tuple(Layer(f"g{i}", LayerKind.LINEAR, (64, 64)) for i in range(self.groups))
        encodings = tuple(Encoding.parse(name) for name in LEVELS)
        return SearchSpace(layers, {x.name: Menu(x, encodings, {}) for x in layers}, tuple((x.name,) for x in layers))

    def volume(self, study):
        return hypervolume(np.array([self.objectives.losses(t.values) for t in study.trials if t.values]))


@pytest.mark.slow
def test_it_gets_nearer_to_the_known_front_than_any_stock_sampler():
    landscape = Landscape(1, groups=6)
    every = [landscape.values(c) for c in itertools.product(range(5), repeat=6)]
    best = hypervolume(np.array([landscape.objectives.losses(v) for v in every]))
    start = landscape.volume(landscape.run(landscape.guided, 15))
    guided = landscape.volume(landscape.run(landscape.guided, 60))
    assert start < guided <= best + 1e-9
    assert best - guided < 0.25 * (best - start)
    for name in ("tpe", "nsga2", "random"):
        setting = SamplerSetting(landscape.space(), landscape.objectives, lambda: landscape.problem)
        stock = landscape.volume(landscape.run(sampler_factory(name, setting), 60))
        assert guided > stock


@pytest.mark.slow
@pytest.mark.parametrize("metric", [False, True])
def test_it_improves_on_its_seeds_for_divergence_and_for_a_metric(metric):
    landscape = Landscape(2, metric=metric)
    start = landscape.volume(landscape.run(landscape.guided, 15))
    assert landscape.volume(landscape.run(landscape.guided, 45)) > start


@pytest.mark.slow
def test_proposals_are_new_reproducible_and_differ_while_others_run():
    landscape = Landscape(3)
    one, two = (landscape.run(landscape.guided, 30) for _ in range(2))
    assert [t.params for t in one.trials] == [t.params for t in two.trials]
    proposed = [tuple(t.params.values()) for t in one.trials[15:]]
    assert len(set(proposed)) == len(proposed)
    one.sampler = landscape.guided(99)
    names = [f"g{i}" for i in range(landscape.groups)]
    space = {name: optuna.distributions.CategoricalDistribution(LEVELS) for name in names}
    first = one.ask(space)
    one.sampler = landscape.guided(99)
    assert one.ask(space).params != first.params


def test_failed_trials_and_constraints_are_taken_into_account():
    landscape = Landscape(4)
    bound = 0.5 * landscape.objectives.objectives[1].reference
    landscape.objectives = ObjectiveSet(landscape.objectives.objectives, Constraints(max_size_mb=bound))
    study = landscape.run(landscape.guided, 20)
    study.tell(
        study.ask({f"g{i}": optuna.distributions.CategoricalDistribution(LEVELS) for i in range(12)}),
        state=optuna.trial.TrialState.FAIL,
    )
    for number in range(10):
        study.sampler = landscape.guided(number)
        trial = study.ask({f"g{i}": optuna.distributions.CategoricalDistribution(LEVELS) for i in range(12)})
        values = landscape.values([LEVELS.index(trial.params[f"g{i}"]) for i in range(12)])
        assert values[1] <= bound
        study.tell(trial, values)


@pytest.mark.slow
def test_its_moves_are_no_worse_than_exact_solutions_of_the_true_problem_by_far():
    landscape = Landscape(5, error=1.0)
    study = landscape.run(landscape.guided, 80)
    truth = Problem(tuple(landscape.true), landscape.problem.costs, landscape.problem.constants)
    budget = 0.35 * landscape.objectives.objectives[1].reference
    ideal = landscape.divergence(solve(truth, {"size_mb": budget}).choices)
    found = min(t.values[0] for t in study.trials if t.values[1] <= budget)
    assert found < 1.5 * ideal
