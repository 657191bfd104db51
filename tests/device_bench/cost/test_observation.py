"""Measured latencies in groups."""

from dataclasses import replace

from palettune.device_bench.cost.observation import Observation
from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.devices import specifications
from palettune.device_bench.devices.unit import Unit


def test_encodings_of_one_network_on_one_unit_are_a_group():
    chips = specifications()
    first = Observation("source", "network", chips["M1"], Unit.GPU, OpTable.of([]), 0, 1.0)
    assert replace(first, ms=2.0, hosts=3).group == first.group
    others = [replace(first, source="s"), replace(first, network="n"), replace(first, unit=Unit.CPU)]
    assert first.group not in {other.group for other in (*others, replace(first, chip=chips["M2"]))}
