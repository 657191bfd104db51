"""Proposals that were not made before."""

import itertools

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.proposing.unseen_sampler import UnseenSampler

CHOICES = {"x": ("a", "b", "c"), "y": ("d", "e")}
SPACE = {name: CategoricalDistribution(choices) for name, choices in CHOICES.items()}


class Always(BaseSampler):
    """Proposes the same again and again, and counts how often it was asked."""

    def __init__(self, **proposal):
        self.proposal, self.asked, self.told = proposal, 0, []

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        self.asked += 1
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.proposal.get(param_name, param_distribution.choices[0])

    def after_trial(self, study, trial, state, values):
        self.told.append((trial.number, state))


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study()


def ask(study, seed=0, inner=None, space=SPACE):
    study.sampler = UnseenSampler(inner or Always(x="b", y="e"), space, seed)
    return study.ask(space)


def test_a_space_is_gone_through_whole_before_anything_comes_again(study):
    trials = [ask(study, seed) for seed in range(6)]
    assert {tuple(trial.params.values()) for trial in trials} == set(itertools.product(*CHOICES.values()))
    assert ask(study).params == {"x": "b", "y": "e"}  # nothing is left: what the sampler wants


def test_what_is_new_is_taken_at_the_first_draw(study):
    inner = Always(x="c", y="d")
    assert ask(study, inner=inner).params == {"x": "c", "y": "d"}
    assert inner.asked == 1
    assert ask(study, inner=inner).params != {"x": "c", "y": "d"}
    assert inner.asked == 6


def test_the_pick_depends_on_the_seed_and_on_the_trials_before_alone(study):
    ask(study)
    first = ask(study, seed=7).params
    again = optuna.create_study()
    ask(again)
    assert ask(again, seed=7).params == first
    others = []
    for seed in range(10):
        another = optuna.create_study()
        ask(another)
        others.append(ask(another, seed=seed).params["x"])
    assert len(set(others)) > 1


def test_a_proposal_made_again_after_a_kill_does_not_see_the_trials_after_it(study):
    study.ask()  # killed before it had any parameter
    later = ask(study)
    sampler = UnseenSampler(Always(x="b", y="e"), SPACE, 0)
    assert sampler.sample_relative(study, study.trials[0], SPACE) == later.params == {"x": "b", "y": "e"}
    assert sampler.sample_relative(study, study.trials[1], SPACE) == later.params  # nor itself


@pytest.mark.parametrize(("stage", "again"), [(Stage.LOST, True), (Stage.RAISED, False)])
def test_what_a_worker_took_down_with_it_may_come_again(study, stage, again):
    trial = ask(study)
    trial.set_user_attr("failure", Failure(stage, "why").to_json())
    study.tell(trial, state=TrialState.FAIL)
    assert (ask(study).params == trial.params) == again


def test_in_a_space_too_large_to_list_the_last_draw_stands(study):
    large = {f"p{number}": CategoricalDistribution(range(16)) for number in range(5)}
    inner = Always()
    for _ in range(3):
        assert set(ask(study, inner=inner, space=large).params.values()) == {0}
    assert inner.asked == 1 + 5 + 5


def test_an_enqueued_trial_is_left_as_it_is_and_the_sampler_hears_of_every_end(study):
    inner = Always()
    ask(study, inner=inner)
    study.enqueue_trial({"x": "a", "y": "d"})
    study.sampler = UnseenSampler(inner, SPACE, 0)
    trial = study.ask(SPACE)
    assert trial.params == {"x": "a", "y": "d"}
    study.tell(trial, 1.0)
    assert inner.told == [(1, TrialState.COMPLETE)]
