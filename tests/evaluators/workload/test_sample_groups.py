"""Group numbers of samples, as functions of users return them."""

import numpy as np
import pytest
import torch

from palettune.evaluators.workload.data_options import DataOptions
from palettune.evaluators.workload.sample_groups import SampleGroupsError, as_groups
from palettune.evaluators.workload.workload import Split, WorkloadError, load_workload
from tests.evaluators.workload.test_workload import GOOD, write

GROUPS = """
def sources(data, samples):
    return [0] * samples if data == "evaluation_data" else range(samples)
"""


@pytest.mark.parametrize("given", [[0, 1, 0], (0, 1, 0), np.array([0, 1, 0]), torch.tensor([0, 1, 0])])
def test_integers_of_any_kind_are_taken(given):
    assert as_groups(given, 3) == (0, 1, 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([0, 1], "returned 2 group numbers; expected a list of 3"),
        ([0.5, 1, 2], "float64"),
        ([[0], [1], [2]], r"shape \(3, 1\)"),
        ("012", "returned a str"),
        (None, "returned a NoneType"),
    ],
)
def test_what_is_no_number_for_each_sample_is_said(given, said):
    with pytest.raises(SampleGroupsError, match=said):
        as_groups(given, 3)


def test_the_workloads_own_function_is_called_with_the_data_and_its_samples(tmp_path):
    workload = load_workload(write(tmp_path, GOOD + GROUPS), DataOptions(groups="sources"))
    assert workload.groups(Split.EVALUATION, 15) == (0,) * 15
    assert workload.groups(Split.CONFIRMATION, 3) == (0, 1, 2)
    assert load_workload(write(tmp_path, GOOD)).groups(Split.EVALUATION, 15) == ()


def test_a_function_of_a_module_beside_the_workload_is_found(tmp_path):
    (tmp_path / "pictures.py").write_text("def of(data, samples):\n    return [n % 5 for n in range(samples)]\n")
    workload = load_workload(write(tmp_path, GOOD), DataOptions(groups="pictures.of"))
    assert workload.groups(Split.EVALUATION, 7) == (0, 1, 2, 3, 4, 0, 1)


@pytest.mark.parametrize("name", ["missing", "pictures.of"])
def test_a_function_that_is_not_there_is_said(tmp_path, name):
    workload = load_workload(write(tmp_path, GOOD), DataOptions(groups=name))
    with pytest.raises(WorkloadError, match=rf"{name}\(\) failed: .*data.groups"):
        workload.groups(Split.EVALUATION, 7)


def test_wrong_numbers_name_the_function_and_the_data(tmp_path):
    workload = load_workload(write(tmp_path, GOOD + GROUPS.replace("* samples", "* 2")), DataOptions(groups="sources"))
    with pytest.raises(WorkloadError, match=r"sources\(\) returned 2 group numbers.*evaluation_data"):
        workload.groups(Split.EVALUATION, 15)
