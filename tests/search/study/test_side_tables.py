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
