"""Export: evaluations as proven Core ML packages."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from palettune.device_bench.conversion.base_program import BaseProgram, base_program
from palettune.device_bench.conversion.conversion import converted
from palettune.device_bench.conversion.front_end import FrontEnd
from palettune.device_bench.interface.argument_names import argument_names
from palettune.device_bench.package.op_modules import op_modules
from palettune.device_bench.package.other_constants import OtherConstant
from palettune.device_bench.package.package import package_bytes
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.proof.image_inputs import ToInputs, to_program_inputs
from palettune.device_bench.proof.interface_proof import interface_failures
from palettune.device_bench.proof.proof import Proof, prove
from palettune.device_bench.proof.shape_check import ShapeCheck, check_shapes
from palettune.device_bench.runtime import Comparison, Execution, Precisions, as_stored, execute, in_precisions
from palettune.device_bench.runtime.execution import takes, within
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.evaluators.workload.samples import spread_samples
from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.driver_weights import layer_weights
from palettune.search.preparation.preparation import Preparation
from palettune.search.preparation.weight_coverage import constant_json, large_constants
from palettune.search.results.member_state import member_state
from palettune.search.results.packages.package_description import PackageDescription
from palettune.search.results.packages.package_name import package_name
from palettune.search.results.packages.package_record import record_values, write_record
from palettune.search.results.weight_file_size import WeightFile, weight_file
from palettune.search.study.record import Record
from palettune.space.encoding import FP16

__all__ = ["Exported", "execution_json", "export"]

#: Samples that a package is run on, and the seconds after which those that are left are not.
_SAMPLES, _SECONDS = 16, 120.0


@dataclass(frozen=True)
class Exported:
    """One package, and what is known of it.

    Attributes:
        path: the package; ends in ``.unproven.mlpackage`` where the proof failed.
        weight_file: its bytes, as predicted and as they are.
        execution: the package run on samples beside the compressed torch model, in float32 and as it computes.
        methods: by layer, which method found its weight.
        coverage: bytes of the model's layers over those of all its floating-point constants of two or more axes.
        uncompressed: constants above 2 kB that are no layer's, with the reason.
        front_end: what read the model for conversion, and what it froze.
        interface: what in the package's inputs and outputs is not as declared, in words.
        shapes: the package run at several shapes, where its inputs are flexible.
    """

    path: Path
    record: Record
    weight_file: WeightFile
    package_bytes: int
    proof: Proof
    execution: Execution
    methods: Mapping[str, str] = field(default_factory=dict)
    coverage: float | None = None
    front_end: FrontEnd = field(default_factory=FrontEnd)
    uncompressed: tuple[OtherConstant, ...] = ()
    interface: tuple[str, ...] = ()
    shapes: tuple[ShapeCheck, ...] = ()

    @property
    def predicted_weight_bytes(self) -> int:
        """From the base program and the footprint, before conversion."""
        return self.weight_file.predicted

    @property
    def weight_bytes(self) -> int:
        """Of the real weight file."""
        return self.weight_file.real

    @property
    def proven(self) -> bool:
        """Whether the package holds what was asked for in the bytes predicted, and computes what the model does."""
        ran = self.execution.passed and all(check.passed for check in self.shapes)
        return self.proof.passed and self.weight_file.passed and not self.interface and ran

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that is wrong with it, in words."""
        sizes = () if self.weight_file.passed else (str(self.weight_file),)
        shapes = [words for check in self.shapes for words in check.failures]
        return (*self.proof.failures, *sizes, *self.interface, *self.execution.failures, *shapes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the package, whether it is proven or not."""
        return (*self.execution.warnings, *([self.front_end.warning] if self.front_end.warning else ()))

    def to_json(self, folder: Path) -> dict[str, Any]:
        """Return the manifest's entry; ``path`` is relative to the manifest's folder."""
        evaluation = self.record.evaluation
        return {
            "path": str(self.path.relative_to(folder)),
            "trial": self.record.trial,
            "workflow": self.record.workflow,
            "configuration_hash": self.record.configuration.hash,
            "configuration": self.record.configuration.to_values(),
            "methods": dict(self.methods),
            "predicted_weight_bytes": self.predicted_weight_bytes,
            "weight_bytes": self.weight_bytes,
            "package_bytes": self.package_bytes,
            "divergence": evaluation.divergence if evaluation else None,
            "metrics": dict(evaluation.metrics) if evaluation else {},
            "coverage": self.coverage,
            "uncompressed": [constant_json(constant) for constant in self.uncompressed],
            "conversion": self.front_end.to_json(),
            "warnings": list(self.warnings),
            "proof": {
                **self.proof.to_dict(),
                "passed": self.proven,
                "failures": list(self.failures),
                "bytes": self.weight_file.to_json(),
                "execution": execution_json(self.execution),
                "shapes": [_shape_json(check) for check in self.shapes],
            },
        }


def export(
    preparation: Preparation,
    folder: RunFolder,
    picked: Sequence[Record],
    out: Path,
    reporter: Reporter,
    on_exported: Callable[[Exported], None] = lambda item: None,
    label: str | None = None,
) -> list[Exported]:
    """Convert, save and prove some evaluations.

    Args:
        out: folder of the packages; packages of the same name are replaced.
        on_exported: called with each package as soon as it is proven, or is not.
        label: in a package's name; the number of its trial unless given.
    """
    out.mkdir(parents=True, exist_ok=True)
    weights = layer_weights(preparation, folder)
    model = model_digest(preparation.workload.model)
    exported = []
    with reporter.bar("exporting packages", len(picked)) as advance:
        for record in picked:
            state = member_state(record, folder, weights, model)
            exported.append(_export_one(preparation, state, record, out, label or f"trial{record.trial}"))
            on_exported(exported[-1])
            advance(1)
    return exported


def _export_one(preparation: Preparation, state: ModelState, record: Record, out: Path, label: str) -> Exported:
    experiment, interface = preparation.experiment, preparation.interface
    module = state.apply(preparation.workload.model)
    inputs = preparation.workload.example_inputs
    base = preparation.base
    if not state.keeps_the_rest:  # other biases, normalizations or ops: their program is another one
        base = _base(preparation, module)
    conversion = converted(
        module,
        inputs,
        experiment.deployment_target,
        float32=experiment.space.float32,
        state=preparation.workload.sampling.state,
        interface=interface,
    )
    name = package_name(record, experiment.name, label)
    path = out / f"{name}.mlpackage"
    for stale in (path, out / f"{name}.unproven.mlpackage"):
        shutil.rmtree(stale, ignore_errors=True)
    conversion.model.save(str(path))
    programs = in_precisions(path, op_modules(conversion.model))
    write_record(path, record_values(preparation, record, programs.float32), _described(preparation, record, label))
    proof = prove(
        path, module, inputs, record.configuration, preparation.layers, experiment.deployment_target, base=base
    )
    arguments = argument_names(module, len(inputs))
    declared = () if isinstance(module, PackageModule) else interface_failures(path, interface, arguments, inputs)
    to_inputs = to_program_inputs(interface, arguments, programs.float32.inputs)
    exported = Exported(
        path,
        record,
        weight_file(module, base, record.configuration, preparation.layers, experiment.deployment_target, proof),
        package_bytes(path),
        proof,
        _execute(preparation, module, programs, to_inputs),
        state.methods,
        preparation.coverage,
        conversion.front_end,
        large_constants(base.others),
        declared,
        check_shapes(programs, module, inputs, to_inputs),
    )
    return exported if exported.proven else replace(exported, path=path.rename(out / f"{name}.unproven.mlpackage"))


def _described(preparation: Preparation, record: Record, label: str) -> PackageDescription:
    experiment, space = preparation.experiment, preparation.space
    plain = preparation.costs(space.uniform(FP16))["size_mb"]
    return PackageDescription.of(experiment.package, record, name=experiment.name, float_mb=plain, label=label)


def _base(preparation: Preparation, module: nn.Module) -> BaseProgram:
    """The base program of a module whose constants beside the layers' weights are its own."""
    experiment, workload = preparation.experiment, preparation.workload
    return base_program(
        module,
        workload.example_inputs,
        experiment.deployment_target,
        preparation.layers,
        workload.sampling.state,
        float32=experiment.space.float32,
        interface=preparation.interface,
    )


def _execute(
    preparation: Preparation, module: nn.Module, programs: Precisions, to_inputs: ToInputs | None
) -> Execution:
    """Run a package on samples from all over the evaluation data, or on the example where it takes none of them."""
    batches = preparation.workload.batches(Split.EVALUATION)
    sampling = preparation.workload.sampling
    spread = spread_samples(batches, _SAMPLES, lambda sample: takes(programs.float32, sample), sampling)
    samples = within(spread.samples or (preparation.workload.example_inputs,), _SECONDS)
    stored = as_stored(module)
    return execute(programs, stored, samples, fitting=spread.fitting, total=spread.total, to_inputs=to_inputs)


def _shape_json(check: ShapeCheck) -> dict[str, Any]:
    """What running a package at one shape has shown, as plain values."""
    ran = execution_json(check.execution) if check.execution is not None else {}
    return {**ran, "shapes": check.shapes, "passed": check.passed, "failures": list(check.failures)}


def execution_json(execution: Execution) -> dict[str, Any]:
    """Return the comparison of a package that was run, as plain values; an infinite ratio (no difference) is ``None``.

    The keys beside ``float32`` and ``fp16`` are those of float32, but for ``passed``, which is of both.
    """
    half = execution.fp16
    return {
        **_comparison_json(execution.float32),
        "passed": execution.passed,
        "samples_fitting": execution.fitting,
        "samples_total": execution.total,
        "float32": _comparison_json(execution.float32),
        "fp16": None
        if half is None
        else _comparison_json(half) | {"passed": half.finite, **_half_json(execution, half)},
        "failures": list(execution.failures),
        "warnings": list(execution.warnings),
    }


def _half_json(execution: Execution, half: Comparison) -> dict[str, Any]:
    return {
        "finite": half.finite,
        "not_finite": sum(output.not_finite for output in half.outputs),
        "first_not_finite": execution.not_finite,
        "loss": half.loss if math.isfinite(half.loss) else None,
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "passed": comparison.passed,
        "snr_db": _finite(comparison.snr_db),
        "worst_sample_db": _finite(comparison.worst_sample_db),
        "largest_difference": _finite(comparison.largest_difference),
        "agreement": comparison.agreement,
        "samples": comparison.samples,
        "threshold_db": comparison.threshold_db,
        "first_difference": str(comparison.first_difference) if comparison.first_difference else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
