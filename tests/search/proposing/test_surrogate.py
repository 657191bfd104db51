"""The surrogate: scores corrected by what was measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.experiment.objectives import Objective
from palettune.search.proposing.surrogate import Surrogate

DIVERGENCE = Objective("divergence", "minimize", 3.0, logarithmic=True)
TOP1 = Objective("top1", "maximize", 0.9, origin=0.9)
SCORES = [np.array([0.0, 0.01, 0.1, 1.0]), np.array([0.0, 0.02, 0.2]), np.array([0.0, 0.005, 0.05, 0.5])]


def choices_of(count, seed=0):
    random = np.random.default_rng(seed)
    return np.stack([random.integers(len(row), size=count) for row in SCORES], axis=1)


def predicted(choices):
    return np.array([[row[c] for row, c in zip(SCORES, some, strict=True)] for some in choices])


def fitted(quality, objective=DIVERGENCE, choices=None):
    choices = choices_of(len(quality)) if choices is None else choices
    surrogate = Surrogate(SCORES, objective)
    losses = np.array([objective.loss(float(value)) for value in quality])
    surrogate.fit(choices, quality, losses, np.zeros(len(quality)))
    return surrogate


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_before_anything_is_measured_the_scores_are_believed(seed):
    choices = choices_of(5, seed)
    mean, deviation = Surrogate(SCORES, DIVERGENCE).predict(choices)
    assert mean == pytest.approx([DIVERGENCE.loss(float(total)) for total in predicted(choices).sum(axis=1)])
    assert (deviation > 0).all()


@settings(max_examples=10)
@given(st.floats(0.1, 5.0))
def test_a_level_that_is_wrong_by_a_factor_is_learned(factor):
    choices = choices_of(40)
    quality = factor * predicted(choices).sum(axis=1) + 1e-3
    found = fitted(quality, choices=choices)
    others = choices_of(10, seed=1)
    truth = [DIVERGENCE.loss(float(value)) for value in factor * predicted(others).sum(axis=1) + 1e-3]
    mean, _ = found.predict(others)
    assert np.abs(mean - truth).mean() < 0.03


def test_a_group_that_matters_more_than_its_scores_say_gets_a_larger_factor():
    choices = choices_of(60)
    found = fitted((predicted(choices) * [1.0, 4.0, 1.0]).sum(axis=1) + 1e-4, choices=choices)
    factors = found.corrected[:, 1] / [row[1] for row in SCORES]
    assert factors[1] > 2 * max(factors[0], factors[2])
    assert (factors > 0).all()


def test_it_is_surer_near_what_was_measured():
    choices = choices_of(20)
    choices = choices[choices[:, 0] == 1]
    found = fitted(predicted(choices).sum(axis=1), choices=choices)
    _, near = found.predict(choices)
    _, far = found.predict(np.array([[3, 0, 0], [0, 0, 3]]))
    assert near.max() < far.min()


def test_a_metric_s_level_follows_the_order_of_the_scores():
    choices = choices_of(40)
    found = fitted(0.9 * np.exp(-predicted(choices).sum(axis=1)), TOP1, choices)
    mean, _ = found.predict(np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 2, 3]]))
    assert (np.diff(mean) > 0).all()
    assert mean[0] == pytest.approx(0.0, abs=0.02)


def test_losses_are_never_below_the_ideal():
    choices = choices_of(30)
    mean, deviation = fitted(np.full(30, 1e-9), choices=choices).predict(choices_of(50, seed=3))
    assert (mean >= 0).all()
    assert np.isfinite(deviation).all()
