"""Escalations as trials: in Optuna's own tools with all that is known of them, and out of sight of samplers."""

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from palettune.evaluators.quality.evaluation import Failure, Stage
from tests.search.studies import calibrated, escalate, evaluated, experiment_of, study_of


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "gp"])
def test_the_same_configurations_are_proposed_whatever_is_escalated_between_them(sampler):
    trials = 18 if sampler == "gp" else 34

    def proposed(escalated_after, killed_after=()):
        storage, experiment = InMemoryStorage(), experiment_of(sampler)
        study = study_of(storage, experiment)
        for place in range(trials):
            record = evaluated(study)
            if place in escalated_after:
                escalate(study, record)
                study.escalations.decide(experiment.escalation.calibration, record)  # and one still under way
            if place in killed_after:
                study = study_of(storage, experiment)
        return [record.configuration.hash for record in study.records()], study

    alone, _ = proposed(())
    among, study = proposed((3, 4, 11, 15), (4, 12))
    assert among == alone
    assert len(study.escalations.all()) == 8
    assert [record.trial for record in study.records()] != list(range(trials))


def test_optuna_shows_every_escalation_with_its_choices_and_what_became_of_it():
    storage = InMemoryStorage()
    study = study_of(storage)
    source = evaluated(study)
    record = escalate(study, source)
    failed = escalate(study, source, "fine_tuning", Failure(Stage.TRAIN, "the loss is not finite", "l1"))
    shown = optuna.load_study(study_name="x", storage=storage)
    assert shown.metric_names == ["divergence", "size_mb"]
    _, good, bad = shown.trials
    assert (good.number, good.state, tuple(good.values)) == (record.trial, TrialState.COMPLETE, record.values)
    assert good.params == {name: str(encoding) for name, encoding in source.configuration.encodings.items()}
    told = good.user_attrs
    assert (told["workflow"], told["rung"], told["origin"]) == ("calibration", "calibration", "escalated from 0")
    assert (told["escalated_from"], told["state"], told["notes"]) == (0, "state.safetensors", ["few samples"])
    assert (told["configuration_hash"], told["costs"]) == (source.configuration.hash, dict(source.costs))
    assert told["gains"][0]["method"] == "moments"
    assert (bad.number, bad.state) == (failed.trial, TrialState.FAIL)
    assert bad.user_attrs["status_reason"] == "train, layer 'l1': the loss is not finite"
    assert bad.user_attrs["settings"] == {"vector_steps": 100, "steps": 300}
    assert not [key for trial in shown.trials for key in trial.user_attrs if key.startswith("climb")]
    optuna.visualization.matplotlib.plot_pareto_front(shown)
    optuna.visualization.matplotlib.plot_parallel_coordinate(shown, target=lambda trial: trial.values[0])


def test_an_escalation_under_way_when_the_driver_died_keeps_its_number_and_its_answer():
    storage = InMemoryStorage()
    study = study_of(storage)
    source = evaluated(study)
    first, second = (
        study.escalations.decide(experiment_of().escalation.rung(n), source) for n in ("calibration", "fine_tuning")
    )
    study.escalations.keep(second.answered(calibrated(source), (3.0, 4.0)))
    again = study_of(storage)
    assert [(e.trial, e.result is None, e.told_at) for e in again.escalations.present()] == [
        (first.trial, True, None),
        (second.trial, False, None),
    ]
    assert again.data_free.interrupted(RandomSampler) == []  # none of them is a proposal
    assert [record.trial for record in again.evaluations()] == [source.trial]


def test_results_of_other_settings_are_left_out_said_and_brought_back():
    storage = InMemoryStorage()

    def reopened(steps):
        return study_of(storage, experiment_of(escalation={"fine_tuning": {"steps": steps, "count": 2}}))

    study = reopened(300)
    source = evaluated(study)
    calibration = escalate(study, source)
    tuned = escalate(study, calibration, "fine_tuning")
    pending = study.escalations.decide(reopened(300)._experiment.escalation.fine_tuning, source)
    changed = reopened(200)
    assert [e.trial for e in changed.escalations.present()] == [calibration.trial]
    assert [r.trial for r in changed.evaluations()] == [source.trial, calibration.trial]
    (note,) = changed.notes
    assert all(words in note for words in ("1 escalation(s) to fine_tuning", "steps was 300, is 200", "search"))
    changed.escalations.give_up()
    assert optuna.load_study(study_name="x", storage=storage).trials[pending.trial].state == TrialState.FAIL
    back = reopened(300)
    assert [r.trial for r in back.evaluations()] == [source.trial, calibration.trial, tuned.trial]
    assert back.notes == ()


def test_counts_and_settings_that_are_not_used_change_no_result():
    storage = InMemoryStorage()
    study = study_of(storage)
    record = escalate(study, evaluated(study), "fine_tuning")
    other = {"calibration": 7, "fine_tuning": {"count": 9, "adapter_placement": "merged"}, "in_flight": 5}
    assert study_of(storage, experiment_of(escalation=other)).evaluations()[-1].trial == record.trial
