"""Groups of the data of a prepared experiment."""

import pytest

from palettune.evaluators.workload.workload import Split, WorkloadError
from palettune.search.preparation.data_groups import data_groups
from palettune.search.preparation.preparation import prepare
from palettune.search.study.side_tables import CONFIRMATION_DATA, EVALUATION_DATA
from palettune.testing.evaluations_contract import NETWORK
from palettune.testing.workloads import write_workload
from tests.search.small_experiment import small_experiment, small_worker, uniform

GROUPS = """

def sources(data, samples):
    return [n // 2 for n in range(samples)]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("groups")
    write_workload(found, NETWORK + GROUPS)
    return found


def test_the_study_calls_data_as_the_workload_does():
    assert (Split.EVALUATION.value, Split.CONFIRMATION.value) == (EVALUATION_DATA, CONFIRMATION_DATA)


def test_an_evaluation_has_the_groups_that_are_kept_for_its_data(folder, small):
    preparation = prepare(small_experiment(folder / "workload.py", data={"groups": "sources"}))
    found = data_groups(preparation)
    evaluation = small_worker(preparation, small[1]).evaluator.measure(uniform(preparation, "lut4"))
    assert evaluation.groups == found[EVALUATION_DATA]
    assert len(set(evaluation.groups)) == (len(evaluation.by_sample) + 1) // 2


def test_groups_decide_nothing_that_is_searched(folder):
    plain, grouped = (small_experiment(folder / "workload.py", data=data) for data in ({}, {"groups": "sources"}))
    assert grouped.identity() == plain.identity()
    assert "data" not in plain.identity()
    sequence = small_experiment(folder / "workload.py", data={"groups": "sources", "sequence": 2})
    assert sequence.identity()["data"] == {"sequence": 2, "batch_axis": None}
    assert data_groups(prepare(plain)) == {}


def test_a_function_that_is_not_there_is_said_before_anything_is_evaluated(folder):
    preparation = prepare(small_experiment(folder / "workload.py", data={"groups": "nothing"}))
    with pytest.raises(WorkloadError, match="nothing"):
        data_groups(preparation)
