"""What Palettune does with one architecture, by its own code path: conversion, coverage, export, proof, speed.

python -m experiments.benchmarks.architectures.measure NAME RESULT.json [--parts forward scores]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.benchmarks.architectures.architecture import Architecture
from experiments.benchmarks.architectures.forty import FORTY
from palettune.device_bench.conversion.conversion import ConversionError, converted
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.fisher import FisherScore
from palettune.evaluators.weights.assembly import Assembler
from palettune.evaluators.workload.workload import Split
from palettune.search.api.apply import apply
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.results.packages.export import execution_json
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget

TARGET = DeploymentTarget.IOS18
ENCODINGS = ("fp16", "lut8", "lut6", "lut4", "int8")
#: An encoding of layers that are wide enough, which one narrow network has none of.
BLOCKS = "int4-b32"
SAMPLES = 4
RUNS = 61
#: Repetitions of the samples, and runs, from which the time of scoring is taken.
REPEATED, SCORED = 4, 1
#: What is measured of each architecture; its layers are found for every part.
PARTS = ("conversion", "package_route", "export", "forward", "scores")
#: Constants that are named in a result, of those that are no layer's.
NAMED = 8


@dataclass
class Model:
    """A workload in memory: a module, or the path of a package, with inputs like the example's."""

    source: nn.Module | str
    inputs: tuple[Tensor, ...]

    def model(self) -> nn.Module | str:
        return self.source

    def example_inputs(self) -> tuple[Tensor, ...]:
        return self.inputs

    def evaluation_data(self) -> Iterator[tuple[tuple[Tensor, ...], None]]:
        for shift in range(SAMPLES):
            yield tuple(value.roll(shift, -1) for value in self.inputs), None


def experiment(source: nn.Module | str, inputs: tuple[Tensor, ...], narrow: bool) -> Experiment:
    return Experiment(
        name="architecture",
        workload=Model(source, inputs),
        deployment_target=TARGET,
        space={"encodings": ENCODINGS if narrow else (*ENCODINGS, BLOCKS), "groups": "none"},
    )


def mixed(preparation: Preparation) -> Configuration:
    """Every encoding of the menus in turn."""
    menus = preparation.space.menus
    return Configuration(
        {
            name: menus[name].encodings[index % len(menus[name].encodings)]
            for index, name in enumerate(layer.name for layer in preparation.layers)
        }
    )


def measured(architecture: Architecture, folder: Path, parts: Collection[str] = PARTS) -> dict[str, Any]:
    """Everything that is known of an architecture, or some parts of it; each that fails says why."""
    module, inputs = architecture.built()
    package = folder / "fp16.mlpackage"
    result: dict[str, Any] = {
        "name": architecture.name,
        "families": architecture.families,
        "package": architecture.package,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
    }
    if "conversion" in parts:
        stage(result, "conversion", lambda: conversion(module, inputs, package), ConversionError)
        if "failed" in result["conversion"]:
            return result
    found: list[Preparation] = []
    narrow = False
    stage(result, "torch", lambda: route(experiment(module, inputs, narrow), found))
    if BLOCKS in result["torch"].get("failed", ""):
        narrow = True
        stage(result, "torch", lambda: route(experiment(module, inputs, narrow), found))
    if "package_route" in parts:
        stage(result, "package_route", lambda: route(experiment(str(package), inputs, narrow), []))
    if found:
        configuration = mixed(found[0])
        stages = {
            "export": lambda: exported(configuration, experiment(module, inputs, narrow), folder),
            "forward": lambda: forward(found[0], configuration, folder),
            "scores": lambda: scores(found[0], folder),
        }
        for name, measure in stages.items():
            if name in parts:
                stage(result, name, measure)
    return result


def stage(
    result: dict[str, Any], name: str, measure: Callable[[], dict[str, Any]], expected: type[Exception] = UserError
) -> None:
    """Add what a stage measures, or why it fails; what no user could mend keeps its type."""
    started = time.monotonic()
    try:
        found = measure()
    except Exception as error:
        words = str(error) if isinstance(error, expected) else f"{type(error).__name__}: {error}"
        found = {"failed": words[:600], "bug": not isinstance(error, UserError)}
    result[name] = found | {"seconds": round(time.monotonic() - started, 1)}


def conversion(module: nn.Module, inputs: tuple[Tensor, ...], package: Path) -> dict[str, Any]:
    made = converted(module, inputs, TARGET)
    made.model.save(str(package))
    return {"front_end": made.front_end.name, "refusal": made.front_end.refusal}


def route(asked: Experiment, found: list[Preparation]) -> dict[str, Any]:
    """Layers, coverage and reachable sizes, as ``inspect`` shows them."""
    preparation = prepare(asked)
    found.append(preparation)
    others = [one for one in preparation.base.others if one.float_bytes]
    return {
        "layers": len(preparation.layers),
        "coverage": preparation.coverage,
        "smallest_bytes": preparation.reach.smallest_bytes,
        "largest_bytes": preparation.reach.largest_bytes,
        "not_layers": [[one.name, list(one.shape), one.bytes] for one in others[:NAMED]],
        "refused": dict(list({**preparation.workload.kept, **preparation.base.refusals}.items())[:NAMED]),
    }


def exported(configuration: Configuration, asked: Experiment, folder: Path) -> dict[str, Any]:
    """The package of a configuration: its bytes, and its proof in float32 and in fp16."""
    (item,) = apply(configuration, asked, out=folder / "applied", root=folder / "runs").export
    execution = execution_json(item.execution)
    half = execution["fp16"] or {}
    return {
        "predicted_bytes": item.predicted_weight_bytes,
        "bytes": item.weight_bytes,
        "proven": item.proven,
        "failures": list(item.failures)[:NAMED],
        "snr_db": execution["float32"]["snr_db"],
        "fp16_snr_db": half.get("snr_db"),
        "fp16_finite": half.get("finite"),
    }


def forward(preparation: Preparation, configuration: Configuration, folder: Path) -> dict[str, Any]:
    """A forward pass of the assembled model beside one of the float model, by turns."""
    worker = Worker(
        worker_settings(preparation, RunFolder(folder / "runs", "architecture"), preparation.experiment.needs)
    )
    assembled = Assembler(preparation.workload.model, worker.weights).assemble(configuration)
    inputs = preparation.workload.example_inputs
    times: dict[str, list[float]] = {"float": [], "assembled": []}
    with torch.no_grad():
        for run in range(RUNS + 3):
            for name, module in (("float", preparation.workload.model), ("assembled", assembled)):
                started = time.perf_counter()
                module(*inputs)
                if run >= 3:
                    times[name].append(time.perf_counter() - started)
    middle = {name: statistics.median(values) for name, values in times.items()}
    return {"ms": 1000 * middle["float"], "ratio": middle["assembled"] / middle["float"], "runs": RUNS}


def scores(preparation: Preparation, folder: Path) -> dict[str, Any]:
    """What scoring every layer in every encoding takes, in forward passes over the same samples; weights are in the bank."""
    worker = Worker(
        worker_settings(preparation, RunFolder(folder / "runs", "architecture"), preparation.experiment.needs)
    )
    columns, model = preparation.columns(), preparation.workload.model
    for layer, encoding in columns:
        worker.weights.get(layer, encoding)
    samples = REPEATED * [batch.inputs for batch in preparation.workload.batches(Split.EVALUATION)]
    energy = Reference.of(preparation.kind, [model(*inputs) for inputs in samples]).energy
    sampling = preparation.workload.sampling
    score = FisherScore(ScoringSetting(model, worker.weights, preparation.kind, energy, sampling=sampling))
    times: dict[str, list[float]] = {"forward": [], "scores": []}
    for _ in range(SCORED):
        for name, call in (
            ("forward", lambda: passed(model, samples)),
            ("scores", lambda: score.score(columns, samples)),
        ):
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    passes = statistics.median(times["scores"]) / statistics.median(times["forward"])
    return {"columns": len(columns), "passes": passes, "runs": SCORED}


def passed(model: nn.Module, samples: Sequence[tuple[Tensor, ...]]) -> None:
    with torch.no_grad():
        for inputs in samples:
            model(*inputs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    architecture = next(one for one in FORTY if one.name == options.name)
    with tempfile.TemporaryDirectory() as folder:
        result = measured(architecture, Path(folder), options.parts)
    before = {} if options.parts == PARTS or not options.out.exists() else json.loads(options.out.read_text())
    options.out.write_text(json.dumps(before | result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
