"""The registry of rungs, and what each rung's section says of itself."""

import pytest
from pydantic import ValidationError

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.experiment.rungs.rung import Rung, Wanted
from palettune.space.target import DeploymentTarget


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
    assert settings.counts == {Workflow.CALIBRATION: 5}
    assert settings.rung("fine_tuning") == settings.fine_tuning
    assert settings.rung("nothing") is None
    with pytest.raises(ValidationError):
        EscalationSettings.model_validate({"calibration": -1})


@pytest.mark.parametrize(
    ("section", "same"),
    [
        ({"count": 5}, True),
        ({"steps": 7}, False),
        ({"vector_steps": 7}, False),
        ({"adapter_placement": "merged"}, True),
        ({"adapter_rank": 2}, False),
    ],
)
def test_what_decides_the_results_of_a_training_and_nothing_else_is_its_identity(section, same):
    def identity(values):
        return EscalationSettings.model_validate({"fine_tuning": values}).fine_tuning.identity

    assert (identity(section) == identity({})) == same
    with_adapters = {"adapter_rank": 2, "steps": 5}
    assert identity(with_adapters) == identity({**with_adapters, "vector_steps": 9})
    assert identity(with_adapters) != identity({**with_adapters, "adapter_placement": "merged"})


@pytest.mark.parametrize(
    ("rung", "section", "wanted", "words"),
    [
        ("int8_activations", 1, Wanted(DeploymentTarget("iOS18"), ("size_mb",), True), "objectives.cost"),
        ("int8_activations", 1, Wanted(DeploymentTarget("iOS16"), ("latency_ms",), True), "iOS17"),
        ("int8_activations", 1, Wanted(DeploymentTarget("iOS17"), ("latency_ms",), True), None),
        ("fine_tuning", {"adapter_rank": 2}, Wanted(DeploymentTarget("iOS18"), ("size_mb",), True), "merged"),
        ("fine_tuning", {"adapter_rank": 2}, Wanted(DeploymentTarget("iOS18"), ("size_mb",), False), None),
        ("fine_tuning", {}, Wanted(DeploymentTarget("iOS18"), ("latency_ms",), True), None),
    ],
)
def test_what_an_experiment_cannot_ask_for_is_said_from_the_key_on(rung, section, wanted, words):
    found: Rung = getattr(EscalationSettings.model_validate({rung: section}), rung)
    problem = found.problem(wanted)
    assert (problem is None) == (words is None)
    if problem is not None:
        assert problem.startswith(rung)
        assert words in problem
