"""Members of the front, measured on data that the search never saw."""

from dataclasses import replace

import pytest

from palettune.evaluators.quality.evaluation import Failure, Stage, Workflow
from palettune.search.experiment.reporter import Reporter
from palettune.search.loop.confirmation import confirm_members, members_to_confirm
from palettune.search.results.front import Front
from palettune.search.workers.evaluations import never
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.search.workers.requests import Confirm
from tests.search.loop.small_searches import measured, search
from tests.search.made_up import OBJECTIVES, front


class Asked(RecordedEvaluations):
    """Answers confirmations, and remembers which."""

    def __init__(self, confirmations=measured):
        super().__init__(measured, confirmations=confirmations)
        self.requests = []

    def submit(self, request):
        self.requests.append(request)
        return super().submit(request)


class Heard(Reporter):
    def __init__(self):
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture
def study():
    return search(2)[1]


def test_what_is_confirmed_is_kept_and_not_measured_again(study):
    members = study.records()[:3]
    first, second = Asked(), Asked()
    confirm_members(study, first, members[:2], Heard(), never)
    confirm_members(study, second, members, Heard(), never)
    assert [request.configuration for request in first.requests] == [r.configuration for r in members[:2]]
    assert [request.configuration for request in second.requests] == [members[2].configuration]
    assert study.confirmations() == {record.key: measured(record.configuration) for record in members}


def test_a_member_that_fails_is_said_and_the_others_are_kept(study):
    bad, good = study.records()[:2]
    failure = Failure(Stage.FORWARD, "not finite")
    heard = Heard()
    evaluations = Asked(lambda c: failure if c == bad.configuration else measured(c))
    confirm_members(study, evaluations, [bad, good], heard, never)
    assert heard.warnings == [f"configuration {bad.key} could not be confirmed: forward: not finite"]
    assert set(study.confirmations()) == {good.key}


def test_an_escalated_member_is_confirmed_from_its_state(study):
    record = study.records()[0]
    escalated = replace(record, trial=50, escalated_from=0, state="s.safetensors", workflow=Workflow("calibration"))
    evaluations = Asked()
    confirm_members(study, evaluations, [escalated], Heard(), never)
    assert evaluations.requests == [Confirm(record.configuration, ("s.safetensors", Workflow("calibration")))]
    assert set(study.confirmations()) == {escalated.key} != {record.key}


def test_a_stop_leaves_the_rest_unconfirmed(study):
    evaluations = Asked()
    confirm_members(study, evaluations, study.records()[:3], Heard(), lambda: evaluations.unanswered < 3)
    assert len(study.confirmations()) == 1


def test_the_knee_and_what_was_escalated_come_first():
    members = front()
    escalated = tuple(replace(r, escalated_from=0) if r.trial in (0, 4) else r for r in members)
    found = members_to_confirm(replace(members, members=escalated), 4)
    assert [r.trial for r in found] == [2, 0, 4, 1]
    assert [r.trial for r in members_to_confirm(replace(members, members=escalated), 2)] == [2, 0]
    assert {r.trial for r in members_to_confirm(members, 24)} >= {1, 2, 3, 4}
    assert members_to_confirm(members, 0) == members_to_confirm(Front((), OBJECTIVES), 4) == []
