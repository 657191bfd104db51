"""What a study holds beside its trials."""

from optuna.storages import InMemoryStorage

from tests.search.made_up import measured
from tests.search.studies import escalate, evaluated, evaluation, study_of


def test_both_tables_are_read_back_by_their_keys_and_kept_apart():
    storage = InMemoryStorage()
    study = study_of(storage)
    first = evaluated(study)
    escalated = escalate(study, first)
    study.confirm(first.key, evaluation(first.configuration, share=2.0))
    study.confirm(escalated.key, evaluation(first.configuration, share=3.0))
    study.keep_measurement(first.configuration.hash, measured(4.5))
    read = study_of(storage)
    assert read.confirmations() == {
        first.key: evaluation(first.configuration, share=2.0),
        escalated.key: evaluation(first.configuration, share=3.0),
    }
    assert read.measurements() == {first.configuration.hash: measured(4.5)}


def test_the_latest_of_a_key_counts_and_a_new_study_has_none():
    study = study_of()
    assert (study.confirmations(), study.measurements()) == ({}, {})
    for ms in (4.5, 3.5):
        study.keep_measurement("a:b", measured(ms))
    assert study.measurements() == {"a:b": measured(3.5)}


def test_groups_of_samples_are_given_to_every_evaluation_and_recipes_are_found_by_name():
    storage = InMemoryStorage()
    study = study_of(storage)
    first = evaluated(study)
    escalated = escalate(study, first)
    study.confirm(first.key, evaluation(first.configuration))
    study.keep_groups({"evaluation_data": (0, 0, 1, 1), "confirmation_data": (3, 3, 3, 4)})
    study.keep_recipe("ours", first.trial)
    study.keep_recipe("ours", escalated.trial)
    read = study_of(storage)
    assert [r.evaluation.groups for r in read.evaluations()] == [(0, 0, 1, 1)] * 2
    assert [r.evaluation.groups for r in read.records()] == [(0, 0, 1, 1)]
    assert read.confirmations()[first.key].groups == (3, 3, 3, 4)
    assert read.recipes() == {"ours": escalated.trial}
    study.keep_groups({})
    assert study_of(storage).records()[0].evaluation.groups == ()
