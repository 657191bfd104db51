"""Export: members of the front as proven Core ML packages, with a manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_bench.proof import Proof, prove

from device_bench.conversion import convert
from device_bench.package import package_bytes, weight_bytes
from evaluators.assembly import Assembler, LayerWeights
from evaluators.weight_bank import WeightBank
from search.preparation import Preparation
from search.progress import Display
from search.run_folder import RunFolder
from search.study import Record, tool_versions

__all__ = ["Exported", "export", "write_manifest"]


@dataclass(frozen=True)
class Exported:
    """One package, and what is known of it.

    Attributes:
        path: the package; ends in ``.unproven.mlpackage`` where the proof failed.
        predicted_weight_bytes: from the footprint, before conversion.
        weight_bytes: of the real weight file.
    """

    path: Path
    record: Record
    predicted_weight_bytes: int
    weight_bytes: int
    package_bytes: int
    proof: Proof

    def to_json(self, folder: Path) -> dict[str, Any]:
        """The manifest's entry; ``path`` is relative to the manifest's folder."""
        evaluation = self.record.evaluation
        return {
            "path": str(self.path.relative_to(folder)),
            "trial": self.record.trial,
            "workflow": self.record.workflow.value,
            "configuration_hash": self.record.configuration.hash,
            "configuration": json.loads(self.record.configuration.to_json()),
            "predicted_weight_bytes": self.predicted_weight_bytes,
            "weight_bytes": self.weight_bytes,
            "package_bytes": self.package_bytes,
            "divergence": evaluation.divergence if evaluation else None,
            "metrics": dict(evaluation.metrics) if evaluation else {},
            "proof": self.proof.to_dict(),
        }


def export(
    preparation: Preparation, folder: RunFolder, picked: Sequence[Record], out: Path, display: Display
) -> list[Exported]:
    """Convert, save and prove some members of a front.

    Args:
        out: folder of the packages; packages of the same name are replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = preparation.workload.model
    bank = WeightBank(folder.bank, folder.other_banks)
    weights = LayerWeights(model, preparation.layers, bank, preparation.experiment.seed)
    assembler = Assembler(model, weights)
    exported = []
    with display.bar("exporting packages", len(picked)) as advance:
        for record in picked:
            exported.append(_export_one(preparation, assembler, record, out))
            display.exported(exported[-1])
            advance(1)
    return exported


def _export_one(preparation: Preparation, assembler: Assembler, record: Record, out: Path) -> Exported:
    experiment = preparation.experiment
    module = assembler.with_metadata(record.configuration)
    package = convert(
        module,
        preparation.workload.example_inputs,
        experiment.deployment_target,
        metadata=_metadata(preparation, record),
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
        base=preparation.base,
    )
    if not proof.passed:
        path = path.rename(out / f"{name}.unproven.mlpackage")
    return Exported(
        path, record, preparation.weight_bytes(record.configuration), weight_bytes(path), package_bytes(path), proof
    )


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
