"""Made-up records of two layers, with objectives and fronts of them."""

from dataclasses import replace
from pathlib import Path

from palettune.device_bench.cost.placement import ComputeUnit
from palettune.device_bench.measurement.measurement import Measurement
from palettune.device_bench.proof.proof import LayerProof, Proof
from palettune.device_bench.runtime.comparison import Comparison, OutputComparison
from palettune.device_bench.runtime.execution import Execution
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.experiment.experiment import Constraints, Experiment
from palettune.search.experiment.objectives import Objective, ObjectiveSet, objective_set
from palettune.search.results.front import Front
from palettune.search.results.packages.export import Exported
from palettune.search.results.weight_file_size import WeightFile
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

OBJECTIVES = ObjectiveSet(
    (Objective("divergence", "minimize", 5.0, logarithmic=True), Objective("size_mb", "minimize", 10.0)), Constraints()
)
MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4", "lut2")]
LAYERS = (Layer("l0", LayerKind.LINEAR, (64, 64)), Layer("l1", LayerKind.LINEAR, (64, 64)))
TARGET = DeploymentTarget.parse("iOS18")
SPACE = SearchSpace.build(LAYERS, MENU, TARGET)


def record(trial, divergence, size, feasible=True, encodings=("lut8", "lut4"), **changes):
    """An evaluation of a configuration of the layers ``l0``, ``l1`` ..."""
    configuration = Configuration({f"l{i}": Encoding.parse(e) for i, e in enumerate(encodings)})
    evaluation = Evaluation(configuration.hash, Workflow.DATA_FREE, divergence, (divergence,) * 4)
    made = Record.of(
        evaluation, trial=trial, origin="tpe", configuration=configuration, workflow=Workflow.DATA_FREE,
        values=(divergence, size), costs={"size_mb": size}, feasible=feasible, answered_from=None, span=(0.0, 1.0),
    )  # fmt: skip
    return replace(made, **changes)


def front():
    """Five members, whose knee is trial 2."""
    points = [(4.9, 1), (0.4, 2), (0.05, 3), (0.04, 6), (0.03, 9)]
    return Front(tuple(record(i, d, s) for i, (d, s) in enumerate(points)), OBJECTIVES)


def timed(trial, divergence, size, latency):
    """An evaluation with two costs; each of the trials 0 to 4 has a configuration of its own."""
    base = record(trial, divergence, size, encodings=("lut8", ["fp16", "lut8", "lut6", "lut4", "lut2"][trial]))
    return replace(base, values=(divergence, size, latency), costs={"size_mb": size, "latency_ms": latency})


def two_costs():
    """Divergence, size and latency, the float model's being 10 MB and 1 ms."""
    experiment = Experiment.model_validate(
        {"name": "x", "workload": "w.py", "device": {"name": "M2"}, "objectives": {"cost": ["size_mb", "latency_ms"]}}
    )
    return objective_set(experiment, 5.0, {}, {"size_mb": 10.0, "latency_ms": 1.0})


def measured(ms):
    """A latency as a Mac gives it."""
    return Measurement("M2", "macOS", ComputeUnit.ALL, None, ms, 0.1, ms - 0.1, 50, 1.0, False, None)


def exported(item, *, path="trial.mlpackage", snr_db=60.0, predicted=5000, failures=()):
    """A record as if it had been exported, into a file of 5000 bytes."""
    layer = LayerProof("l0", "lut8", "lut8", 4096, 0.0, tuple(failures))
    proof = Proof((layer,), (), 3, 1, 5000, "digest")
    comparison = Comparison((OutputComparison("y", snr_db, 0.01, None, 0, snr_db),), 16, 40.0)
    execution = Execution(comparison, None, None, 16, 16)
    return Exported(Path(path), item, WeightFile(predicted, 5000), 6000, proof, execution)
