"""The rung of fine-tuning: what its results depend on, and what cannot be asked for."""

import pytest
from pydantic import ValidationError

from palettune.search.experiment.rungs.fine_tuning import FineTuning
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.experiment.rungs.rung import Wanted
from palettune.space.target import DeploymentTarget
from tests.search.workloads import workload_of

IOS18 = DeploymentTarget("iOS18")


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
    ("section", "costs", "latency", "words"),
    [
        ({"adapter_rank": 2}, ("size_mb",), True, "merged"),
        ({"adapter_rank": 2, "adapter_placement": "merged"}, ("size_mb", "latency_ms"), True, None),
        ({"adapter_rank": 2}, ("size_mb",), False, None),
        ({}, ("latency_ms",), True, None),
    ],
)
def test_branches_whose_time_is_not_predicted_are_no_choice_where_latency_counts(section, costs, latency, words):
    problem = FineTuning.model_validate(section).problem(Wanted(IOS18, costs, latency))
    assert (problem is None) == (words is None)
    if problem is not None:
        assert problem.startswith("fine_tuning.adapter_placement: ")
        assert words in problem


@pytest.mark.parametrize("section", [{"steps": -1}, {"adapter_rank": -2}, {"adapter_placement": "beside"}])
def test_settings_that_cannot_be_are_refused(section):
    with pytest.raises(ValidationError, match=next(iter(section))):
        FineTuning.model_validate(section)


def test_a_workload_without_data_to_train_on_is_told_what_it_lacks():
    assert "training_data()" in FineTuning().missing(workload_of())
    assert FineTuning().missing(workload_of("training_data")) is None
    assert FineTuning().missing(workload_of("calibration_data")) is None
