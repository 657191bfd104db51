"""The registry of rungs."""

import pytest
from pydantic import ValidationError

from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.fine_tuning import FineTuning
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.experiment.rungs.result_words import result_words
from palettune.testing.workflow_contract import WorkflowContract
from palettune.testing.workloads import setting_of, write_workload

#: What every registered rung evaluates with, in short; and adapters, which the rung of fine-tuning has for a rank.
MAKERS = {
    "data_free": DataFreeEvaluator,
    **{rung.name: rung.evaluator for rung in EscalationSettings(fine_tuning={"vector_steps": 4, "steps": 6}).rungs},
    "adapters": FineTuning(adapter_rank=1, steps=6).evaluator,
}
QUICK = ("data_free", "fine_tuning")


def test_each_rung_is_registered_under_its_name_and_builds_on_an_earlier_one():
    rungs = EscalationSettings().rungs
    assert [rung.name for rung in rungs] == ["calibration", "int8_activations", "fine_tuning"]
    for place, rung in enumerate(rungs):
        assert getattr(EscalationSettings(), rung.name) == rung
        assert rung.builds_on is None or rung.builds_on in [below.name for below in rungs[:place]]


def test_a_count_alone_is_the_whole_section():
    settings = EscalationSettings.model_validate({"calibration": 4, "int8_activations": {"count": 1}})
    assert settings == EscalationSettings.model_validate({"calibration": {"count": 4}, "int8_activations": 1})
    assert [(rung.name, rung.count) for rung in settings.asked] == [("calibration", 4), ("int8_activations", 1)]
    assert settings.counts == {Workflow("calibration"): 5}
    assert settings.rung("fine_tuning") == settings.fine_tuning
    assert settings.rung("nothing") is None
    with pytest.raises(ValidationError):
        EscalationSettings.model_validate({"calibration": -1})


def test_every_rung_has_a_workflow_and_words_of_its_own():
    rungs = EscalationSettings().rungs
    assert EscalationSettings().workflows == ("data_free", "calibration", "fine_tuning")
    assert len({rung.words for rung in rungs}) == len(rungs)
    assert all(result_words(rung.workflow, rung.name) == rung.words for rung in rungs)


class TestWorkflowsOfRungs(WorkflowContract):
    """The contract of workflows, on what each rung evaluates with; a new rung is tested here without a new test."""

    @pytest.fixture(params=[pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in MAKERS])
    def workflow(self, request, tmp_path):
        self.maker = MAKERS[request.param]
        return type(self.maker(setting_of(tmp_path / "of_the_rung")))

    def make(self, workflow, setting):
        return self.maker(setting)


def test_a_rung_says_what_is_missing_and_evaluates_by_its_workflow(tmp_path):
    setting = setting_of(tmp_path / "all")
    for rung in EscalationSettings().rungs:
        assert rung.missing(setting.workload) is None
        assert rung.evaluator(setting).workflow == rung.workflow
        lacking = write_workload(tmp_path / rung.name, "convolutions", without=["calibration_data", "training_data"])
        assert "calibration_data" in str(rung.missing(lacking))
