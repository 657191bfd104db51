"""The rung of activations in 8 bits."""

import pytest

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.calibration import Calibration
from palettune.search.experiment.rungs.int8_activations import Int8Activations
from palettune.search.experiment.rungs.rung import Wanted
from palettune.space.target import DeploymentTarget


@pytest.mark.parametrize(
    ("target", "costs", "words"),
    [
        ("iOS18", ("size_mb",), "objectives.cost"),
        ("iOS16", ("latency_ms",), "iOS17"),
        ("iOS17", ("latency_ms",), None),
    ],
)
def test_it_needs_a_latency_to_save_and_a_system_that_rounds(target, costs, words):
    problem = Int8Activations(count=1).problem(Wanted(DeploymentTarget(target), costs, True))
    assert (problem is None) == (words is None)
    if problem is not None:
        assert problem.startswith("int8_activations: ")
        assert words in problem


def test_it_is_calibration_that_rounds_and_promises_no_quality():
    rung = Int8Activations()
    assert rung.workflow == Workflow("calibration")
    assert rung.rounds
    assert not Calibration().rounds
    assert rung.prior == 0.0 < Calibration().prior
    assert rung.builds_on == Calibration.name
