"""Evaluations from a record, on a simulated clock."""

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.workers.evaluations import WorkerError
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.search.workers.requests import Confirm, Describe, Evaluate
from palettune.testing.evaluations_contract import EvaluationsContract


def measured(configuration):
    value = 1.0 / (1 + len(str(configuration)))
    return Evaluation(configuration.hash, Workflow.DATA_FREE, value, (value, value))


class TestRecordedEvaluations(EvaluationsContract):
    @pytest.fixture
    def evaluations(self):
        return RecordedEvaluations(measured, workers=2)

    def test_the_clock_is_that_of_so_many_workers(self, configurations):
        seconds = dict(zip([c.hash for c in configurations], (5.0, 1.0, 1.0, 1.0), strict=True))
        evaluations = RecordedEvaluations(measured, lambda c: seconds[c.hash], workers=2)
        order = [index for index, _ in evaluations.completed([Evaluate(c) for c in configurations])]
        assert order == [1, 2, 3, 0]  # three short ones end on one worker while the long one goes on
        assert evaluations.clock == 5.0

    def test_the_time_of_the_driver_counts_only_where_that_is_asked_for(self, configurations):
        for timed in (False, True):
            evaluations = RecordedEvaluations(measured, lambda c: 0.0, timed=timed)
            evaluations.result(Evaluate(configurations[0]))
            assert (evaluations.clock > 0) == timed

    def test_confirmations_are_answered_where_there_are_some(self, configurations):
        with pytest.raises(WorkerError, match="no confirmation is on record"):
            RecordedEvaluations(measured).result(Confirm(configurations[0]))
        known = RecordedEvaluations(measured, confirmations=measured)
        assert known.result(Confirm(configurations[0])) == measured(configurations[0])

    def test_what_needs_a_model_is_refused(self, evaluations):
        with pytest.raises(WorkerError, match="not Describe"):
            evaluations.result(Describe())
