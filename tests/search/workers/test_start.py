"""Starting whoever evaluates."""

import pytest

from palettune.search.experiment.reporter import Reporter
from palettune.search.workers.evaluations import WorkerError
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.requests import Describe
from palettune.search.workers.start import start_evaluations
from tests.search.small_experiment import changed


class Stages(Reporter):
    def __init__(self):
        self.names = []

    def stage(self, name):
        self.names.append(name)
        return super().stage(name)


def test_this_process_evaluates_where_that_is_asked_for(small):
    preparation, run = changed(small[0], resources={"data_free": {"workers": 999}}), small[1]
    stages = Stages()
    found = start_evaluations(preparation, run, stages, inline=True, ray_address="nowhere:1")
    assert isinstance(found, InlineEvaluations)
    assert found.result(Describe()).chance > 0
    assert stages.names == ["loading the workload"]


@pytest.mark.usefixtures("cluster")
def test_a_workflow_without_room_for_its_own_workers_is_refused_by_its_key(small):
    preparation = changed(small[0], resources={"calibration": {"workers": 999}}, escalation={"calibration": 1})
    with pytest.raises(WorkerError, match=r"999 worker\(s\).*\[resources.calibration\]"):
        start_evaluations(preparation, small[1], Reporter(), inline=False, ray_address=None)
