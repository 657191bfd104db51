"""Verification: any package, run by the reference runtime on the evaluation data of an experiment.

It is run in float32, to be set against its own record, and in fp16 where it computes so, as it will on a device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from torch import Tensor, nn

from palettune.device_bench.interface.argument_names import argument_names
from palettune.device_bench.interface.program_interface import PLAIN
from palettune.device_bench.model.outputs import flatten, named_as, replace_tensors
from palettune.device_bench.package.package_folder import require_package
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.proof.image_inputs import ToInputs, to_program_inputs
from palettune.device_bench.proof.interface_proof import interface_failures
from palettune.device_bench.runtime import Program, as_stored, in_precisions
from palettune.device_bench.runtime.execution import misfit, takes
from palettune.evaluators.quality.divergence import Reference, detect_kind
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.weights.model_state import model_digest
from palettune.evaluators.workload.sample_axes import FIRST, Inputs
from palettune.evaluators.workload.samples import one_by_one
from palettune.evaluators.workload.sampling import Sampling
from palettune.evaluators.workload.workload import Batch, Split, Workload, load_workload
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.reporter import Reporter
from palettune.search.preparation.declared_interface import declared_interface
from palettune.search.results.formatting import digits
from palettune.search.results.observer import SearchObserver
from palettune.search.results.packages.package_record import PackageRecord, weights_digest
from palettune.search.results.record_check import Found, Verdict, judged
from palettune.search.results.shape_verification import shape_problems
from palettune.space.errors import UserError

__all__ = ["Verification", "verify"]

_MOST_SHAPES = 4


@dataclass(frozen=True)
class Verification:
    """Figures of a package on the evaluation data, compared with its record.

    Attributes:
        divergence: from the float model, computed in float32; ``None`` where it is not finite.
        divergence_fp16: as the package computes; ``None`` where it is not finite, or it computes in float32.
        computes_fp16: whether anything in it computes in fp16.
        metrics: the workload's own, in float32.
        metrics_fp16: the same as the package computes; nothing where it computes in float32.
        samples: how many were run.
        total: how many the data have.
        claimed: the divergence that the package's own metadata record for these samples; ``None`` where they have none.
        tolerance: by how much ``divergence`` may differ from it; ``None`` where they are not compared.
        problems: what is wrong with it, each in a sentence.
        notes: what else is worth knowing.
    """

    divergence: float | None
    divergence_fp16: float | None
    computes_fp16: bool
    metrics: Mapping[str, float]
    metrics_fp16: Mapping[str, float]
    samples: int
    total: int
    claimed: float | None
    tolerance: float | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the package is what it says."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """Whether the package is what it says, in words."""
        if not self.passed:
            return f"NOT passed: {len(self.problems)} problem{'s' * (len(self.problems) > 1)}, said above"
        if self.tolerance is None:
            return f"passed: nothing is wrong with it on {self._samples}, but there is no record of these data to compare with"
        return (
            f"passed: it agrees with its record, {digits(self.divergence)} beside {digits(self.claimed)} "
            f"(at most {digits(self.tolerance)} apart), on {self._samples}"
        )

    def __repr__(self) -> str:
        half = f", {_figure(self.divergence_fp16)} in fp16" if self.computes_fp16 else ""
        verdict = "passed" if self.passed else f"NOT passed: {'; '.join(self.problems)}"
        return f"Verification({verdict}; divergence {_figure(self.divergence)}{half} on {self._samples})"

    def lines(self, package: Path) -> list[str]:
        """Format for reading, in Rich markup: both precisions, the record beside them, problems and notes."""
        shown = [f"{package}: divergence from the float model on {self._samples}"]
        shown.append(f"  in float32  {_figure(self.divergence)}{_text(self.metrics)}")
        if self.computes_fp16:
            shown.append(f"  in fp16     {_figure(self.divergence_fp16)}{_text(self.metrics_fp16)}  (as it computes)")
        if self.claimed is not None:
            within = f", at most {digits(self.tolerance)} apart expected" if self.tolerance is not None else ""
            shown.append(f"  its record  {digits(self.claimed)}  (measured in float32{within})")
        shown = [escape(line) for line in shown]
        shown += [f"[yellow]note: {escape(note)}[/yellow]" for note in self.notes]
        shown += [f"[red]{escape(f'{package}: {problem}')}[/red]" for problem in self.problems]
        shown.append(f"[bold {'green' if self.passed else 'red'}]{escape(self.verdict)}[/]")
        return shown

    @property
    def _samples(self) -> str:
        return f"{self.samples} samples" if self.samples == self.total else f"{self.samples} of {self.total} samples"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "passed": self.passed,
            "verdict": self.verdict,
            "divergence": self.divergence,
            "divergence_fp16": self.divergence_fp16,
            "computes_fp16": self.computes_fp16,
            "claimed_divergence": self.claimed,
            "tolerance": self.tolerance,
            "metrics": dict(self.metrics),
            "metrics_fp16": dict(self.metrics_fp16),
            "samples": self.samples,
            "samples_total": self.total,
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def verify(
    package: str | Path, experiment: Experiment | str | Path, *, observer: SearchObserver | None = None
) -> Verification:
    """Run a package on the evaluation data, batch by batch, and compare it with what it records of itself.

    Args:
        package: path of an ``.mlpackage``.
        experiment: whose model and data it is compared with, or the path of its file.
        observer: hears of stages.

    Raises:
        UserError: if it is no package, or does not fit the workload's inputs and outputs.
    """
    package, experiment = Path(package), Experiment.of(experiment)
    require_package(package)
    reporter = observer or SearchObserver()
    with reporter.stage("reading the package"):
        programs = in_precisions(package)
    with reporter.stage("checking the workload"):
        workload = load_workload(experiment.workload, experiment.data.options, operands=experiment.space.operands)
        first = workload.check()
    interface = declared_interface(experiment, workload)
    arguments = argument_names(workload.model, len(workload.example_inputs))
    to_inputs = to_program_inputs(interface, arguments, programs.float32.inputs)
    batches = workload.batches(Split.EVALUATION)
    asked = experiment.objectives.divergence
    kind = detect_kind(first, batches[0].targets) if asked == "auto" else DivergenceKind(asked)
    with torch.inference_mode():
        sampling = workload.sampling
        course = sampling.course([batch.inputs for batch in batches])
        with reporter.stage("running the float model"):
            floats = list(course.outputs(workload.model))
        reference = Reference.of(kind, floats, sampling.axes)
        indices = _fitting(programs.float32, batches, package, sampling)
        case = _Case(package, workload, reference, floats, indices, to_inputs)
        with reporter.stage("running the float model, rounded to fp16"):
            stored = sampling.course([batch.inputs for batch in batches], indices).outputs(as_stored(workload.model))
            rounding = case.divergence(list(stored))
        divergence, metrics = case.measured(programs.float32, reporter, "float32")
        half, half_metrics = case.measured(programs.fp16, reporter, "fp16") if programs.fp16 else (None, {})
    samples = [len(reference.by_sample(index, outputs)) for index, outputs in enumerate(floats)]
    found = Found(
        divergence,
        half,
        programs.fp16 is not None,
        rounding or 0.0,
        reference.chance,
        sum(samples[index] for index in indices),
        sum(samples),
        kind.value,
        workload.digest(Split.EVALUATION),
        model_digest(workload.model),
        weights_digest(package),
    )
    verdict = judged(found, _record(package, workload.model))
    if interface != PLAIN:
        verdict.notes += interface_failures(package, interface, arguments, workload.example_inputs)
    verdict.problems += shape_problems(programs, workload.model, workload.example_inputs, to_inputs)
    return _verification(found, verdict, metrics, half_metrics)


def _figure(value: float | None) -> str:
    return digits(value) if value is not None else "not finite"


def _text(metrics: Mapping[str, float]) -> str:
    return "".join(f", {name} {digits(value)}" for name, value in metrics.items())


def _verification(
    found: Found, verdict: Verdict, metrics: Mapping[str, float], half_metrics: Mapping[str, float]
) -> Verification:
    return Verification(
        found.float32,
        found.fp16,
        found.halves,
        metrics,
        half_metrics,
        found.samples,
        found.total,
        verdict.claimed,
        verdict.tolerance,
        tuple(verdict.problems),
        tuple(verdict.notes),
    )


@dataclass(frozen=True)
class _Case:
    """A package, and what it is compared with on the batches that it takes.

    Attributes:
        floats: the float model's outputs by batch, of all batches.
        indices: the batches that the package takes.
        to_inputs: makes the package's inputs from those of the model, where they are not the same.
    """

    package: Path
    workload: Workload
    reference: Reference
    floats: Sequence[Any]
    indices: Sequence[int]
    to_inputs: ToInputs | None = None

    @property
    def batches(self) -> tuple[Batch, ...]:
        every = self.workload.batches(Split.EVALUATION)
        return tuple(every[index] for index in self.indices)

    def measured(
        self, program: Program, reporter: Reporter, precision: str
    ) -> tuple[float | None, Mapping[str, float]]:
        """Divergence and metrics; None and nothing where outputs are not finite."""
        with reporter.bar(f"running the package in {precision}", len(self.batches)) as advance:
            outputs = self.outputs(program, advance)
        divergence = self.divergence(outputs)
        return divergence, {} if divergence is None else self.workload.metrics(outputs, batches=self.batches)

    def outputs(self, program: Program, advance: Callable[[int], None]) -> list[Any]:
        """The package's outputs by batch, in the structure of the model's."""
        sampling, state, found = self.workload.sampling, program.new_state(), []
        for index, batch in zip(self.indices, self.batches, strict=True):
            if sampling.begin(index) == index:
                state = program.new_state()
            found.append(self._outputs(program, batch, self.floats[index], state))
            advance(1)
        return found

    def divergence(self, outputs: Sequence[Any]) -> float | None:
        """From the float model, of outputs by batch; None where they are not finite."""
        values = [self.reference.by_sample(i, given) for i, given in zip(self.indices, outputs, strict=True)]
        by_sample = torch.cat(values)
        return max(float(by_sample.mean()), 0.0) if bool(torch.isfinite(by_sample).all()) else None

    def _outputs(self, program: Program, batch: Batch, like: Any, state: dict[str, Tensor]) -> Any:
        """The package's outputs in the structure of the torch model's."""
        sampling = self.workload.sampling

        def run(inputs: Inputs) -> dict[str, Tensor]:
            given = self.to_inputs(inputs) if self.to_inputs else dict(zip(program.inputs, inputs, strict=False))
            return program.run_tensors(given, state=state)

        values = one_by_one(run, batch.inputs, sampling.axes)
        wanted = flatten(like)
        found = [values[name] for name in named_as(values, like, program.inputs)]
        if len(found) != len(wanted):
            raise UserError(
                f"{self.package}: gives {len(found)} outputs, the workload's model {len(wanted)}; is it a package of it?"
            )
        for value, (name, expected) in zip(found, wanted, strict=True):
            mismatch = sampling.axes == FIRST and value.shape[1:] != expected.shape[1:]
            if mismatch or value.numel() != expected.numel():
                raise UserError(
                    f"{self.package}: {name} has shape {tuple(value.shape)}, the workload's model gives "
                    f"{tuple(expected.shape)} for the same inputs; is it a package of it?"
                )
        return replace_tensors(
            like, [value.reshape(expected.shape) for value, (_, expected) in zip(found, wanted, strict=True)]
        )


def _record(package: Path, model: nn.Module) -> PackageRecord:
    """The package's record; none where it is the experiment's model itself, for the record is of another comparison."""
    if isinstance(model, PackageModule) and model.path.resolve() == package.resolve():
        return PackageRecord()
    return PackageRecord.read(package)


def _fitting(program: Program, batches: Sequence[Batch], package: Path, sampling: Sampling) -> list[int]:
    """The batches whose shapes a package takes, whole or sample by sample; all, where the model carries state on.

    Raises:
        UserError: none, one of a model with state that does not fit, or a batch has more inputs than the package.
    """
    names = list(program.inputs)
    if len(batches[0].inputs) > len(names):
        raise UserError(
            f"{package}: takes {len(names)} inputs ({', '.join(names)}), the workload gives {len(batches[0].inputs)}; "
            "is it a package of this model?"
        )
    parts = [sampling.axes.split(batch.inputs)[0] for batch in batches]
    fitting = [
        index
        for index, batch in enumerate(batches)
        if takes(program, batch.inputs) or (parts[index] is not batch.inputs and takes(program, parts[index]))
    ]
    if fitting and (len(fitting) == len(batches) or not sampling.recurrent):
        return fitting
    given = list(dict.fromkeys(", ".join(str(tuple(v.shape)) for v in batch.inputs) for batch in batches))
    more = f" and {len(given) - _MOST_SHAPES} more" if len(given) > _MOST_SHAPES else ""
    few = "it takes only some of" if fitting else "it takes none of"
    misfitting = next(index for index in range(len(batches)) if index not in fitting)
    raise UserError(
        f"{misfit(program, batches[misfitting].inputs)}; {few} evaluation_data(), whose shapes are "
        f"{'; '.join(given[:_MOST_SHAPES])}{more}. Give data in the package's shape, or export from example_inputs() in the "
        "data's; is it a package of this model?"
    )
