"""Proposals: seeded by place, and whole again where a killed search left one half drawn."""

from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import Trial

from palettune.search.study.data_free_view import DataFreeView
from palettune.search.study.proposals import Proposals
from tests.search.studies import SPACE, escalate, evaluated, experiment_of, study_of


def test_a_proposal_depends_on_the_experiment_s_seed_and_on_its_place():
    def proposed(seed):
        study = study_of(experiment=experiment_of(seed=seed))
        return [evaluated(study).configuration.hash for _ in range(6)]

    assert proposed(3) == proposed(3)
    assert proposed(3) != proposed(4)
    assert len(set(proposed(3))) > 3


def test_escalations_between_proposals_change_none_of_them():
    alone, between = study_of(), study_of()
    expected = [evaluated(alone).configuration for _ in range(3)]
    first = evaluated(between)
    escalate(between, first)
    assert [first.configuration, *(evaluated(between).configuration for _ in range(2))] == expected


def test_a_proposal_that_was_drawn_and_not_described_gets_its_attributes():
    storage = InMemoryStorage()
    view = DataFreeView(study_of(storage)._study.study_name, storage)
    view.sampler = RandomSampler(experiment_of().seed * 100_003)
    trial = view.ask({name: CategoricalDistribution(choices) for name, choices in SPACE.choices.items()})  # killed here
    completed = Proposals(view, SPACE, experiment_of()).complete(trial._trial_id, 0, RandomSampler)
    assert completed == study_of().data_free.ask(RandomSampler)[1]
    held = Trial(view, trial._trial_id).user_attrs
    assert (held["configuration_hash"], held["workflow"]) == (completed.hash, "data_free")
