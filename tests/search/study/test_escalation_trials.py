"""Escalations as trials: in Optuna's own tools with all that is known of them, and out of sight of samplers."""

from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Stage, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.experiment.experiment import Experiment
from palettune.search.study.escalation import EscalationResult
from palettune.search.study.study import SearchStudy
from palettune.search.study.study_context import StudyContext
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

MENU = [Encoding.parse(name) for name in ("fp16", "int8", "lut4")]
LAYERS = tuple(Layer(f"l{i}", LayerKind.LINEAR, (64, 64 * (i + 1))) for i in range(5))
SPACE = SearchSpace.build(LAYERS, MENU, DeploymentTarget("iOS18"))


def experiment_of(sampler="random", **more):
    return Experiment(name="x", workload=Path("workload.py"), search={"sampler": sampler}, **more)


def study_of(storage=None, experiment=None):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage, experiment = storage or InMemoryStorage(), experiment or experiment_of()
    found = SearchStudy.load(storage, experiment)
    if found is not None:
        return found
    context = StudyContext("id", DivergenceKind.KL, 1.0, {}, {"size_mb": 100.0}, 0, "scores", SPACE)
    return SearchStudy.create(storage, experiment, {"experiment": experiment.identity()}, context)


def costs(configuration):
    bits = {"fp16": 16, "int8": 8, "lut4": 4}
    return {"size_mb": float(sum((i + 1) * bits[str(e)] for i, e in enumerate(configuration.encodings.values())))}


def evaluation(configuration, workflow=Workflow.DATA_FREE, share=1.0):
    divergence = share / costs(configuration)["size_mb"]
    return Evaluation(configuration.hash, workflow, divergence, (divergence,) * 4)


def evaluated(study, result=None):
    """One data-free trial, from its proposal to its record."""
    number, configuration = study.ask(RandomSampler)
    result = result or evaluation(configuration)
    study.keep(number, result, (1.0, 2.0))
    return study.tell(number, result, costs(configuration), study.objectives)


def calibrated(record, share=0.5):
    found = evaluation(record.configuration, Workflow.CALIBRATION, share)
    gains = (Gain("moments", None, 2.0, 1.0, 0.1, 16, True),)
    return EscalationResult(found, "state.safetensors", gains, ("few samples",))


def escalate(study, record, rung="calibration", result=None):
    """One escalation, from its decision to its record."""
    escalation = study.escalations.decide(study._experiment.escalation.rung(rung), record)
    escalation = escalation.answered(result or calibrated(record), (3.0, 4.0))
    study.escalations.keep(escalation)
    return study.escalations.tell(escalation)


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
    optuna.visualization.plot_pareto_front(shown)
    optuna.visualization.plot_parallel_coordinate(shown, target=lambda trial: trial.values[0])


@pytest.mark.parametrize("limits", [{}, {"max_size_mb": 1.0}, {"max_size_mb": 1e3}])
def test_a_record_is_read_back_as_it_was_told(limits):
    storage, experiment = InMemoryStorage(), experiment_of(constraints=limits)
    study = study_of(storage, experiment)
    told = [evaluated(study), evaluated(study, Failure(Stage.FORWARD, "not finite", "l0"))]
    told.append(evaluated(study, Screened(0, 4, 1.0, 0.1)))
    number, _ = study.ask(RandomSampler)
    study.answer(number, 0)
    told.append(study.tell(number, told[0].evaluation, told[0].costs, study.objectives))
    told.append(escalate(study, told[0]))
    told.append(escalate(study, told[0], "fine_tuning", Failure(Stage.TRAIN, "no")))
    assert study_of(storage, experiment).evaluations() == told
    assert [record.feasible for record in told] == [limits != {"max_size_mb": 1.0}] * 1 + [False] * 2 + [
        limits != {"max_size_mb": 1.0}
    ] * 2 + [False]


def test_bytes_of_branches_count_and_activations_are_part_of_what_is_read_back():
    storage = InMemoryStorage()
    study = study_of(storage)
    source = evaluated(study)
    configuration = Configuration(source.configuration.encodings, {"l0": Precision.INT8})
    asked = type(source)(**{**vars(source), "configuration": configuration, "costs": {"size_mb": 7.0}})
    found = calibrated(asked)
    grown = type(found)(found.evaluation, found.state, found.gains, found.notes, 500_000)
    record = escalate(study, asked, "int8_activations", grown)
    assert record.costs == {"size_mb": 7.5}
    (read,) = [r for r in study_of(storage).evaluations() if r.rung == "int8_activations"]
    assert read == record
    assert read.configuration == configuration
    assert optuna.load_study(study_name="x", storage=storage).trials[1].user_attrs["activations"] == {"l0": "int8"}


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
    assert again.running(RandomSampler) == []  # none of them is a proposal
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


def test_the_private_name_that_the_view_for_samplers_overrides_is_there(monkeypatch):
    study = optuna.create_study()
    monkeypatch.setattr(type(study), "_get_trials", lambda self, *_, **__: ["seen"])
    assert study.get_trials() == study.trials == ["seen"]
