"""The base of all workflows: requirements are checked on construction, starts by their encodings."""

import pytest

from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.workflow.evaluator import WorkflowError, check_start
from palettune.evaluators.workflow.requirement import Requirement
from palettune.space.configuration import Configuration, Precision
from palettune.testing.workloads import parse_configuration, setting_of


class NeedsLoss(DataFreeEvaluator):
    name = "needs_loss"
    requirements = frozenset({Requirement.LOSS, Requirement.CALIBRATION_DATA})


def test_a_workflow_without_what_it_needs_is_not_constructed(tmp_path):
    setting = setting_of(tmp_path, without=["loss"])
    message = r"workload\.py: the workflow 'needs_loss' needs the function loss\(\); define it"
    with pytest.raises(WorkflowError, match=message):
        NeedsLoss(setting)
    assert NeedsLoss.missing(setting_of(tmp_path / "whole").workload) is None


def test_a_start_has_the_same_encodings_and_may_have_other_activations(tmp_path):
    setting = setting_of(tmp_path)
    configuration = parse_configuration(setting, "lut4")
    start = DataFreeEvaluator(setting).evaluate(configuration)
    check_start(Configuration(configuration.encodings, {"project": Precision.INT8}), start)
    check_start(configuration, None)
    other = parse_configuration(setting, "lut4", project="lut2")
    with pytest.raises(WorkflowError, match=f"{other.hash} cannot start from a result of {configuration.hash}"):
        check_start(other, start)
