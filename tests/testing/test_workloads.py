"""The small workloads are what the suites need: every function defined, every network compressible."""

import pytest

from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.testing.workloads import NETWORKS, parse_configuration, setting_of, write_workload


@pytest.mark.parametrize("network", NETWORKS)
def test_every_workflow_can_run_on_every_network(network, tmp_path):
    workload = write_workload(tmp_path, network)
    assert {r.name: r.missing(workload) for r in EscalationSettings().rungs if r.missing(workload)} == {}
    assert [len(batch.inputs[0]) for batch in workload.batches(Split.EVALUATION)] == [8, 8]


def test_a_function_can_be_left_out_and_a_layer_set_apart(tmp_path):
    setting = setting_of(tmp_path, without=["loss"])
    assert not setting.workload.offers("loss")
    configuration = parse_configuration(setting, "lut4", classes="int8")
    spellings = {name: str(encoding) for name, encoding in configuration.encodings.items()}
    assert spellings == {"stem": "lut4", "depthwise": "lut4", "project": "lut4", "classes": "int8"}
