"""Records: one finished evaluation, whichever its result."""

from dataclasses import replace

import pytest

from palettune.evaluators.quality.evaluation import Failure, Screened, Stage, Workflow
from palettune.search.experiment.experiment import Constraints
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.study.escalation import EscalationResult
from palettune.search.study.record import Record
from tests.search.made_up import OBJECTIVES, record

GIVEN = record(3, 0.2, 5.0)
SCREENED, FAILURE = Screened(0, 4, 1.0, 0.1), Failure(Stage.FORWARD, "not finite", "l0")


def judged(result, objectives=OBJECTIVES, **more):
    known = {"trial": 3, "origin": "tpe", "configuration": GIVEN.configuration, "answered_from": None}
    known |= {"workflow": Workflow.DATA_FREE, "span": (0.0, 1.0)} | more
    return Record.judged(result, objectives, {"size_mb": 5.0}, **known)


def test_an_evaluation_is_judged_by_the_objectives_and_the_constraints():
    assert judged(GIVEN.evaluation) == GIVEN
    strict = ObjectiveSet(OBJECTIVES.objectives, Constraints(max_divergence=0.1))
    assert judged(GIVEN.evaluation, strict) == replace(GIVEN, feasible=False)


@pytest.mark.parametrize("result", [SCREENED, FAILURE, None])
def test_without_an_evaluation_there_are_no_values_and_nothing_is_feasible(result):
    found = judged(result)
    assert (found.values, found.feasible, found.evaluation) == (None, False, None)
    assert found.result == result
    assert (found.screened, found.failure) == (
        result if result is SCREENED else None,
        result if result is FAILURE else None,
    )
    assert found.costs == {"size_mb": 5.0}


def test_what_an_escalation_adds_in_bytes_counts_against_the_constraints():
    result = EscalationResult(GIVEN.evaluation, "state.safetensors", added_bytes=2_000_000)
    tight = ObjectiveSet(OBJECTIVES.objectives, Constraints(max_size_mb=6.0))
    found = judged(result, tight, escalated_from=1)
    assert found.costs == {"size_mb": 7.0}
    assert found.values == (0.2, 7.0)
    assert not found.feasible
    assert found.state == "state.safetensors"


def test_a_key_names_the_configuration_and_of_escalations_the_trial_too():
    assert GIVEN.key == replace(GIVEN, trial=9).key == GIVEN.configuration.hash
    escalated = [replace(GIVEN, trial=number, escalated_from=3) for number in (4, 5)]
    assert len({GIVEN.key, *(found.key for found in escalated)}) == 3


def test_it_is_shown_in_a_line_with_its_divergence_or_with_what_went_wrong():
    assert repr(GIVEN) == "Record(trial 3, data_free, size_mb 5, divergence 0.2)"
    assert "forward, layer 'l0': not finite" in repr(judged(FAILURE))
