"""Trials that no sampler proposes: begun, kept and told, in the order in which a killed search can go on."""

from dataclasses import replace

from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.study.long_values import LongValues
from palettune.search.study.trial_writer import TrialWriter
from palettune.space.encoding import Encoding
from tests.search.studies import SPACE, evaluated, evaluation, study_of


def test_a_trial_is_running_then_holds_its_result_then_its_values():
    storage = InMemoryStorage()
    study = study_of(storage)
    record = evaluated(study)
    writer = TrialWriter(study._study, storage, LongValues(storage, 0), SPACE, study.objectives)
    configuration = SPACE.uniform(Encoding.parse("lut4"))
    number = writer.begin(SPACE.to_parameters(configuration), {"origin": "by hand"})
    trial = study._study.trials[number]
    assert (trial.state, trial.params) == (TrialState.RUNNING, SPACE.to_parameters(configuration))
    writer.keep(number, evaluation(configuration), (1.0, 2.0))
    kept = study._study.trials[number]
    assert kept.state is TrialState.RUNNING
    assert kept.user_attrs["span"] == [1.0, 2.0]
    assert "by_sample" not in kept.user_attrs["evaluation"]
    writer.tell(replace(record, trial=number))
    told = study._study.trials[number]
    assert (told.state, told.values) == (TrialState.COMPLETE, list(record.values))


def test_what_has_no_evaluation_fails():
    storage = InMemoryStorage()
    study = study_of(storage)
    writer = TrialWriter(study._study, storage, LongValues(storage, 0), SPACE, study.objectives)
    number = writer.begin({}, {})
    writer.keep(number, Failure(Stage.FORWARD, "no"), (1.0, 2.0))
    writer.tell(replace(evaluated(study), trial=number, evaluation=None, values=None))
    assert study._study.trials[number].state is TrialState.FAIL
