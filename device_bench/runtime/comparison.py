"""A package set against its reference by running both on the same samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from device_bench.runtime.departure import Departure, find_departure, module_values, program_values
from device_bench.runtime.errors import ProgramError
from device_bench.runtime.program import Program, load
from device_bench.runtime.signal import agreement, powers, ratio_db

__all__ = ["THRESHOLD_DB", "Comparison", "OutputComparison", "as_stored", "compare"]

#: A right package differs from its module by the rounding of weights to fp16: 48 dB were measured on EfficientNet-Lite0,
#: 85 dB when the module's weights are rounded too (``as_stored``). A wrong weight or op leaves 20 dB or less.
THRESHOLD_DB = 40.0

Sample = Sequence[Tensor]


@dataclass(frozen=True)
class OutputComparison:
    """One output of a package against the reference's, over all samples.

    Attributes:
        name: as the package spells it.
        snr_db: signal-to-noise ratio, the reference being the signal; infinite when nothing differs.
        largest_difference: between two elements, in the output's own unit.
        agreement: share of places where both pick the same class; None for an output without classes.
    """

    name: str
    snr_db: float
    largest_difference: float
    agreement: float | None


@dataclass(frozen=True)
class Comparison:
    """What running both has shown.

    Attributes:
        outputs: one entry for each output.
        samples: how many were run.
        threshold_db: what every output must reach.
        departure: the first op that departs, looked for when an output falls short; None otherwise, or when none of
            the program's values could be told apart from the reference's.
    """

    outputs: tuple[OutputComparison, ...]
    samples: int
    threshold_db: float
    departure: Departure | None = None

    @property
    def passed(self) -> bool:
        """True when every output reaches the threshold."""
        return self.snr_db >= self.threshold_db

    @property
    def snr_db(self) -> float:
        """Of the worst output, in dB."""
        return min(output.snr_db for output in self.outputs)

    @property
    def largest_difference(self) -> float:
        """Of any output."""
        return max(output.largest_difference for output in self.outputs)

    @property
    def agreement(self) -> float | None:
        """Of the worst output that has classes."""
        return min((o.agreement for o in self.outputs if o.agreement is not None), default=None)

    def __str__(self) -> str:
        worst = min(self.outputs, key=lambda output: output.snr_db)
        text = f"output {worst.name!r}: {worst.snr_db:.1f} dB over {self.samples} samples"
        if self.passed:
            return text
        where = str(self.departure) if self.departure else "no single op could be named"
        return f"{text}, {self.threshold_db:g} dB are needed; {where}"


@dataclass
class _Sums:
    """What is added up over the samples for one output."""

    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    same: int = 0
    places: int = 0

    def add(self, value: Tensor, reference: Tensor) -> None:
        signal, noise = powers(value, reference)
        self.signal, self.noise = self.signal + signal, self.noise + noise
        difference = (value.double() - reference.double()).abs()
        self.largest = max(self.largest, float(difference.nan_to_num(nan=float("inf") if noise else 0.0).max()))
        same = agreement(value, reference)
        if same is not None:
            self.same, self.places = self.same + same[0], self.places + same[1]

    def result(self, name: str) -> OutputComparison:
        share = self.same / self.places if self.places else None
        return OutputComparison(name, ratio_db(self.signal, self.noise), self.largest, share)


@dataclass(frozen=True)
class _Pair:
    """A program and what it is compared with, brought to one way of calling."""

    program: Program
    reference: nn.Module | Program
    to_inputs: Callable[[Sample], Mapping[str, Any]] | None
    sums: dict[str, _Sums] = field(default_factory=dict)

    def inputs(self, sample: Sample) -> Mapping[str, Any]:
        if self.to_inputs is not None:
            return self.to_inputs(sample)
        names = list(self.program.inputs)
        if len(sample) > len(names):
            raise ProgramError(
                f"{self.program.path}: takes {len(names)} inputs ({', '.join(names)}), a sample has {len(sample)}"
            )
        return dict(zip(names, sample, strict=False))

    def add(self, sample: Sample) -> float:
        """Run both on one sample (or batch); the worst ratio of this sample alone."""
        values = self.program.run_tensors(self.inputs(sample))
        expected = self.expected(sample, values)
        worst = float("inf")
        for name, reference in expected.items():
            value = values[name].cpu()
            if value.numel() != reference.numel():
                raise ProgramError(
                    f"{self.program.path}: output {name!r} has shape {tuple(value.shape)}, the reference's has "
                    f"{tuple(reference.shape)}"
                )
            reference = reference.detach().cpu().reshape(value.shape)
            self.sums.setdefault(name, _Sums()).add(value, reference)
            worst = min(worst, ratio_db(*powers(value, reference)))
        return worst

    def expected(self, sample: Sample, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The reference's outputs under the names of the program's."""
        if isinstance(self.reference, Program):
            return self.reference.run_tensors(self.inputs(sample))
        leaves = [leaf for leaf in pytree.tree_leaves(self.reference(*sample)) if isinstance(leaf, Tensor)]
        if len(leaves) != len(values):
            raise ProgramError(
                f"{self.program.path}: has {len(values)} outputs ({', '.join(values)}), the module returns {len(leaves)}"
            )
        return dict(zip(values, leaves, strict=True))

    def departure(self, sample: Sample, threshold_db: float) -> Departure | None:
        """Compare the first row of a sample value by value; nothing where that depends on samples before it."""
        if self.program.states:
            return None
        row = [value[:1] if value.dim() else value for value in sample]
        values = program_values(self.program, self.inputs(row))
        if isinstance(self.reference, Program):
            reference = program_values(self.reference, self.inputs(row))
        else:
            reference = module_values(self.reference, row)
        return find_departure(self.program, values, reference, threshold_db)


def as_stored(module: nn.Module) -> nn.Module:
    """A copy of a module whose floats are rounded to fp16, as a package stores them, and computed with in float32.

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
    """Run a package and its reference on the same samples, and name the first op that departs when they differ.

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
    pair = _Pair(program, reference, to_inputs)
    count = 0
    worst: tuple[float, Sample | None] = (float("inf"), None)
    with torch.no_grad(), program.sequence():
        for sample in samples:
            count += max((value.shape[0] for value in sample if value.dim()), default=1)
            snr = pair.add(sample)
            worst = (snr, sample) if worst[1] is None or snr < worst[0] else worst
    if not count:
        raise ProgramError(f"{program.path}: no samples to compare on")
    outputs = tuple(sums.result(name) for name, sums in pair.sums.items())
    comparison = Comparison(outputs, count, threshold_db)
    if comparison.passed or worst[1] is None:
        return comparison
    return Comparison(outputs, count, threshold_db, pair.departure(worst[1], threshold_db))
