"""How long one prediction takes us: EfficientNet-Lite0 once prepared, on random configurations.

python -m experiments.benchmarks.latency_validation.speed
"""

from __future__ import annotations

import importlib.util
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.program_ops import ops_of_base_program
from palettune.device_bench.model.module_layers import layers_of
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget

MENU = [
    Encoding.parse(s) for s in ("fp16", "lut8", "lut6", "lut4", "lut3", "lut2", "int8", "sparse75", "sparse50+lut4")
]
WORKLOAD = Path(__file__).parents[2] / "efficientnet_lite0" / "workload.py"
CONFIGURATIONS = 500


def main() -> None:
    """Prepare once, then time predictions of configurations built beforehand."""
    workload = _workload()
    module = workload.model().eval()
    layers = layers_of(module)
    started = time.perf_counter()
    base = base_program(module, workload.example_inputs(), DeploymentTarget.IOS18, layers)
    ops = ops_of_base_program(base, layers)
    converted = time.perf_counter()
    model = prepare_latency(ops, device="iPhone 15 Pro", unit="CPU_AND_NE", target=DeploymentTarget.IOS18)
    prepared = time.perf_counter()
    chosen = random.Random(0)
    configurations = [
        Configuration({name: chosen.choice(MENU) for name in model.layers}) for _ in range(CONFIGURATIONS)
    ]
    first = _microseconds(model.predict, configurations)
    again = _microseconds(model.predict, configurations)
    estimate = model.predict(configurations[0])
    sys.stdout.write(
        f"{len(ops)} ops, {len(model.layers)} layers, {ops.macs / 1e6:.0f} M MACs; base program {converted - started:.1f} s, "
        f"prepare {1e3 * (prepared - converted):.1f} ms\n"
        f"predict: median {statistics.median(again):.1f} us, p90 {sorted(again)[int(0.9 * len(again))]:.1f} us; "
        f"first pass, which prices each (layer, encoding) once: mean {statistics.mean(first):.1f} us\n"
        f"for instance {estimate.ms:.3f} ms ({estimate.low:.3f} to {estimate.high:.3f})\n"
    )


def _microseconds(call: Any, configurations: list[Configuration]) -> list[float]:
    times = []
    for configuration in configurations:
        started = time.perf_counter_ns()
        call(configuration)
        times.append((time.perf_counter_ns() - started) / 1e3)
    return times


def _workload() -> Any:
    sys.path.insert(0, str(WORKLOAD.parent))
    specification = importlib.util.spec_from_file_location("efficientnet_workload", WORKLOAD)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
