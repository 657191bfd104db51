"""Search for the first op that fp16 cannot hold, among all that a program computes for one sample.

A value has overflowed that is infinite or NaN in fp16 and finite in float32. Where one overflow follows from another,
the first one is the cause; of several, the one whose removal improves the output most, found by running the program
again with those values in float32. Without an overflow, the loss is followed back from the output to the first op whose
output has it and whose inputs have not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from coremltools.converters.mil.mil import types
from torch import Tensor

from palettune.device_bench.package.op_modules import uncast_name
from palettune.device_bench.runtime.precision_judge import Values
from palettune.device_bench.runtime.program import Program

__all__ = ["Cause", "Suspects", "find_cause"]

_LARGEST = 65504
#: From here on a constant is one that masks, or one that scales.
_LARGE = 1e4
_CONTRACTIONS = frozenset(
    {"conv", "conv_transpose", "linear", "matmul", "einsum", "lstm", "gru", "rnn", "scaled_dot_product_attention",
     "layer_norm", "batch_norm", "instance_norm", "gather"}
)  # fmt: skip
_PRODUCTS = frozenset({"mul", "real_div", "square", "pow", "exp", "exp2"})

Order = tuple[int, float]
#: How bad the output is when these values stay in float32.
Trial = Callable[[frozenset[str]], Order]


@dataclass(frozen=True)
class Cause:
    """Op that causes an overflow or a loss of precision.

    Attributes:
        op: its name in the program, without what a conversion to fp16 adds.
        op_type: its type.
        module: the torch module that it belongs to; empty for the outermost one, None where that is not known.
        overflow: whether its output is not finite in fp16 (or in the program at all); otherwise it loses precision.
        mask: whether what overflows is a mask, added or filled in to keep positions out of a softmax.
        largest: the largest magnitude in float32 of what overflows, or of its output; NaN where that is.
        patterns: what to name in ``space.float32`` for these ops and those that read what overflows; none where the
            modules are not known.
    """

    op: str
    op_type: str
    module: str | None
    overflow: bool
    mask: bool
    largest: float
    patterns: tuple[str, ...]

    @property
    def mend(self) -> str:
        """Advice on how to correct it."""
        if self.mask:
            return (
                "a mask must be finite in fp16: write -1e4 in place of torch.finfo(...).min, -inf or any number below "
                "-65504"
            )
        if not self.patterns:
            return (
                "keep it and the ops that read it in float32 when the package is converted (space.float32 in an "
                "experiment; op_selector of ct.transform.FP16ComputePrecision), or rescale what they work on"
            )
        keep = ", ".join(f'"{pattern}"' for pattern in self.patterns)
        return f"keep these ops in float32, space.float32 = [{keep}], or rescale what they work on"

    @property
    def where(self) -> str:
        """Op and module in words."""
        module = "" if self.module is None else f" in module {self.module!r}" if self.module else " in the model itself"
        return f"op {self.op!r} ({self.op_type}){module}"

    def __str__(self) -> str:
        if math.isnan(self.largest):
            what = "is the first whose output is NaN, in float32 too: its constants are not finite"
        elif self.overflow:
            what = (
                f"is the first whose output fp16 cannot hold (up to {self.largest:.3g} in float32; fp16 ends at 65504)"
            )
        else:
            what = "is the first that loses precision"
        return f"{self.where} {what}: {self.mend}"


@dataclass(frozen=True, eq=False)
class Suspects:
    """All values that a program computes for one sample, in both precisions.

    Attributes:
        function: coremltools' MIL function.
        wide: float values by name, in float32 (with infinite constants as large numbers).
        half: the same in fp16.
        inputs: of the program.
        modules: torch module by op name.
        allowed: share of a value's energy that fp16 may take.
    """

    function: Any
    program: Program
    wide: Values
    half: Values
    inputs: Mapping[str, Any]
    modules: Mapping[str, str]
    allowed: float

    def overflows(self, name: str) -> bool:
        """Return whether a value is not finite in fp16 where it is in float32."""
        return name in self.half and bool(self.overflowed(name).any())

    def overflowed(self, name: str) -> Tensor:
        """Return a mask of the elements that are finite in float32 and not in fp16."""
        return self.wide[name].isfinite() & ~self.half[name].isfinite()

    def is_lost(self, name: str) -> bool:
        """Return whether a value is NaN in float32 too: a constant was not finite before it was stored."""
        return name in self.wide and bool(self.wide[name].isnan().any())

    def exceeds(self, name: str) -> bool:
        """Return whether a finite value is itself beyond the range of fp16."""
        wide = self.wide.get(name)
        return wide is not None and bool((wide.isfinite() & (wide.abs() > _LARGEST)).any())

    def loss(self, name: str) -> float:
        """Return the share of a value's energy that fp16 loses, among finite elements."""
        if name not in self.half:
            return 0.0
        wide, half = self.wide[name].double(), self.half[name].double()
        both = wide.isfinite() & half.isfinite()
        signal = float(torch.where(both, wide, 0.0).square().sum())
        noise = float(torch.where(both, half - wide, 0.0).square().sum())
        return noise / signal if signal else float(noise > 0)

    @cached_property
    def readers(self) -> Mapping[str, list[str]]:
        """Names of the values computed from each value, by name."""
        readers: dict[str, list[str]] = {}
        for name, sources in self.program.sources.items():
            for source in sources:
                readers.setdefault(source, []).append(name)
        return readers

    @cached_property
    def ops(self) -> Mapping[str, Any]:
        """Ops of the function itself by the name of each output."""
        return {output.name: op for op in self.function.operations for output in op.outputs}


def find_cause(suspects: Suspects, judged: Sequence[str], order: Order, trial: Trial) -> Cause:
    """Return the first op to blame for an output.

    Args:
        judged: names of the values that the output is judged by.
        order: how bad it is.
        trial: how bad it is when some values stay in float32.
    """
    roots = _roots(suspects, judged, suspects.overflows)
    if not roots and order[0] and (lost := _roots(suspects, judged, suspects.is_lost)):
        return _cause(suspects, lost[0], lost[:1])
    everywhere = frozenset(name for root in roots for name in _spread(suspects, root))
    if roots and (order[0] or trial(everywhere)[1] < order[1] / 2):
        trials = {root: trial(frozenset(_spread(suspects, root))) for root in roots}
        root = min(roots, key=lambda name: trials[name])
        mended = trials[root] < order
        if not mended and (start := _first_loss(suspects, suspects.program.sources[root])) is not None:
            return _cause(suspects, start, [start])
        enough = not trials[root][0] and trials[root][1] <= suspects.allowed
        return _cause(suspects, root, _spread(suspects, root) if enough else everywhere)
    start = _first_loss(suspects, judged) or judged[0]
    return _cause(suspects, start, [start])


def _roots(suspects: Suspects, judged: Iterable[str], wrong: Callable[[str], bool]) -> list[str]:
    """What is wrong and follows from nothing else that is, of all that leads to an output, in the program's order."""
    sources = suspects.program.sources
    behind, waiting = set(judged), list(judged)
    while waiting:
        new = [name for name in sources.get(waiting.pop(), ()) if name not in behind]
        behind.update(new)
        waiting += new
    found = {name for name in behind if wrong(name)}
    return [name for name in sources if name in found and not found.intersection(sources[name])]


def _spread(suspects: Suspects, root: str) -> list[str]:
    """An overflow and the values made of it, for as long as they are beyond fp16 themselves."""
    spread, waiting = {root: None}, [root]
    while waiting:
        new = [n for n in suspects.readers.get(waiting.pop(), ()) if n not in spread and suspects.exceeds(n)]
        spread.update(dict.fromkeys(new))
        waiting += new
    return list(spread)


def _first_loss(suspects: Suspects, names: Sequence[str]) -> str | None:
    """The first value with a loss, going back from these along the largest one."""
    found: str | None = None
    seen: set[str] = set()
    while names:
        worst = max(names, key=suspects.loss)
        if worst in seen or suspects.loss(worst) <= suspects.allowed:
            break
        seen.add(worst)
        found, names = worst, suspects.program.sources.get(worst, ())
    return found


def _cause(suspects: Suspects, name: str, spread: Iterable[str]) -> Cause:
    overflow = suspects.overflows(name) or suspects.is_lost(name)
    wide = suspects.wide.get(name, torch.zeros(1))
    largest = float((wide[suspects.overflowed(name)] if suspects.overflows(name) else wide).abs().max())
    made = _made(suspects, name)
    op = suspects.program.op_names.get(made, made)
    return Cause(
        uncast_name(op),
        suspects.program.op_types.get(made, "input"),
        suspects.modules.get(op),
        overflow,
        overflow and _is_mask(suspects, name),
        largest,
        _patterns(suspects, list(spread)),
    )


def _made(suspects: Suspects, name: str) -> str:
    """The value itself, or the one that it is a cast of."""
    sources = suspects.program.sources.get(name, ())
    if suspects.program.op_types.get(name) == "cast" and sources and sources[0] in suspects.wide:
        return _made(suspects, sources[0])
    return name


def _patterns(suspects: Suspects, spread: Sequence[str]) -> tuple[str, ...]:
    """Modules, or ops of modules that hold others, of these values and of those that read them."""
    involved = {*spread, *(reader for name in spread for reader in suspects.readers.get(name, ()))}
    modules = set(suspects.modules.values())
    if not modules:
        return ()
    patterns: dict[str, None] = {}
    for name in suspects.program.sources:
        op = suspects.program.op_names[name]
        if name not in involved or suspects.program.op_types[name] == "cast":
            continue
        module = suspects.modules.get(op)
        leaf = module and not any(other.startswith(f"{module}.") for other in modules)
        patterns[module if leaf and module else uncast_name(op)] = None
    return tuple(patterns)


def _is_mask(suspects: Suspects, name: str) -> bool:
    """Whether what overflows is negative, or is subtracted, throughout, and comes from a large constant or input."""
    overflowed = suspects.wide[name][suspects.overflowed(name)]
    readers = [reader for value in _spread(suspects, name) for reader in suspects.readers.get(value, ())]
    subtracted = any(suspects.program.op_types[reader] == "sub" for reader in readers)
    lowers = bool((overflowed <= 0).all()) or (subtracted and bool((overflowed >= 0).all()))
    return lowers and name in suspects.ops and _masks(suspects, suspects.ops[name], set())


def _masks(suspects: Suspects, op: Any, seen: set[str]) -> bool:
    if op.op_type in _CONTRACTIONS or op.op_type.startswith("reduce_") or op.name in seen or op.blocks:
        return False
    seen.add(op.name)
    operands = _operands(op)
    if op.op_type in _PRODUCTS and not all(_is_free(suspects, value) for value in operands):
        return False  # activations that are scaled
    return any(
        _is_large(suspects, value) or (value.op is not None and _masks(suspects, value.op, seen)) for value in operands
    )


def _is_large(suspects: Suspects, value: Any) -> bool:
    """Whether a constant or an input of the program holds what masks."""
    if value.op is None:
        given = suspects.inputs.get(value.name)
        found = None if given is None else torch.as_tensor(given).numpy()
    else:
        found = value.val if value.op.op_type == "const" else None
    if found is None or not np.issubdtype(np.asarray(found).dtype, np.floating) or not np.size(found):
        return False
    return not bool(np.abs(np.asarray(found, np.float64)).max() < _LARGE)  # NaN counts, too


def _is_free(suspects: Suspects, value: Any, depth: int = 0) -> bool:
    """Whether a value is made of constants, inputs and comparisons, without a weight."""
    if value.op is None or value.op.op_type == "const" or not types.is_float(value.dtype):
        return True
    if value.op.op_type in _CONTRACTIONS or value.op.blocks or depth > 50:
        return False
    return all(_is_free(suspects, inner, depth + 1) for inner in _operands(value.op))


def _operands(op: Any) -> list[Any]:
    values = [value for name, value in op.inputs.items() if value is not None and not name.startswith("_")]
    flat = [inner for value in values for inner in (value if isinstance(value, list | tuple) else [value])]
    return [value for value in flat if hasattr(value, "op")]
