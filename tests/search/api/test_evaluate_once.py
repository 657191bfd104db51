"""One configuration, compressed and measured in this process."""

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.api.evaluate_once import evaluate_once
from palettune.search.experiment.reporter import Reporter
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from tests.search.small_experiment import changed, small_worker, uniform


@pytest.fixture
def preparation(small):
    return changed(small[0], escalation={"fine_tuning": {"steps": 1, "vector_steps": 1}})


def test_without_a_rung_the_data_free_weights_are_measured(small, preparation):
    worker, configuration = small_worker(preparation, small[1]), uniform(preparation, "lut4")
    found = evaluate_once(worker, preparation, configuration, (), Reporter())
    again = worker.evaluator.measure(configuration)
    assert isinstance(again, Evaluation)
    assert (found.evaluation.by_sample, found.workflow) == (again.by_sample, Workflow.DATA_FREE)
    assert (found.costs, found.state) == (preparation.costs(configuration), None)


def test_each_rung_goes_on_from_what_the_one_before_made(small, preparation):
    worker, configuration = small_worker(preparation, small[1]), uniform(preparation, "int8")
    rungs = (preparation.experiment.escalation.calibration, preparation.experiment.escalation.fine_tuning)
    stages = []

    class Stages(Reporter):
        def stage(self, name):
            stages.append(name)
            return super().stage(name)

    found = evaluate_once(worker, preparation, configuration, rungs, Stages())
    assert stages == ["evaluating: calibration", "evaluating: fine_tuning"]
    assert (found.workflow, found.evaluation.workflow) == (Workflow("fine_tuning"), Workflow("fine_tuning"))
    assert (small[1].states / found.state).exists()


def test_layers_that_cannot_be_compressed_are_all_named(small, preparation):
    worker = small_worker(preparation, small[1])
    configuration = Configuration(dict.fromkeys(("0", "2"), Encoding.parse("lut4-g7")))
    with pytest.raises(UserError, match=r"(?s)2 layer\(s\) could not be compressed.*layer '0'.*layer '2'"):
        evaluate_once(worker, preparation, configuration, (), Reporter())
