"""Records as attributes of trials, and back."""

import json

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Stage
from palettune.evaluators.quality.gain import Gain
from palettune.search.experiment.experiment import EscalationSettings
from palettune.search.study.escalation import EscalationResult
from palettune.search.study.record_codec import attributes_of, long_values_of, result_of
from palettune.space.configuration import Configuration, Precision
from tests.search.studies import calibrated, escalate, evaluated, experiment_of, study_of

figures = st.floats(0, 1e3)
evaluations = st.builds(
    Evaluation,
    st.text("0123456789abcdef", min_size=4),
    st.sampled_from(EscalationSettings().workflows),
    figures,
    st.lists(figures, min_size=1, max_size=5).map(tuple),
    st.dictionaries(st.sampled_from(["top1", "f1"]), figures),
    st.dictionaries(st.sampled_from(["forward", "compress"]), figures),
)
gains = st.builds(
    Gain, st.just("moments"), st.none() | st.just("l0"), figures, figures, figures, st.integers(1, 99), st.booleans()
)
results = st.one_of(
    evaluations,
    st.builds(Screened, st.integers(0, 99), st.integers(1, 99), figures, figures),
    st.builds(Failure, st.sampled_from(Stage), st.text(), st.none() | st.just("l0")),
    st.builds(
        EscalationResult,
        evaluations,
        st.just("state.safetensors"),
        st.lists(gains, max_size=3).map(tuple),
        st.lists(st.text(), max_size=2).map(tuple),
        st.integers(0, 10**9),
    ),
)


@given(results, st.tuples(figures, figures))
def test_every_result_comes_back_from_a_journal_as_it_was(result, span):
    attributes = json.loads(json.dumps(attributes_of(result, span)))
    beside = json.loads(json.dumps(long_values_of(result)))
    assert result_of(attributes, lambda: beside) == result
    assert attributes["span"] == list(span)
    assert ("status_reason" in attributes) == isinstance(result, Screened | Failure)


@given(results)
def test_a_result_that_an_attribute_holds_whole_is_read_without_its_long_values(result):
    attributes = attributes_of(result, (0.0, 1.0))
    if isinstance(result, EscalationResult):
        attributes |= {"gains": [gain.to_json() for gain in result.gains]}
    evaluation = getattr(result, "evaluation", result)
    if isinstance(evaluation, Evaluation):
        attributes["evaluation"] = evaluation.to_json()
    assert result_of(attributes, lambda: pytest.fail("asked for")) == result


@given(results)
def test_a_result_cut_short_by_a_kill_is_none(result):
    attributes = attributes_of(result, (0.0, 1.0))
    last = list(attributes)[-1]
    assert result_of({name: value for name, value in attributes.items() if name != last}) is None


@pytest.mark.parametrize("limits", [{}, {"max_size_mb": 1.0}, {"max_size_mb": 1e3}])
def test_a_record_is_read_back_as_it_was_told(limits):
    storage, experiment = InMemoryStorage(), experiment_of(constraints=limits)
    study = study_of(storage, experiment)
    told = [evaluated(study), evaluated(study, Failure(Stage.FORWARD, "not finite", "l0"))]
    told.append(evaluated(study, Screened(0, 4, 1.0, 0.1)))
    number, _ = study.data_free.ask(RandomSampler)
    study.data_free.answer(number, 0)
    told.append(study.data_free.tell(number, told[0].evaluation, told[0].costs, study.objectives))
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
