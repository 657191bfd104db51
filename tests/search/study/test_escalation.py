"""An escalation and what a worker answers to it."""

from hypothesis import given
from hypothesis import strategies as st

from palettune.evaluators.quality.evaluation import Failure, Stage, Workflow
from palettune.search.study.escalation import Escalation, EscalationResult
from tests.search.studies import SPACE, evaluation

CONFIGURATION = SPACE.uniform(SPACE.menus["l0"].encodings[0])


def result(added_bytes=0):
    return EscalationResult(evaluation(CONFIGURATION), "state.safetensors", added_bytes=added_bytes)


@given(st.integers(1, 10**8), st.floats(0.1, 100))
def test_branches_add_their_bytes_and_leave_no_latency_that_was_predicted_without_them(added, size):
    costs = {"size_mb": size, "latency_ms": 2.0}
    assert result(added).costs(costs) == {"size_mb": size + added / 1e6}
    assert costs == {"size_mb": size, "latency_ms": 2.0}


def test_without_branches_the_costs_are_the_configuration_s():
    assert result().costs({"size_mb": 3.0, "latency_ms": 2.0}) == {"size_mb": 3.0, "latency_ms": 2.0}


def test_an_answer_changes_nothing_of_what_was_asked():
    asked = Escalation(4, "calibration", Workflow("calibration"), 2, CONFIGURATION, {"size_mb": 3.0}, {"x": 1})
    failure = Failure(Stage.CALIBRATE, "no data")
    answered = asked.answered(failure, (1.0, 2.0))
    assert (answered.result, answered.span) == (failure, (1.0, 2.0))
    assert (asked.result, asked.told_at) == (None, None)
    assert answered.answered(None, asked.span) == asked
