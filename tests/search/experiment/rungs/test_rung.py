"""What is true of every rung."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.rung import Rung, Wanted
from palettune.space.target import DeploymentTarget


class Sharpening(Rung):
    """A rung of somebody else's."""

    name = "sharpening"
    workflow = Workflow("calibration")

    strength: float = 1.0

    def evaluator(self, setting):
        """Nothing."""
        raise NotImplementedError

    def missing(self, workload):
        """Nothing."""
        return


@given(st.integers(0, 100))
def test_a_section_may_be_its_count_alone(count):
    assert Sharpening.model_validate(count) == Sharpening(count=count) == Sharpening.model_validate({"count": count})


@given(st.integers(0, 100), st.floats(0, 10))
def test_its_settings_decide_its_results_and_its_count_does_not(count, strength):
    found = Sharpening(count=count, strength=strength)
    assert found.identity == {"strength": strength}


@pytest.mark.parametrize("values", [-1, {"count": -1}, {"counts": 1}, "four"])
def test_what_is_no_section_is_refused(values):
    with pytest.raises(ValidationError):
        Sharpening.model_validate(values)


def test_it_is_no_problem_unless_it_says_so_and_has_an_evaluator_of_its_own():
    assert Sharpening().problem(Wanted(DeploymentTarget("iOS16"), ("size_mb",), True)) is None
    with pytest.raises(TypeError, match="abstract"):
        Rung()
