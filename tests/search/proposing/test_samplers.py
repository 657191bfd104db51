"""Samplers by name."""

from typing import get_args

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from palettune.search.experiment.experiment import Constraints, SamplerName
from palettune.search.experiment.objectives import Objective, ObjectiveSet
from palettune.search.proposing.samplers import SAMPLERS, SamplerSetting, sampler_factory
from palettune.search.proposing.solver import Problem
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.menu import Menu
from palettune.space.search_space import SearchSpace

MENU = tuple(Encoding.parse(name) for name in ("fp16", "lut8", "lut4"))
LAYERS = tuple(Layer(f"l{i}", LayerKind.LINEAR, (64, 64)) for i in range(3))
SPACE = SearchSpace(LAYERS, {x.name: Menu(x, MENU, {}) for x in LAYERS}, tuple((x.name,) for x in LAYERS))
OBJECTIVES = (Objective("divergence", "minimize", 3.0, logarithmic=True), Objective("size_mb", "minimize", 2.0))


def setting(made, **constraints):
    def problem():
        made.append(1)
        losses = tuple(np.array([0.0, 0.01, 0.1]) for _ in LAYERS)
        sizes = tuple(np.array([0.6, 0.3, 0.15]) for _ in LAYERS)
        return Problem(losses, {"size_mb": sizes}, {"size_mb": 0.0})

    return SamplerSetting(SPACE, ObjectiveSet(OBJECTIVES, Constraints(**constraints)), problem)


def proposals(name, made, count=12, constrained=False):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["minimize", "minimize"])
    space = {layer: CategoricalDistribution(choices) for layer, choices in SPACE.choices.items()}
    factory = sampler_factory(name, setting(made))
    for seed in range(count):
        study.sampler = factory(seed)
        trial = study.ask(space)
        if constrained:
            trial.set_constraint("max_size_mb", 1.0 if trial.params["l1"] == "fp16" else -1.0)
        study.tell(trial, [0.1 + len(trial.params["l0"]), float(seed)])
    return [tuple(trial.params.values()) for trial in study.trials]


def test_an_experiment_can_name_every_sampler_and_no_other():
    assert set(SAMPLERS) == set(get_args(SamplerName))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_proposals_follow_from_seeds_and_are_never_made_twice(name):
    made = []
    found = proposals(name, made)
    assert found == proposals(name, [])
    assert len(set(found)) == len(found)
    assert len(made) == (name == "guided")  # scores and costs are asked for once, by the one that needs them


@pytest.mark.parametrize("name", ["tpe", pytest.param("gp", marks=pytest.mark.slow)])
def test_stock_samplers_look_at_the_constraints_that_trials_carry(name):
    free, bound = (proposals(name, [], 16, constrained) for constrained in (False, True))
    assert free != bound
