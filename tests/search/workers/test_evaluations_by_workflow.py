"""Workflows that have workers of their own."""

from dataclasses import dataclass

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.workers.evaluations_by_workflow import EvaluationsByWorkflow
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.search.workers.requests import Evaluate
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

FIRST, SECOND = (Configuration({"a": Encoding.parse(spelling)}) for spelling in ("fp16", "lut4"))


def measured(configuration):
    value = 1.0 / (1 + len(str(configuration)))
    return Evaluation(configuration.hash, Workflow.DATA_FREE, value, (value, value))


def test_each_workflow_has_its_own_workers_and_the_rest_is_done_by_the_data_free_ones():
    @dataclass(frozen=True)
    class Calibrated(Evaluate):
        workflow = Workflow("calibration")

    def failing(configuration):
        return Failure(Stage.CALIBRATE, "not here")

    parts = {Workflow.DATA_FREE: RecordedEvaluations(measured), Workflow("calibration"): RecordedEvaluations(failing)}
    both = EvaluationsByWorkflow(parts)
    plain, dear = both.submit(Evaluate(FIRST)), both.submit(Calibrated(SECOND))
    assert both.unanswered == 2
    while both.unanswered:
        both.wait()
    assert plain.answer.result == measured(FIRST)
    assert str(dear.answer.result) == "calibrate: not here"
    alone = EvaluationsByWorkflow({Workflow.DATA_FREE: RecordedEvaluations(measured)})
    assert alone.result(Calibrated(SECOND)) == measured(SECOND)


def test_the_quick_evaluations_are_waited_for_beside_the_long_ones():
    class Waited(RecordedEvaluations):
        def wait(self, timeout=None):
            self.timeouts = [*getattr(self, "timeouts", []), timeout]  # and nothing is answered yet

    quick, long = Waited(measured), Waited(measured)
    both = EvaluationsByWorkflow({Workflow("calibration"): long, Workflow.DATA_FREE: quick})
    long.submit(Evaluate(FIRST))
    both.wait(0.2)
    quick.submit(Evaluate(SECOND))
    both.wait(0.2)
    assert long.timeouts == [0.2, 0]
    assert quick.timeouts == [0.2]


def test_the_size_is_that_of_the_data_free_workers_and_all_are_stopped():
    parts = {
        Workflow.DATA_FREE: RecordedEvaluations(measured, workers=3),
        Workflow("calibration"): RecordedEvaluations(measured, workers=8),
    }
    both = EvaluationsByWorkflow(parts)
    assert both.size == 3
    for part in parts.values():
        part.submit(Evaluate(FIRST))
    both.stop()
    assert both.unanswered == 0
