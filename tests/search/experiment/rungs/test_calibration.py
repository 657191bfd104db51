"""The rung of calibration."""

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.calibration import Calibration
from palettune.search.experiment.rungs.rung import Wanted
from palettune.space.target import DeploymentTarget
from tests.search.workloads import workload_of


def test_it_begins_from_what_was_found_without_data_and_has_no_setting_that_decides_its_results():
    rung = Calibration(count=4)
    assert (rung.name, rung.workflow, rung.builds_on) == ("calibration", Workflow("calibration"), None)
    assert rung.identity == Calibration(count=9).identity == {}


def test_any_experiment_can_ask_for_it():
    for target in ("iOS16", "iOS18"):
        for latency in (False, True):
            assert Calibration(count=1).problem(Wanted(DeploymentTarget(target), ("size_mb",), latency)) is None


def test_a_workload_without_calibration_data_is_told_so():
    assert Calibration().missing(workload_of("calibration_data")) is None
    assert "calibration_data()" in Calibration().missing(workload_of())
