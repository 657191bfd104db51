"""The suite for workflows finds what it is for: workflows that break the contract fail it."""

import itertools

import pytest
import torch

from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.evaluators.workflow.requirement import Requirement
from palettune.testing.workflow_contract import WorkflowContract

COUNT = itertools.count()


class ChangesTheModel(DataFreeEvaluator):
    def evaluate(self, configuration, start=None):
        found = super().evaluate(configuration, start)
        with torch.no_grad():
            next(self.workload.model.parameters()).add_(1)
        return found


class TakesAnyStart(DataFreeEvaluator):
    def evaluate(self, configuration, start=None):
        return super().evaluate(configuration)


class NeedsUnnamedData(DataFreeEvaluator):
    requirements = frozenset({Requirement.LOSS})

    @classmethod
    def missing(cls, workload):
        return None if workload.offers("loss") else "something is missing"


@pytest.mark.parametrize(
    ("workflow", "test", "arguments"),
    [
        (ChangesTheModel, "test_the_evaluation_is_that_of_the_state", ("convolutions",)),
        (TakesAnyStart, "test_it_continues_only_from_a_result_of_the_same_encodings", ()),
        (NeedsUnnamedData, "test_what_the_workload_lacks_is_named", ()),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_faulty_workflow_fails(workflow, test, arguments, tmp_path):
    getattr(WorkflowContract(), test)(DataFreeEvaluator, *arguments, tmp_path / "good")
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(WorkflowContract(), test)(workflow, *arguments, tmp_path / "faulty")


def test_a_failure_instead_of_a_result_fails(tmp_path):
    class Fails(DataFreeEvaluator):
        def evaluate(self, configuration, start=None):
            return Failure(Stage.ASSEMBLE, "broken")

    with pytest.raises(AssertionError, match="broken"):
        WorkflowContract().test_equal_settings_give_equal_states(Fails, tmp_path)
