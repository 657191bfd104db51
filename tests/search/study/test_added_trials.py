"""Trials that somebody added to a study."""

from dataclasses import replace

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.evaluation import Failure, Stage, Workflow
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from tests.search.studies import (
    LAYERS,
    SPACE,
    calibrated,
    costs,
    escalate,
    evaluated,
    evaluation,
    experiment_of,
    study_of,
)

INSIDE = SPACE.uniform(Encoding.parse("lut4"))
OUTSIDE = Configuration(dict.fromkeys((layer.name for layer in LAYERS), Encoding.parse("lut6")))
COSTS = {"size_mb": 90.0}


def added(study, configuration=INSIDE, share=1.0):
    result = replace(evaluation(INSIDE, share=share), configuration_hash=configuration.hash)
    return study.added.add("by hand", configuration, result, COSTS, (5.0, 6.0))


def test_what_is_added_is_read_back_inside_the_space_and_outside():
    storage = InMemoryStorage()
    study = study_of(storage)
    written = [added(study), added(study, OUTSIDE)]
    read = study_of(storage).evaluations()
    assert read == written
    assert [record.configuration for record in read] == [INSIDE, OUTSIDE]
    assert all(record.added and record.origin == "by hand" and record.span == (5.0, 6.0) for record in read)
    trials = optuna.load_study(study_name="x", storage=storage).trials
    assert [bool(trial.params) for trial in trials] == [True, False]
    assert all(list(trial.values) == list(record.values) for trial, record in zip(trials, read, strict=True))


def test_neither_the_sampler_nor_the_search_sees_it():
    alone, beside = study_of(), study_of()
    first = [evaluated(alone).configuration for _ in range(4)]
    second = []
    for _ in range(4):
        added(beside, OUTSIDE)
        record = evaluated(beside)
        second.append(record.configuration)
    assert first == second
    assert len(beside.records()) == 4
    assert len(beside.evaluations()) == 8


def test_an_added_escalation_is_none_that_the_search_decided():
    study = study_of()
    source = evaluated(study)
    rung = study._experiment.escalation.calibration
    record = study.added.escalate(rung, source, calibrated(source), (7.0, 8.0))
    assert (record.escalated_from, record.rung, record.state) == (source.trial, "calibration", "state.safetensors")
    assert record.workflow == Workflow("calibration")
    assert record in study.evaluations()
    assert study.escalations.all() == study.escalations.present() == []
    own = escalate(study, source)
    assert [e.trial for e in study.escalations.present()] == [own.trial]
    assert [r.added for r in study.evaluations()] == [False, True, False]


def test_inputs_in_8_bits_are_read_back_outside_the_space_too():
    storage = InMemoryStorage()
    study = study_of(storage)
    source = added(study, OUTSIDE)
    rounded = replace(source, configuration=Configuration(OUTSIDE.encodings, {"l0": Precision.INT8}))
    rung, result = study._experiment.escalation.int8_activations, calibrated(replace(source, configuration=INSIDE))
    record = study.added.escalate(rung, rounded, result, (7.0, 8.0))
    assert record.configuration == rounded.configuration
    assert study_of(storage).evaluations() == [source, record]


def test_an_escalation_under_other_settings_is_left_out():
    storage = InMemoryStorage()
    study = study_of(storage, experiment_of(escalation={"fine_tuning": {"steps": 10}}))
    source = evaluated(study)
    study.added.escalate(study._experiment.escalation.fine_tuning, source, calibrated(source), (7.0, 8.0))
    assert len(study_of(storage, experiment_of(escalation={"fine_tuning": {"steps": 10}})).evaluations()) == 2
    assert len(study_of(storage, experiment_of(escalation={"fine_tuning": {"steps": 20}})).evaluations()) == 1


def test_a_failure_and_a_broken_constraint_are_kept_as_such():
    storage = InMemoryStorage()
    study = study_of(storage, experiment_of(constraints={"max_size_mb": 50}))
    failed = study.added.add("by hand", INSIDE, Failure(Stage.FORWARD, "why"), COSTS, (5.0, 6.0))
    assert (failed.evaluation, str(failed.failure)) == (None, "forward: why")
    assert not added(study).feasible
    trials = optuna.load_study(study_name="x", storage=storage, sampler=RandomSampler()).trials
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE"]
    assert trials[1].user_attrs["constraints"] == study.objectives.violations(evaluation(INSIDE), COSTS)
    assert costs(INSIDE) != COSTS
