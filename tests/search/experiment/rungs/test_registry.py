"""The registry of rungs."""

import pytest
from pydantic import ValidationError

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.registry import EscalationSettings


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
