"""Comparison of a package with its reference by running both on the same samples."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.outputs import flatten, named_as
from palettune.device_bench.runtime.errors import ProgramError
from palettune.device_bench.runtime.first_difference import (
    FirstDifference,
    find_first_difference,
    module_values,
    program_values,
)
from palettune.device_bench.runtime.program import Program, load
from palettune.device_bench.runtime.signal import agreement, powers, ratio_db

__all__ = ["THRESHOLD_DB", "Comparison", "OutputComparison", "as_stored", "compare", "compare_all"]

#: A right package differs from its module by the rounding of weights to fp16: 48 dB were measured on EfficientNet-Lite0,
#: 85 dB when the module's weights are rounded too (``as_stored``). A wrong weight or op leaves 20 dB or less.
THRESHOLD_DB = 40.0
#: By how much one sample alone may stay below that: many right samples must not hide one that goes another way.
SAMPLE_SLACK_DB = 20.0
#: Share of the mean signal below which a sample has no scale of its own.
_SILENT = 1e-4

Sample = Sequence[Tensor]
#: What a reference gives: a program its outputs by name, a module whatever it returns.
Outputs = Any


@dataclass(frozen=True)
class OutputComparison:
    """One output of a package against the reference's, over all samples.

    Attributes:
        name: as the package spells it.
        snr_db: signal-to-noise ratio, the reference being the signal; infinite when nothing differs.
        largest_difference: between two elements, in the output's own unit.
        agreement: share of places where both pick the same class; None for an output without classes.
        not_finite: values that are infinite or NaN where the reference's are finite.
        worst_sample_db: the same ratio of the worst sample (or batch) alone.
    """

    name: str
    snr_db: float
    largest_difference: float
    agreement: float | None
    not_finite: int = 0
    worst_sample_db: float = inf


@dataclass(frozen=True)
class Comparison:
    """Outcome of running a package and its reference on the same samples.

    Attributes:
        outputs: one entry for each output.
        samples: how many were run.
        threshold_db: what every output must reach.
        first_difference: the first op that departs, looked for when an output falls short; None otherwise, or when none of
            the program's values could be told apart from the reference's.
    """

    outputs: tuple[OutputComparison, ...]
    samples: int
    threshold_db: float
    first_difference: FirstDifference | None = None

    @property
    def passed(self) -> bool:
        """Whether every output reaches the threshold, and no sample alone stays far below it."""
        return self.snr_db >= self.threshold_db and self.worst_sample_db >= self.threshold_db - SAMPLE_SLACK_DB

    @property
    def finite(self) -> bool:
        """Whether every value is finite where the reference's is."""
        return not any(output.not_finite for output in self.outputs)

    @property
    def worst_sample_db(self) -> float:
        """Signal-to-noise ratio of the worst sample of the worst output, in dB."""
        return min(output.worst_sample_db for output in self.outputs)

    @property
    def loss(self) -> float:
        """Share of the worst output's energy that differs; infinite where values are not finite."""
        return 10 ** (-self.snr_db / 10) if self.snr_db > -inf else inf

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio of the worst output, in dB."""
        return min(output.snr_db for output in self.outputs)

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference of any output."""
        return max(output.largest_difference for output in self.outputs)

    @property
    def agreement(self) -> float | None:
        """Share of equal classes, of the worst output that has classes."""
        return min((o.agreement for o in self.outputs if o.agreement is not None), default=None)

    def __str__(self) -> str:
        worst = min(self.outputs, key=lambda output: (output.snr_db, output.worst_sample_db))
        text = f"output {worst.name!r}: {worst.snr_db:.1f} dB over {self.samples} samples"
        if self.passed:
            return text
        if self.snr_db >= self.threshold_db:
            worst = min(self.outputs, key=lambda output: output.worst_sample_db)
            text = f"output {worst.name!r}: {worst.worst_sample_db:.1f} dB on one of {self.samples} samples"
        where = str(self.first_difference) if self.first_difference else "no single op could be named"
        return f"{text}, {self.threshold_db:g} dB are needed; {where}"


@dataclass
class _Sums:
    """What is added up over the samples for one output."""

    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    same: int = 0
    places: int = 0
    not_finite: int = 0
    by_sample: list[tuple[float, float]] = field(default_factory=list)

    def add(self, value: Tensor, reference: Tensor) -> float:
        """One sample's values; the ratio of this sample alone."""
        if not value.numel():
            return inf
        signal, noise = powers(value, reference)
        self.signal, self.noise = self.signal + signal, self.noise + noise
        self.by_sample.append((signal, noise))
        self.not_finite += int((reference.isfinite() & ~value.isfinite()).sum())
        difference = (value.double() - reference.double()).abs()
        self.largest = max(self.largest, float(difference.nan_to_num(nan=inf if noise else 0.0).max()))
        same = agreement(value, reference)
        if same is not None:
            self.same, self.places = self.same + same[0], self.places + same[1]
        return ratio_db(signal, noise)

    def result(self, name: str) -> OutputComparison:
        share = self.same / self.places if self.places else None
        ratio = ratio_db(self.signal, self.noise)
        least = _SILENT * self.signal / max(len(self.by_sample), 1)
        worst = min((ratio_db(max(signal, least), noise) for signal, noise in self.by_sample), default=inf)
        return OutputComparison(name, ratio, self.largest, share, self.not_finite, worst)


@dataclass
class _Pair:
    """A program and what it is compared with, brought to one way of calling."""

    program: Program
    reference: nn.Module | Program
    to_inputs: Callable[[Sample], Mapping[str, Any]] | None
    sums: dict[str, _Sums] = field(default_factory=dict)
    worst: tuple[float, Sample] | None = None

    def inputs(self, sample: Sample) -> Mapping[str, Any]:
        if self.to_inputs is not None:
            return self.to_inputs(sample)
        names = list(self.program.inputs)
        if len(sample) > len(names):
            raise ProgramError(
                f"{self.program.path}: takes {len(names)} inputs ({', '.join(names)}), a sample has {len(sample)}"
            )
        return dict(zip(names, sample, strict=False))

    def given(self, sample: Sample) -> Outputs:
        """What the reference gives for a sample."""
        if isinstance(self.reference, Program):
            return self.reference.run_tensors(self.inputs(sample))
        return self.reference(*sample)

    def add(self, sample: Sample, given: Outputs) -> None:
        """Run the program on one sample (or batch), and set it against what the reference gives."""
        values = self.program.run_tensors(self.inputs(sample))
        worst = inf
        for name, reference in self.named(given, values).items():
            value = values[name].cpu()
            if value.numel() != reference.numel():
                raise ProgramError(
                    f"{self.program.path}: output {name!r} has shape {tuple(value.shape)}, the reference's has "
                    f"{tuple(reference.shape)}"
                )
            reference = reference.detach().cpu().reshape(value.shape)
            worst = min(worst, self.sums.setdefault(name, _Sums()).add(value, reference))
        if self.worst is None or worst < self.worst[0]:
            self.worst = (worst, sample)

    def named(self, given: Outputs, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The reference's outputs under the names of the program's."""
        if isinstance(self.reference, Program):
            found: Mapping[str, Tensor] = given
            return found
        leaves = [leaf for _, leaf in flatten(given)]
        if len(leaves) != len(values):
            raise ProgramError(
                f"{self.program.path}: has {len(values)} outputs ({', '.join(values)}), the module returns {len(leaves)}"
            )
        return dict(zip(named_as(values, given, self.program.inputs), leaves, strict=True))

    def comparison(self, count: int, threshold_db: float) -> Comparison:
        """What all samples have shown; of a program that falls short, with the first op that departs."""
        comparison = Comparison(tuple(sums.result(name) for name, sums in self.sums.items()), count, threshold_db)
        if (comparison.passed and comparison.finite) or self.worst is None:
            return comparison
        return replace(comparison, first_difference=self.first_difference(self.worst[1], threshold_db))

    def first_difference(self, sample: Sample, threshold_db: float) -> FirstDifference | None:
        """Compare the first row of a sample value by value; nothing where that depends on samples before it."""
        if self.program.states:
            return None
        row = [value[:1] if value.dim() else value for value in sample]
        values = program_values(self.program, self.inputs(row))
        if isinstance(self.reference, Program):
            reference = program_values(self.reference, self.inputs(row))
        else:
            reference = module_values(self.reference, row)
        return find_first_difference(self.program, values, reference, threshold_db)


def as_stored(module: nn.Module) -> nn.Module:
    """Copy a module with its floats rounded to fp16, as a package stores them, and computed with in float32.

    What belongs to a float32 program (``float_bits`` of its module) stays as it is.
    """
    rounded = copy.deepcopy(module)
    with torch.no_grad():
        for part in rounded.modules():
            for tensor in [*part.parameters(recurse=False), *part.buffers(recurse=False)]:
                if tensor.is_floating_point() and getattr(part, "float_bits", 16) == 16:
                    tensor.copy_(tensor.half())
    return rounded


def compare(
    package: str | Path | Program,
    reference: nn.Module | Program,
    samples: Iterable[Sample],
    *,
    threshold_db: float = THRESHOLD_DB,
    to_inputs: Callable[[Sample], Mapping[str, Any]] | None = None,
) -> Comparison:
    """Run a package and its reference on the same samples; name the first op that differs where they do.

    Args:
        package: an ``.mlpackage``, or a loaded program with the precision of one's choice; a path is run in float32,
            so that what differs is the weights and the ops, not the rounding of activations.
        reference: the torch module whose compressed weights the package should hold, in evaluation mode on the CPU,
            best ``as_stored``; or another program with the same inputs and outputs.
        samples: the module's positional inputs; several samples at once lie along the first dimension. A program with
            states runs them as one sequence, and so does its module, which must be as it was loaded.
        threshold_db: signal-to-noise ratio that each output must reach.
        to_inputs: makes the program's inputs from a sample, where they are not the same in the same order, such as the
            pixels that belong to a normalized image.

    Raises:
        ProgramError: inputs or outputs that do not fit together, or no samples.
    """
    program = package if isinstance(package, Program) else load(package)
    return compare_all({program: threshold_db}, reference, samples, to_inputs=to_inputs)[0]


def compare_all(
    programs: Mapping[Program, float],
    reference: nn.Module | Program,
    samples: Iterable[Sample],
    *,
    to_inputs: Callable[[Sample], Mapping[str, Any]] | None = None,
) -> list[Comparison]:
    """Compare several programs, each with its threshold, with one run of the reference."""
    pairs = [_Pair(program, reference, to_inputs) for program in programs]
    count = 0
    with torch.no_grad(), contextlib.ExitStack() as sequences:
        for program in programs:
            sequences.enter_context(program.sequence())
        for sample in samples:
            count += max((value.shape[0] for value in sample if value.dim()), default=1)
            for pair in pairs:
                pair.inputs(sample)  # what does not fit is said before the reference is run
            given = pairs[0].given(sample)
            for pair in pairs:
                pair.add(sample, given)
    if not count:
        raise ProgramError(f"{pairs[0].program.path}: no samples to compare on")
    return [pair.comparison(count, threshold) for pair, threshold in zip(pairs, programs.values(), strict=True)]
