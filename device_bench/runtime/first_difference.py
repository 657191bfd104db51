"""Search for the first op of a program that differs from its reference.

The values that both compute are set against each other, whatever their names: a value of the program agrees when the
reference computes the same numbers somewhere, in this order or another (layouts differ). The first difference is the
first op that does not agree and that no agreeing value depends on; ops that only the program has, such as the parts of an
activation, are thereby passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.library_internals import TorchDispatchMode, tree_leaves
from palettune.device_bench.runtime.program import Program
from palettune.device_bench.runtime.signal import contrast_to_noise

__all__ = ["FirstDifference", "find_first_difference", "module_values", "program_values"]

#: Where agreement was found, values of the reference by name.
Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class FirstDifference:
    """First op whose output differs from the reference.

    Attributes:
        op: name of its output in the program.
        op_type: its type.
        snr_db: contrast-to-noise ratio of the reference's value that comes nearest, in dB; None when the reference has
            none of its size.
        finite: False when the output holds an infinity or NaN.
        after: names of the values that it was computed from.
        weights: names of the weights that it reads.
    """

    op: str
    op_type: str
    snr_db: float | None
    finite: bool
    after: tuple[str, ...]
    weights: tuple[str, ...]

    def __str__(self) -> str:
        nearest = "no value of its size in the reference" if self.snr_db is None else f"{self.snr_db:.1f} dB"
        reads = f", reading weights {', '.join(self.weights)}" if self.weights else ""
        kind = "" if self.finite else "; its output is not finite"
        return f"op {self.op!r} of type {self.op_type!r} differs from the reference ({nearest}){reads}{kind}"


def program_values(program: Program, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return every float that a program computes for one sample, by name, in order; its inputs first."""
    values = {name: torch.as_tensor(value) for name, value in inputs.items()}

    def keep(name: str, value: Any) -> None:
        if isinstance(value, Tensor) and value.is_floating_point():
            values[name] = value.detach().cpu()

    with torch.no_grad():
        program.run(inputs, observe=keep)
    return values


def module_values(module: nn.Module, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return every float that a torch module computes, by torch op, numbered in order; its inputs first.

    Ops are seen below the module, where autograd and decompositions are done: see ``torch.utils._python_dispatch`` in
    https://dev-discuss.pytorch.org/t/torchdispatchmode-for-debugging-testing-and-more/717.
    """
    values = {f"input {place}": value for place, value in enumerate(inputs) if value.is_floating_point()}
    with torch.no_grad(), _Recorder(values):
        module(*inputs)
    return values


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, values: dict[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._values = values

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                # Cloned, for a later op may write into it.
                self._values[f"{func} {len(self._values)}"] = leaf.detach().clone().cpu()
        return result


def find_first_difference(
    program: Program, values: Values, reference: Values, threshold_db: float
) -> FirstDifference | None:
    """Return the first op of a program that differs from the reference; None when every path agrees to its end.

    Args:
        program: gives the ops and what they read.
        values: what it computed, from ``program_values``.
        reference: what the reference computed, for the same sample.
        threshold_db: contrast-to-noise ratio from which on two values agree.
    """
    by_size: dict[int, list[Tensor]] = {}
    for value in reference.values():
        by_size.setdefault(value.numel(), []).append(value)
    nearest: dict[str, float | None] = {}
    for name, value in values.items():
        nearest[name] = _nearest(value, by_size.get(value.numel(), []), threshold_db)
    agreed = {name for name, snr in nearest.items() if snr is not None and snr >= threshold_db}
    followed = set(agreed)
    for name in reversed(list(program.sources)):
        if name in followed:
            followed.update(program.sources[name])
    departed = [name for name in program.sources if name in values and name not in followed]
    return _describe(program, values, departed[0], nearest[departed[0]]) if departed else None


def _describe(program: Program, values: Values, op: str, snr: float | None) -> FirstDifference:
    sources = program.sources[op]
    name = program.op_names[op]
    weights = [weight.name for weight in program.weights.values() if any(use.op_name == name for use in weight.uses)]
    finite = bool(values[op].isfinite().all())
    return FirstDifference(op, program.op_types[op], snr, finite, sources, tuple(weights))


def _nearest(value: Tensor, candidates: list[Tensor], threshold_db: float) -> float | None:
    """The best ratio of the value to any candidate, stopping when one agrees."""
    best: float | None = None
    flat = value.flatten().double()
    for in_order in (True, False):
        mine = flat if in_order else flat.sort().values
        for candidate in candidates:
            theirs = candidate.flatten().double()
            snr = contrast_to_noise(mine, theirs if in_order else theirs.sort().values)
            if in_order or snr >= threshold_db:
                best = snr if best is None else max(best, snr)
            if best is not None and best >= threshold_db:
                return best
    return best
