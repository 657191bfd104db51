"""How fast the reference runtime is beside the torch module it came from, in one process, on one thread.

    python experiments/benchmarks/runtime_speed/run.py

Each round runs both, one after the other, so that what else the machine does weighs on both. Prints a table and writes
`results.json` beside this file.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.runtime import ComputePrecision, Program, load
from palettune.search.workers.allocator import keep_freed_memory
from palettune.space.target import DeploymentTarget

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "efficientnet_lite0"))

from efficientnet_lite0 import pretrained  # noqa: E402 - the experiment's own module

BATCH = 8


def milliseconds(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each run over rounds in which each is run once, after a round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round_number:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def measure(rounds: int) -> dict[str, float]:
    """Times in milliseconds by what was run, and the ratio that is promised."""
    module, image = pretrained().eval(), torch.rand(1, 3, 224, 224)
    images = torch.rand(BATCH, 3, 224, 224)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/network.mlpackage"
        convert(module, (image,), DeploymentTarget("iOS17")).save(path)
        start = time.perf_counter()
        program, half = load(path), load(path, precision=ComputePrecision.FP16)
        loaded = 500 * (time.perf_counter() - start)
    with torch.inference_mode():
        results = milliseconds(_one(module, program, half, image), rounds)
    with torch.no_grad():
        results |= milliseconds(_several(module, program, images), max(3, rounds // 5))
    results["load and prepare"] = loaded
    results["runtime / torch, one image"] = results["runtime, one image"] / results["torch, one image"]
    return results


def _one(
    module: torch.nn.Module, program: Program, half: Program, image: torch.Tensor
) -> dict[str, Callable[[], object]]:
    return {
        "torch, one image": lambda: module(image),
        "runtime, one image": lambda: program.run({"x": image}),
        "runtime with fp16 emulated, one image": lambda: half.run({"x": image}),
    }


def _several(module: torch.nn.Module, program: Program, images: torch.Tensor) -> dict[str, Callable[[], object]]:
    return {
        f"torch, {BATCH} images": lambda: module(images),
        f"runtime, {BATCH} images one by one": lambda: program.run({"x": images}, vectorize=False),
        f"runtime, {BATCH} images in one pass": lambda: program.run({"x": images}, vectorize=True),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    results = measure(arguments.rounds)
    table = Table("run", "milliseconds or ratio")
    for name, value in results.items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
