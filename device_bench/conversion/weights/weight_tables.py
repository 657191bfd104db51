"""Graph pass that puts a table in the place of each weight of a program, and every other tensor's values back.

It runs on what the front end has made of a module with coded tensors, before any other pass. No pass computes with a
table, so that the program is the same for every encoding of the weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from torch import Tensor

from palettune.device_bench.conversion.weights.coded_uses import CodedUse, CodedUses, at_line
from palettune.device_bench.conversion.weights.stand_in import StandIn
from palettune.device_bench.conversion.weights.table_constant import table_constant
from palettune.device_bench.conversion.weights.weight_choice import FoundWeight, chosen_weights
from palettune.device_bench.conversion.weights.weight_codes import WeightCodes
from palettune.device_bench.library_internals import (
    AbstractGraphPass,
    copy_scope,
    front_end_pass,
    register_pass,
)
from palettune.device_bench.model.layer_weight import elements_of
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.device_bench.package_model.rounded_products import round_input
from palettune.space.layer import WeightView

__all__ = ["CodedProgram", "WeightPart", "coded_program"]

#: Tensor and view.
WeightPart = tuple[str, WeightView | None]

_PASS = "palettune::weights_as_tables"


@dataclass(frozen=True)
class CodedProgram:
    """Coded tensors, and the weights that a conversion has found among them.

    Attributes:
        codes: of the tensors.
        tensors: their values, by name.
        choose: the stand-in of a weight that was found; None where its values are to be put back.
        roundings: by tensor and view, how the inputs of the ops that take a weight are rounded.
        weights: those found, with their stand-ins, in the order of the tensors.
        computed: by tensor, why the program holds values computed from codes: it must be converted with its own.
        refused: by tensor, why elements of it are no weight.
    """

    codes: WeightCodes
    tensors: Mapping[str, Tensor]
    choose: Callable[[FoundWeight], StandIn | None]
    roundings: Mapping[WeightPart, ActivationQuantization] = field(default_factory=dict)
    weights: list[tuple[FoundWeight, StandIn]] = field(default_factory=list)
    computed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


_coded: ContextVar[CodedProgram] = ContextVar("coded")


@contextlib.contextmanager
def coded_program(program: CodedProgram) -> Iterator[None]:
    """Let conversions inside the context replace the coded tensors of a module, and note what they find."""
    token = _coded.set(program)
    try:
        # ahead of the front end's own passes, which drop the ops that it has computed with itself
        with front_end_pass(_PASS):
            yield
    finally:
        _coded.reset(token)


@register_pass(namespace="palettune", override=True)
class weights_as_tables(AbstractGraphPass):  # type: ignore[misc]  # coremltools registers it by this name
    """Graph pass: see the module."""

    def apply(self, prog: Any) -> None:
        """Replace the coded tensors in all functions of a MIL program."""
        coded = _coded.get()
        for kept in (coded.weights, coded.computed, coded.refused):
            kept.clear()  # a front end that failed later has been here before
        for function in prog.functions.values():
            with function:
                _replace(function, coded)


def _replace(function: Any, coded: CodedProgram) -> None:
    found = CodedUses(function, coded.codes)
    coded.computed.update(found.computed)
    first = function.operations[0]
    for tensor in coded.tensors:
        weights, refused = chosen_weights(found.uses.get(tensor, ()))
        for weight in weights:
            rounding = coded.roundings.get((tensor, weight.part.view))
            if rounding is not None:
                _round(function, weight, rounding)
            stand_in = None if tensor in found.computed else coded.choose(weight)
            if stand_in is None:
                refused += [(use, "") for use in weight.uses]
                continue
            coded.weights.append((weight, stand_in))
            _put_table(function, first, weight, stand_in)
        for use, reason in refused:
            if reason:
                coded.refused.setdefault(tensor, _located(use, reason))
            _put_back(function, first, use, coded.tensors[tensor])


def _round(function: Any, weight: FoundWeight, rounding: ActivationQuantization) -> None:
    """Round what ops multiply by a weight."""
    for use in weight.uses:
        other = "y" if use.op.op_type == "matmul" and use.operand == "x" else "x"
        copy_scope(function, use.op.outputs[0], round_input(use.op, other, rounding))


def _located(use: CodedUse, reason: str) -> str:
    return reason if use.op is None else f"{reason} (op {use.op.name!r}){at_line(use.op)}"


def _put_table(function: Any, before: Any, weight: FoundWeight, stand_in: StandIn) -> None:
    old = weight.uses[0].variable
    name = old.name if old.op.op_type == "const" else f"{old.name}_weight"
    table = table_constant(weight.part.shape, stand_in.table, name, before)
    copy_scope(function, old, table)
    turned = None
    for use, turn in zip(weight.uses, weight.turned, strict=True):
        if turn and turned is None:
            turned = mb.transpose(x=table, perm=(1, 0), before_op=before, name=f"{name}_turned")
            copy_scope(function, old, turned)
        use.put(turned if turn else table)


def _put_back(function: Any, before: Any, use: CodedUse, tensor: Tensor) -> None:
    """Let an op take the tensor's own values."""
    values = elements_of(tensor, use.part.view, use.part.shape).float().numpy()
    constant = mb.const(val=np.ascontiguousarray(values), before_op=before, name=use.variable.name)
    copy_scope(function, use.variable, constant)
    if use.op is None:
        outputs = [constant if output is use.variable else output for output in function.outputs]
        function.set_outputs(outputs)
    else:
        use.put(constant)
