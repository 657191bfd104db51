"""Export: members of the front as proven Core ML packages, with a manifest."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from device_bench.base_program import base_program
from device_bench.conversion import convert
from device_bench.package import package_bytes, weight_bytes
from device_bench.proof import Proof, prove
from device_bench.runtime import Comparison, as_stored, compare
from evaluators.model_state import ModelState, model_digest
from evaluators.samples import single_samples
from evaluators.workload import Split
from search.groundwork import layer_weights
from search.member_state import member_state
from search.preparation import Preparation
from search.progress import Display
from search.run_folder import RunFolder
from search.study import Record
from search.versions import tool_versions
from space.footprint import configuration_bytes

__all__ = ["Exported", "execution_json", "export", "write_manifest"]

_SAMPLES = 4


@dataclass(frozen=True)
class Exported:
    """One package, and what is known of it.

    Attributes:
        path: the package; ends in ``.unproven.mlpackage`` where the proof failed.
        predicted_weight_bytes: from the footprint, before conversion.
        weight_bytes: of the real weight file.
        execution: the package run on samples beside the compressed torch model.
        methods: by layer, which method found its weight.
    """

    path: Path
    record: Record
    predicted_weight_bytes: int
    weight_bytes: int
    package_bytes: int
    proof: Proof
    execution: Comparison
    methods: Mapping[str, str] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        """Whether the package holds what was asked for, and computes what the compressed torch model does."""
        return self.proof.passed and self.execution.passed

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that is wrong with it, in words."""
        return (*self.proof.failures, *(() if self.execution.passed else (str(self.execution),)))

    def to_json(self, folder: Path) -> dict[str, Any]:
        """The manifest's entry; ``path`` is relative to the manifest's folder."""
        evaluation = self.record.evaluation
        return {
            "path": str(self.path.relative_to(folder)),
            "trial": self.record.trial,
            "workflow": self.record.workflow.value,
            "configuration_hash": self.record.configuration.hash,
            "configuration": json.loads(self.record.configuration.to_json()),
            "methods": dict(self.methods),
            "predicted_weight_bytes": self.predicted_weight_bytes,
            "weight_bytes": self.weight_bytes,
            "package_bytes": self.package_bytes,
            "divergence": evaluation.divergence if evaluation else None,
            "metrics": dict(evaluation.metrics) if evaluation else {},
            "proof": {**self.proof.to_dict(), "passed": self.proven, "execution": execution_json(self.execution)},
        }


def export(
    preparation: Preparation, folder: RunFolder, picked: Sequence[Record], out: Path, display: Display
) -> list[Exported]:
    """Convert, save and prove some members of a front.

    Args:
        out: folder of the packages; packages of the same name are replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    weights = layer_weights(preparation, folder)
    model = model_digest(preparation.workload.model)
    exported = []
    with display.bar("exporting packages", len(picked)) as advance:
        for record in picked:
            state = member_state(record, folder, weights, model)
            exported.append(_export_one(preparation, state, record, out))
            display.exported(exported[-1])
            advance(1)
    return exported


def _export_one(preparation: Preparation, state: ModelState, record: Record, out: Path) -> Exported:
    experiment = preparation.experiment
    module = state.apply(preparation.workload.model)
    state_of_model = preparation.workload.sampling.state
    base = preparation.base
    if not state.keeps_the_rest:  # other biases, normalizations or ops: their program is another one
        names = [layer.name for layer in preparation.layers]
        inputs = preparation.workload.example_inputs
        base = base_program(module, inputs, experiment.deployment_target, names, state_of_model)
    package = convert(
        module,
        preparation.workload.example_inputs,
        experiment.deployment_target,
        metadata=_metadata(preparation, record),
        state=state_of_model,
    )
    name = f"{experiment.name}-trial{record.trial}-{record.costs['size_mb']:.2f}MB"
    path = out / f"{name}.mlpackage"
    for stale in (path, out / f"{name}.unproven.mlpackage"):
        shutil.rmtree(stale, ignore_errors=True)
    package.save(str(path))
    proof = prove(
        path,
        module,
        preparation.workload.example_inputs,
        record.configuration,
        preparation.layers,
        experiment.deployment_target,
        base=base,
    )
    kept = {
        name: _nonzero(module, name) for name, e in record.configuration.encodings.items() if e.sparsity is not None
    }
    predicted = base.rest_bytes + configuration_bytes(
        preparation.layers, record.configuration, experiment.deployment_target, kept
    )
    execution = compare(path, as_stored(module), _samples(preparation))
    if not (proof.passed and execution.passed):
        path = path.rename(out / f"{name}.unproven.mlpackage")
    return Exported(
        path,
        record,
        predicted,
        weight_bytes(path),
        package_bytes(path),
        proof,
        execution,
        state.methods,
    )


def _nonzero(module: nn.Module, layer: str) -> int:
    return int(module.get_submodule(layer).get_parameter("weight").count_nonzero())


def _samples(preparation: Preparation) -> list[tuple[Tensor, ...]]:
    """A few evaluation samples, of the shape that the package was converted for."""
    shapes = [value.shape for value in preparation.workload.example_inputs]
    sampling = preparation.workload.sampling
    singles = single_samples(preparation.workload.batches(Split.EVALUATION), _SAMPLES, sampling.axes)
    if sampling.recurrent:  # one sequence, from its beginning
        length = sampling.sequence or len(singles)
        fitting = list(itertools.takewhile(lambda sample: [v.shape for v in sample] == shapes, singles[:length]))
        return fitting or [preparation.workload.example_inputs]
    fitting = [sample for sample in singles if [value.shape for value in sample] == shapes]
    return fitting or [preparation.workload.example_inputs]


def execution_json(execution: Comparison) -> dict[str, Any]:
    """What running a package has shown, as plain values; an infinite ratio (no difference at all) is ``None``."""
    ratio = execution.snr_db
    return {
        "passed": execution.passed,
        "snr_db": ratio if math.isfinite(ratio) else None,
        "largest_difference": execution.largest_difference,
        "agreement": execution.agreement,
        "samples": execution.samples,
        "threshold_db": execution.threshold_db,
        "departure": str(execution.departure) if execution.departure else None,
    }


def _metadata(preparation: Preparation, record: Record) -> Mapping[str, str]:
    evaluation = record.evaluation
    values = {
        "experiment": preparation.experiment.name,
        "trial": str(record.trial),
        "workflow": record.workflow.value,
        "configuration_hash": record.configuration.hash,
        "configuration": record.configuration.to_json(),
        "divergence": f"{evaluation.divergence:.6g}" if evaluation else "",
    }
    if evaluation is not None:
        values |= {f"metric.{name}": f"{value:.6g}" for name, value in evaluation.metrics.items()}
    values |= {f"version.{name}": number for name, number in tool_versions().items()}
    return {f"palettune.{key}": value for key, value in values.items()}


def write_manifest(exported: Sequence[Exported], out: Path) -> Path:
    """``manifest.json`` in the packages' folder: one entry per package."""
    path = out / "manifest.json"
    path.write_text(json.dumps([item.to_json(out) for item in exported], indent=2) + "\n")
    return path
