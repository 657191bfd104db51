"""Execution of a package beside its module, in float32 to check its structure and in fp16 to check its outputs.

In float32 only weights and ops can differ, so the threshold is sharp. In fp16 the package computes as it will on a
device, as far as the program says fp16: values beyond 65,504 become infinite there, and rounding takes its share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import nn

from palettune.device_bench.runtime.batching import batch_size
from palettune.device_bench.runtime.comparison import THRESHOLD_DB, Comparison, Sample, compare_all
from palettune.device_bench.runtime.errors import ProgramError
from palettune.device_bench.runtime.own_noise import allowing_own_noise
from palettune.device_bench.runtime.plan import plan_function
from palettune.device_bench.runtime.precision_check import LOSS, check_precision
from palettune.device_bench.runtime.program import Program
from palettune.device_bench.runtime.program_file import ProgramFile, read_program_file
from palettune.device_bench.runtime.values import ComputePrecision, is_half

__all__ = ["Execution", "Precisions", "execute", "in_precisions", "misfit", "takes", "within"]

_LOSS_DB = 30.0
#: As for ``compare``.
_ToInputs = Callable[[Sample], Mapping[str, Any]]


@dataclass(frozen=True)
class Execution:
    """Outcome of running a package in both precisions.

    Attributes:
        float32: computed in float32 throughout.
        fp16: computed in fp16 where the program says so; None for a program of float32.
        not_finite: the first op, in words, that makes a value that is not finite in fp16 and is in float32; None
            where all outputs are finite.
        fitting: samples of the data that the package takes.
        total: samples of the data.
    """

    float32: Comparison
    fp16: Comparison | None
    not_finite: str | None = None
    fitting: int = 0
    total: int = 0

    @property
    def finite(self) -> bool:
        """Whether every output is finite in fp16 where the module's is."""
        return self.fp16 is None or self.fp16.finite

    @property
    def passed(self) -> bool:
        """Whether the package computes what its module does, with finite outputs in its own precision."""
        return self.float32.passed and self.finite

    @property
    def loss(self) -> float:
        """Share of the worst output's energy that differs in the program's own precision."""
        return (self.fp16 or self.float32).loss

    @property
    def failures(self) -> tuple[str, ...]:
        """Failures in words."""
        found = [] if self.float32.passed else [f"in float32, {self.float32}"]
        if self.fp16 is not None and not self.fp16.finite:
            count = sum(output.not_finite for output in self.fp16.outputs)
            where = self.not_finite or str(self.fp16.first_difference or "no single op could be named")
            found.append(f"in fp16, {count} values of its outputs are not finite where the model's are: {where}")
        return tuple(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about a package that passed."""
        found = []
        if self.float32.passed and self.float32.threshold_db < THRESHOLD_DB:
            found.append(
                f"{self.float32.snr_db:.0f} dB in float32: the model makes choices (an argmax, a rounding) that turn "
                "over when its weights are rounded to fp16; its weights and ops are proven one by one all the same"
            )
        if self.fp16 is not None and self.finite and self.float32.passed and self.fp16.loss > LOSS:
            where = f"; {self.fp16.first_difference}" if self.fp16.first_difference else ""
            found.append(f"computing in fp16 loses {self.fp16.loss:.1e} of an output's energy{where}")
        if self.fitting < self.total:
            left = "the example was run instead" if not self.fitting else "the others were left out"
            found.append(f"{self.fitting} of {self.total} samples fit the package's shapes; {left}")
        return tuple(found)

    @property
    def figures(self) -> str:
        """Signal-to-noise ratios in both precisions, in a few words."""
        half = "computes in float32" if self.fp16 is None else f"{_decibels(self.fp16.snr_db)} in fp16"
        return f"{_decibels(self.float32.snr_db)} in float32, {half}, {self.float32.samples} samples"


@dataclass(frozen=True)
class Precisions:
    """One function of a package, ready to run in both precisions.

    Attributes:
        float32: every float in float32.
        fp16: rounded to fp16 where the program says so; None where it nowhere does.
        file: what both were read from.
        modules: torch module by the name of the op, where that is known; for messages.
    """

    float32: Program
    fp16: Program | None
    file: ProgramFile
    modules: Mapping[str, str] = field(default_factory=dict)


def in_precisions(path: str | Path, modules: Mapping[str, str] | None = None) -> Precisions:
    """Load a package once, for both precisions.

    Args:
        modules: from ``op_modules`` of the conversion, where that is at hand.

    Raises:
        ProgramError: not an ML Program, or damaged.
        UnsupportedOpError: an op without a kernel.
    """
    file = read_program_file(path)
    half = _loaded(file, ComputePrecision.FP16) if _says_half(file.function) else None
    return Precisions(_loaded(file, ComputePrecision.FP32), half, file, modules or {})


def execute(
    path: str | Path | Precisions,
    module: nn.Module,
    samples: Iterable[Sample],
    *,
    fitting: int = 0,
    total: int = 0,
    to_inputs: _ToInputs | None = None,
) -> Execution:
    """Run a package in both precisions beside the module that it should hold.

    Args:
        path: the ``.mlpackage``, or one that is loaded.
        module: best ``as_stored``, in evaluation mode on the CPU.
        samples: the module's positional inputs, each of a shape that the package takes.
        fitting: samples of the data that the package takes.
        total: samples of the data.
        to_inputs: makes the program's inputs from a sample, where they are not the same.

    Raises:
        ProgramError: inputs or outputs that do not fit together, or no samples.
    """
    programs = path if isinstance(path, Precisions) else in_precisions(path)
    kept: list[Sample] = []
    if programs.fp16 is None:
        (float32,) = compare_all({programs.float32: THRESHOLD_DB}, module, _kept(samples, kept), to_inputs=to_inputs)
        return Execution(allowing_own_noise(float32, module, kept), None, None, fitting, total)
    thresholds = {programs.float32: THRESHOLD_DB, programs.fp16: _LOSS_DB}
    float32, fp16 = compare_all(thresholds, module, _kept(samples, kept), to_inputs=to_inputs)
    blamed = None if fp16.finite else _first_not_finite(programs, module, kept, to_inputs)
    return Execution(allowing_own_noise(float32, module, kept), fp16, blamed, fitting, total)


def takes(program: Program, sample: Sample) -> bool:
    """Return whether a program takes inputs of these shapes, as they are or as a batch along the first dimension."""
    return misfit(program, sample) is None


def misfit(program: Program, sample: Sample) -> str | None:
    """Return why a program does not take inputs of these shapes; None when it does."""
    names = list(program.inputs)
    if len(sample) > len(names):
        return f"{program.path}: takes {len(names)} inputs ({', '.join(names)}), a sample has {len(sample)}"
    try:
        batch_size(program.path, program.inputs, dict(zip(names, sample, strict=False)))
    except ProgramError as error:
        return str(error)
    return None


def within(samples: Iterable[Sample], seconds: float, least: int = 4) -> Iterator[Sample]:
    """Yield samples while there is time; the ``least`` first ones in any case."""
    started = time.monotonic()
    for count, sample in enumerate(samples):
        if count >= least and time.monotonic() - started > seconds:
            return
        yield sample


def _loaded(file: ProgramFile, precision: ComputePrecision) -> Program:
    device = torch.device("cpu")
    return Program(file, plan_function(file, precision, device), precision, device)


def _says_half(block: Any) -> bool:
    """Whether any op of a block computes in fp16; constants alone are no computation."""
    for op in block.operations:
        if any(_says_half(inner) for inner in op.blocks):
            return True
        constant = op.op_type in ("const", "cast") or op.op_type.startswith("constexpr_")
        if not constant and any(is_half(output.sym_type) for output in op.outputs):
            return True
    return False


def _kept(samples: Iterable[Sample], kept: list[Sample]) -> Iterator[Sample]:
    for sample in samples:
        kept.append(sample)
        yield sample


def _first_not_finite(
    programs: Precisions, module: nn.Module, samples: Sequence[Sample], to_inputs: _ToInputs | None
) -> str | None:
    """The first op that fp16 cannot hold, its module where that is known, and the mend."""
    check = check_precision(programs.file, samples, reference=module, modules=programs.modules, to_inputs=to_inputs)
    cause = check.cause
    return None if cause is None else str(cause)


def _decibels(ratio: float) -> str:
    return "no difference" if ratio == inf else "not finite" if ratio == -inf else f"{ratio:.0f} dB"
