"""Optuna's own tests of samplers, over ours.

Ours propose over one space of categorical parameters, known from the start, in a study of two objectives at the least. In
any other study, which most of Optuna's cases are, they must still sample whatever is asked for, as a random sampler does.
"""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from palettune.search.experiment.experiment import Constraints
from palettune.search.experiment.objectives import Objective, ObjectiveSet
from palettune.search.proposing.guided_sampler import GuidedSampler
from palettune.search.proposing.solver import Problem
from palettune.search.proposing.unseen_sampler import UnseenSampler

NUMBERS = "a search space has no numbers: each of its parameters is one layer's encoding"
ONE_OBJECTIVE = "a study of one objective has no costs, which proposals are traded against"
OBJECTIVES = ObjectiveSet(
    (Objective("divergence", "minimize", 3.0, logarithmic=True), Objective("size_mb", "minimize", 2.0)), Constraints()
)


def guided(names=("x", "y"), choices=((1, 10, 100), (-1, -10, -100))):
    losses = tuple(np.array([0.01 * 4**i for i in range(len(some))]) for some in choices)
    sizes = tuple(np.array([1.0 / (i + 1) for i in range(len(some))]) for some in choices)
    return GuidedSampler(Problem(losses, {"size_mb": sizes}, {"size_mb": 0.0}), names, choices, OBJECTIVES, 0)


def unseen(inner=RandomSampler):
    space = {"x": CategoricalDistribution([1, 10, 100]), "y": CategoricalDistribution([-1, -10, -100])}
    return UnseenSampler(inner(seed=0), space, 0)


class OfOtherSpaces(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Cases whose parameters are none of the sampler's own, first and second."""


class TestGuidedSamplerOfOtherSpaces(OfOtherSpaces):
    @pytest.fixture
    def sampler(self):
        return lambda: guided(("first", "second"))


class TestUnseenSamplerOfOtherSpaces(OfOtherSpaces):
    @pytest.fixture
    def sampler(self):
        space = {
            "first": CategoricalDistribution(["lut4", "lut8"]),
            "second": CategoricalDistribution(["int8", "fp16"]),
        }
        return lambda: UnseenSampler(RandomSampler(seed=0), space, 0)


class TestUnseenGuidedSamplerOfOtherSpaces(OfOtherSpaces):
    """The two as the product joins them."""

    @pytest.fixture
    def sampler(self):
        space = {"first": CategoricalDistribution([1, 10, 100]), "second": CategoricalDistribution([-1, -10, -100])}
        return lambda: UnseenSampler(guided(("first", "second")), space, 0)


class Relative(RelativeSamplerTestCase):
    @pytest.mark.skip(reason=NUMBERS)
    def test_sample_relative_numerical(self):
        """Not ours."""

    @pytest.mark.skip(reason=NUMBERS)
    def test_sample_relative_mixed(self):
        """Not ours."""

    @pytest.mark.skip(reason=NUMBERS)
    def test_trial_relative_params(self):
        """Not ours."""


class TestUnseenSampler(Relative):
    @pytest.fixture
    def sampler(self):
        return unseen


class TestGuidedSampler(Relative):
    @pytest.fixture
    def sampler(self):
        return guided

    @pytest.mark.skip(reason=ONE_OBJECTIVE)
    def test_sample_relative_categorical(self):
        """The same in a study of two objectives is below."""


def test_the_guided_sampler_proposes_choices_of_its_space_as_they_are_given():
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=guided())
    space = {"x": CategoricalDistribution([1, 10, 100]), "y": CategoricalDistribution([-1, -10, -100])}
    study.tell(study.ask(space), [0.1, 1.0])
    for _ in range(5):
        trial = study.ask(space)
        assert trial.params["x"] in (1, 10, 100)
        assert trial.params["y"] in (-1, -10, -100)
        assert all(type(value) is int for value in trial.params.values())
        study.tell(trial, [0.1, 1.0])
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 6


@pytest.mark.parametrize("sampler", [guided, unseen])
def test_a_parameter_that_somebody_else_fixes_is_left_alone(sampler):
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler())
    space = {"x": CategoricalDistribution([1, 10, 100]), "y": CategoricalDistribution([-1, -10, -100])}
    study.tell(study.ask(space), [0.1, 1.0])
    study.sampler = optuna.samplers.PartialFixedSampler({"y": -10}, study.sampler)
    for _ in range(3):
        trial = study.ask(space)
        assert trial.params["y"] == -10
        study.tell(trial, [0.1, 1.0])
