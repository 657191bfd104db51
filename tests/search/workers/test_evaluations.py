"""Requests and answers, and what all evaluations have in common."""

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.workers.evaluations import Answer, Request, SearchStopped, WorkerError, succeeded
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.search.workers.requests import Evaluate
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError

CONFIGURATIONS = [Configuration({"a": Encoding.parse(spelling)}) for spelling in ("fp16", "lut8", "lut4")]


def measured(configuration):
    return Evaluation(configuration.hash, Workflow.DATA_FREE, 0.5, (0.5,))


def test_answers_come_as_soon_as_they_are_there_each_with_its_place():
    seconds = {c.hash: taken for c, taken in zip(CONFIGURATIONS, (3.0, 1.0, 2.0), strict=True)}
    evaluations = RecordedEvaluations(measured, lambda c: seconds[c.hash], workers=3)
    found = list(evaluations.completed([Evaluate(configuration) for configuration in CONFIGURATIONS]))
    assert [index for index, _ in found] == [1, 2, 0]
    assert [answer.span[1] for _, answer in found] == [1.0, 2.0, 3.0]
    assert list(evaluations.completed([])) == []


def test_a_failure_is_an_error_where_the_result_is_needed():
    failure = Failure(Stage.FORWARD, "not finite", "head")
    with pytest.raises(WorkerError, match="a worker failed at forward, layer 'head': not finite"):
        RecordedEvaluations(lambda configuration: failure).result(Evaluate(CONFIGURATIONS[0]))
    assert succeeded(Answer(4, (0.0, 1.0))) == 4
    assert issubclass(WorkerError, UserError)


def test_a_request_is_a_short_one_for_the_data_free_workers_unless_it_says_otherwise():
    class Plain(Request[int]):
        def run(self, worker):
            return 1

    assert not Plain().long
    assert Plain().workflow == Workflow.DATA_FREE


def test_answers_are_no_longer_waited_for_once_a_stop_is_asked_for():
    evaluations, got = RecordedEvaluations(measured, lambda c: 1.0, workers=1), []

    def all_of_them():
        requests = [Evaluate(configuration) for configuration in CONFIGURATIONS]
        for index, _ in evaluations.completed(requests, lambda: len(got) == 2):
            got.append(index)

    with pytest.raises(SearchStopped, match="run it again to go on"):
        all_of_them()
    assert got == [0, 1]
    with pytest.raises(SearchStopped):
        evaluations.result(Evaluate(CONFIGURATIONS[0]), lambda: True)
