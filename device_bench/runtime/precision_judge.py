"""Comparison of a program's outputs in fp16 with those in float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.library_internals import tree_leaves
from palettune.device_bench.runtime.program import Program

__all__ = ["PrecisionJudge", "Shares", "Values"]

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Shares:
    """Non-finite elements and lost energy of one output, for one sample or several.

    Attributes:
        signal: sum of squares in float32, of what is finite in both.
        noise: sum of squares of the difference.
    """

    elements: int
    non_finite: int
    signal: float
    noise: float

    @property
    def loss(self) -> float:
        """Noise over signal."""
        if self.non_finite:
            return inf
        return self.noise / self.signal if self.signal else (inf if self.noise else 0.0)

    @property
    def order(self) -> tuple[int, float]:
        """Sort key; a larger one is worse."""
        return self.non_finite, self.loss

    def __add__(self, other: Shares) -> Shares:
        return Shares(
            self.elements + other.elements,
            self.non_finite + other.non_finite,
            self.signal + other.signal,
            self.noise + other.noise,
        )


class PrecisionJudge:
    """Runs programs and compares the values that their outputs are judged by.

    Attributes:
        values: by output, the names of the float values that it is judged by: the output itself; of a classifier's
            table or an output of integers, the floats that it was found from.
    """

    def __init__(self, program: Program, reference: nn.Module | None) -> None:
        self._reference = reference
        self._outputs = list(program.outputs)
        self._floats = set(self._outputs)
        self._program = program
        self.values: dict[str, tuple[str, ...]] = {name: (name,) for name in [*self._outputs, *program.states]}
        self._known = False

    def run(self, program: Program, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return outputs, states, and the floats behind outputs that are no floats, by name."""
        if not self._known:
            self._learn(program, inputs)
        names = {name for values in self.values.values() for name in values if name in program.op_types}
        state = program.new_state()
        found = program.run(inputs, state=state, capture=names)
        return found | state

    def _learn(self, program: Program, inputs: Mapping[str, Any]) -> None:
        """One run with everything observed tells which values are floats."""
        floats: set[str] = set()

        def note(name: str, value: Any) -> None:
            if isinstance(value, Tensor) and value.is_floating_point():
                floats.add(name)

        found = program.run(inputs, observe=note)
        for name in self._outputs:
            value = found[name]
            if not (isinstance(value, Tensor) and value.is_floating_point()):
                self._floats.discard(name)
                self.values[name] = _floats_behind(program, name, floats)
        self.values = {name: values for name, values in self.values.items() if values}
        self._known = True

    def shares(
        self, found: Mapping[str, Any], expected: Mapping[str, Any], sample: Sequence[Tensor]
    ) -> dict[str, Shares]:
        """Compare what was found in fp16 with what was expected, by output, for one sample of the reference module."""
        shares: dict[str, Shares] = {}
        for name, values in self.values.items():
            settled = name not in self._floats and name in self._outputs and _equal(found[name], expected[name])
            parts = [_shares(found[value], expected[value], settled) for value in values]
            shares[name] = sum(parts[1:], start=parts[0])
        doubtful = any(share.non_finite for share in shares.values()) or not self._finite(expected)
        if self._reference is not None and doubtful:
            shares |= dict(self._by_reference(self._reference, found, expected, sample))
        return shares

    def _finite(self, expected: Mapping[str, Any]) -> bool:
        """Whether all outputs are finite in float32."""
        return all(bool(expected[name].isfinite().all()) for name in self._floats)

    def _by_reference(
        self, reference: nn.Module, found: Mapping[str, Any], expected: Mapping[str, Any], sample: Sequence[Tensor]
    ) -> Iterator[tuple[str, Shares]]:
        """What should be finite, as the float module says: a program may have lost that in its constants already."""
        buffers = {name: buffer.clone() for name, buffer in reference.named_buffers()}
        outputs = torch.func.functional_call(reference, buffers, tuple(sample))  # which may write into its buffers
        leaves = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
        if len(leaves) != len(self._outputs):
            return
        for name, leaf in zip(self._outputs, leaves, strict=True):
            if name in self._floats and leaf.numel() == found[name].numel():
                yield name, _shares(found[name], expected[name], False, leaf.reshape(found[name].shape).isfinite())


def _shares(found: Tensor, expected: Tensor, settled: bool, finite: Tensor | None = None) -> Shares:
    """Shares of one value.

    Args:
        settled: what was found from it is the same, so that infinities were as good as large numbers.
        finite: where it should be finite; by default where it is in float32.
    """
    wide, half = expected.isfinite(), found.isfinite()
    wrong = (wide if finite is None else finite) & (found.isnan() if settled else ~half)
    both = wide & half
    signal = torch.where(both, expected, 0.0).double()
    noise = torch.where(both, found - expected, 0.0).double()
    return Shares(found.numel(), int(wrong.sum()), float(signal.square().sum()), float(noise.square().sum()))


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(found, Tensor) and isinstance(expected, Tensor):
        return torch.equal(found, expected)
    return bool(list(found) == list(expected)) if isinstance(found, list | dict) else bool(found == expected)


def _floats_behind(program: Program, name: str, floats: set[str]) -> tuple[str, ...]:
    """The nearest float values from which a value is made."""
    behind: dict[str, None] = {}
    waiting, seen = list(program.sources.get(name, ())), set()
    while waiting:
        source = waiting.pop(0)
        if source in floats:
            behind[source] = None
        elif source not in seen:
            seen.add(source)
            waiting += program.sources.get(source, ())
    return tuple(behind)
