"""Check of a program's outputs in fp16 against float32, with the op to blame.

A program is run twice on the same samples: in float32, and with fp16 emulated wherever the program says fp16. It is
judged by its outputs alone: a mask of minus infinity in front of a softmax is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.runtime.batching import batch_size, sample_of
from palettune.device_bench.runtime.errors import ProgramError
from palettune.device_bench.runtime.plan import plan_function
from palettune.device_bench.runtime.precision_cause import Cause, Suspects, find_cause
from palettune.device_bench.runtime.precision_judge import PrecisionJudge, Shares, Values
from palettune.device_bench.runtime.program import Program
from palettune.device_bench.runtime.program_file import ProgramFile, read_program_file
from palettune.device_bench.runtime.values import ComputePrecision

__all__ = ["LOSS", "OutputPrecision", "PrecisionCheck", "check_precision"]

#: Share of an output's energy that fp16 may take; the rounding of a sound network takes 1e-7 to 1e-5.
LOSS = 1e-3

Sample = Sequence[Tensor]
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class OutputPrecision:
    """One output (or state) in fp16 against float32, over all samples.

    Attributes:
        name: as the package spells it.
        elements: how many values were compared; of a classifier or an output of integers, of the floats behind it.
        non_finite: values that are infinite or NaN in fp16 and finite in float32.
        loss: energy of the difference over the energy in float32, infinite where values are not finite.
    """

    name: str
    elements: int
    non_finite: int
    loss: float


@dataclass(frozen=True)
class PrecisionCheck:
    """Outcome of running a program in fp16 and in float32.

    Attributes:
        outputs: one entry for each output and state that holds floats, or is found from floats.
        samples: how many were run.
        cause: the first op to blame, where something is wrong.
    """

    outputs: tuple[OutputPrecision, ...]
    samples: int
    cause: Cause | None = None

    @property
    def loss(self) -> float:
        """Largest loss of all outputs."""
        return max((output.loss for output in self.outputs), default=0.0)

    @property
    def non_finite(self) -> int:
        """Number of output values that are finite in float32 and not in fp16."""
        return sum(output.non_finite for output in self.outputs)

    @property
    def failed(self) -> bool:
        """Whether an overflow reaches an output in fp16, as a non-finite or a wrong number."""
        overflow = self.cause is not None and self.cause.overflow
        return self.non_finite > 0 or (self.loss > LOSS and overflow)

    @property
    def warned(self) -> bool:
        """Whether fp16 loses more of an output than ``LOSS`` without an overflow."""
        return not self.failed and self.loss > LOSS

    def __str__(self) -> str:
        if not (self.failed or self.warned):
            return f"fp16 loses {self.loss:.1e} of the outputs' energy on {self.samples} samples"
        return "; ".join([*self._findings(), *([str(self.cause)] if self.cause else ())])

    def _findings(self) -> Iterator[str]:
        for output in self.outputs:
            if output.non_finite:
                yield (
                    f"computed in fp16, {output.non_finite} of {output.elements} values of output {output.name!r} are "
                    f"not finite on {self.samples} samples, where the model's are"
                )
            elif output.loss > LOSS:
                yield (
                    f"computed in fp16, output {output.name!r} loses {output.loss:.1e} of its energy on {self.samples} "
                    "samples"
                )


def check_precision(
    package: str | Path | ProgramFile,
    samples: Iterable[Sample],
    *,
    reference: nn.Module | None = None,
    modules: Mapping[str, str] | None = None,
    to_inputs: Callable[[Sample], Inputs] | None = None,
) -> PrecisionCheck:
    """Run a program in float32 and in fp16, and name the first op to blame where they differ too much.

    Values that are not finite in float32 either are left out. Each sample is run by itself,
    from empty states.

    Args:
        package: an ``.mlpackage``, or one that has been read.
        samples: positional inputs of the program; several samples at once lie along the first dimension.
        reference: the float module, to tell a mask of minus infinity from one of ``finfo.min``: both are the same once
            they are stored in fp16. It is run only where an output is not finite.
        modules: dotted name of the torch module by the name of the op (``op_modules``), for the messages.
        to_inputs: makes the program's inputs from a sample, as for ``compare``.

    Raises:
        ProgramError: inputs that do not fit, or no samples.
        UnsupportedOpError: an op without a kernel.
    """
    file = package if isinstance(package, ProgramFile) else read_program_file(package)
    wide = _program(file, ComputePrecision.FP32)
    rows = [row for sample in samples for row in _rows(wide, sample, to_inputs)]
    if not rows:
        raise ProgramError(f"{file.path}: no samples to run in fp16")
    judge = PrecisionJudge(wide, reference)
    with torch.no_grad():
        expected = [judge.run(wide, inputs) for inputs, _ in rows]
        half = _program(file, ComputePrecision.FP16)
        found = [
            judge.shares(judge.run(half, inputs), expected[index], sample)
            for index, (inputs, sample) in enumerate(rows)
        ]
        outputs = tuple(_output(name, [shares[name] for shares in found]) for name in found[0])
        if all(output.loss <= LOSS for output in outputs):
            return PrecisionCheck(outputs, len(rows))
        worst = max(range(len(rows)), key=lambda index: max(share.order for share in found[index].values()))
        name = max(found[worst], key=lambda output: found[worst][output].order)

        def trial(exact: frozenset[str]) -> tuple[int, float]:
            values = judge.run(_program(file, ComputePrecision.FP16, exact), rows[worst][0])
            return judge.shares(values, expected[worst], rows[worst][1])[name].order

        inputs = rows[worst][0]
        suspects = Suspects(
            file.function, wide, _all_values(wide, inputs), _all_values(half, inputs), inputs, modules or {}, LOSS
        )
        cause = find_cause(suspects, judge.values[name], found[worst][name].order, trial)
    return PrecisionCheck(outputs, len(rows), cause)


def _program(file: ProgramFile, precision: ComputePrecision, exact: frozenset[str] = frozenset()) -> Program:
    device = torch.device("cpu")
    plan = plan_function(
        file, precision, device, exact=exact, widened=precision is ComputePrecision.FP32 or bool(exact)
    )
    return Program(file, plan, precision, device)


def _rows(
    program: Program, sample: Sample, to_inputs: Callable[[Sample], Inputs] | None
) -> Iterator[tuple[Inputs, Sample]]:
    """One sample at a time: the program's inputs, and the module's."""
    names = list(program.inputs)
    if to_inputs is None and len(sample) > len(names):
        raise ProgramError(
            f"{program.path}: takes {len(names)} inputs ({', '.join(names)}), a sample has {len(sample)}"
        )
    inputs = to_inputs(sample) if to_inputs is not None else dict(zip(names, sample, strict=False))
    tensors = {name: torch.as_tensor(value) for name, value in inputs.items() if name in program.inputs}
    count = batch_size(program.path, program.inputs, tensors)
    if count is None:
        yield inputs, sample
        return
    for index in range(count):
        row = [sample_of(value, index, count) for value in sample]
        yield {name: sample_of(value, index, count) for name, value in tensors.items()}, row


def _output(name: str, shares: Sequence[Shares]) -> OutputPrecision:
    total = sum(shares[1:], start=shares[0])
    return OutputPrecision(name, total.elements, total.non_finite, total.loss)


def _all_values(program: Program, inputs: Inputs) -> Values:
    """Every float that a program computes for one sample, by name, in order."""
    values: dict[str, Tensor] = {}

    def keep(name: str, value: Any) -> None:
        if isinstance(value, Tensor) and value.is_floating_point():
            values[name] = value

    program.run(inputs, observe=keep)
    return values
