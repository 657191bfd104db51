"""Names of packages."""

from dataclasses import replace

import pytest

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.results.packages.package_name import package_name
from tests.search.made_up import record


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (record(3, 0.13349, 2.0871), "2.09MB_0.133_net_trial3"),
        (
            record(3, 0.13349, 2.0871, rung="calibration", workflow=Workflow("calibration")),
            "2.09MB_0.133_calibrated_net_trial3",
        ),
        (record(3, 1.2e-5, 12.0, workflow=Workflow("fine_tuning")), "12.00MB_1.2e-05_fine_tuned_net_trial3"),
        (record(3, 0.5, 2.0, rung="int8_activations"), "2.00MB_0.5_int8_inputs_net_trial3"),
        (replace(record(3, 0.5, 2.0), evaluation=None), "2.00MB_net_trial3"),
    ],
)
def test_what_differs_stands_first(made, name):
    assert package_name(made, "net", "trial3") == name
