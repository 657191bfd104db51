"""Predicted latency in a terminal."""

import io

from rich.console import Console

from palettune.device_bench.cost.latency_model import LatencyEstimate
from palettune.device_bench.cost.placement import ComputeUnit
from palettune.search.on_device.latency_table import latency_table
from palettune.search.on_device.package_latency import PackageLatency


def test_each_compute_unit_has_a_row_with_its_interval():
    units = {
        ComputeUnit.ALL: LatencyEstimate(1.23456, 1.0, 2.0),
        ComputeUnit.CPU_ONLY: LatencyEstimate(40.0, 30.5, 50.25),
    }
    printed = io.StringIO()
    found = PackageLatency("iPhone 15 Pro", "A17 Pro", units, {"int8": 1000}, 2, 0)
    Console(file=printed, width=100).print(latency_table(found))
    title, *lines = [line.strip() for line in printed.getvalue().splitlines() if line.strip()]
    assert title == "predicted on iPhone 15 Pro (A17 Pro)"
    words = [line.replace("│", " ").split() for line in lines]
    assert ["ALL", "1.235", "1.000", "-", "2.000"] in words
    assert ["CPU_ONLY", "40.000", "30.500", "-", "50.250"] in words
    assert sum("." in line for line in lines) == 2
