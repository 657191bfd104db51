"""Conversion of a module whose layers are stored as their metadata says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import types
from torch import Tensor, nn

from palettune.device_bench.conversion.weights.stand_in import StandIn, of_table
from palettune.device_bench.conversion.weights.weight_codes import WeightCodes
from palettune.device_bench.conversion.weights.weight_tables import CodedProgram, coded_program
from palettune.device_bench.library_internals import AbstractGraphPass, register_pass, run_pass
from palettune.device_bench.model.compressed_weight import InstalledWeight, installed
from palettune.device_bench.model.layer_weight import held_tensor, layer_weight
from palettune.device_bench.model.shared_copy import shared_copy
from palettune.device_bench.package.encoded_weight import encoded_weight
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.device_bench.package_model.rounded_products import clear_rounded_products, rounded_products
from palettune.space.layer import Layer

__all__ = ["STORE_WEIGHTS", "coded_copy", "coded_layers", "is_stored", "numbered", "stored_weights"]

#: Pass that puts each layer's own constant in the place of its stand-in.
STORE_WEIGHTS = "palettune::store_weights"
#: Passes that the constants of layers have missed: scaled tables take their final form, and what is used no more is dropped.
_AFTER = ("common::canonicalize_quantized_lut_pattern", "common::dead_code_elimination")


@dataclass(frozen=True)
class _Stored:
    module: nn.Module
    weights: Mapping[str, InstalledWeight]
    by_size: Mapping[float, StandIn]


_stored: ContextVar[_Stored | None] = ContextVar("stored", default=None)


@contextlib.contextmanager
def stored_weights(module: nn.Module) -> Iterator[nn.Module]:
    """Yield a copy of a module to convert inside the context, in which its installed weights are coded."""
    weights, roundings = installed(module), rounded_products(module)
    if not weights and not roundings:
        yield module
        return
    layers = [weight.layer for weight in weights.values()]
    stand_ins = numbered(layers)
    tensors = {layer.tensor: held_tensor(module, layer.tensor).detach() for layer in (*layers, *roundings)}
    coded = coded_layers(stand_ins, tensors, roundings)
    token = _stored.set(_Stored(module, weights, {one.size: one for one in stand_ins.values()}))
    try:
        with coded_program(coded):
            yield coded_copy(module, coded.codes, tensors)
    finally:
        _stored.reset(token)


def numbered(layers: Iterable[Layer]) -> dict[Layer, StandIn]:
    """Return a stand-in for each of some layers."""
    return {layer: StandIn(layer.name, layer.shape, number) for number, layer in enumerate(layers)}


def coded_layers(
    stand_ins: Mapping[Layer, StandIn],
    tensors: Mapping[str, Tensor],
    roundings: Mapping[Layer, ActivationQuantization] | None = None,
) -> CodedProgram:
    """Return tensors to be coded, in which weights that are one of these layers are found and all others put back."""
    chosen = {(layer.tensor, layer.view): stand_in for layer, stand_in in stand_ins.items()}
    return CodedProgram(
        WeightCodes(tensors),
        tensors,
        lambda weight: chosen.get((weight.part.tensor, weight.part.view)),
        {(layer.tensor, layer.view): rounding for layer, rounding in (roundings or {}).items()},
    )


def coded_copy(module: nn.Module, codes: WeightCodes, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of a module that shares all tensors but these, which are coded; its program rounds for itself."""
    replaced = {}
    for name in tensors:
        held = held_tensor(module, name)
        coded = codes.parameter(name)
        replaced[id(held)] = coded if isinstance(held, nn.Parameter) else coded.data
    copied = shared_copy(module, replaced)
    clear_rounded_products(copied)
    return copied


@register_pass(namespace="palettune", override=True)
class store_weights(AbstractGraphPass):  # type: ignore[misc]  # coremltools registers it by this name
    """Graph pass: replace stand-ins by the constants of their layers; without any, do nothing."""

    def apply(self, prog: Any) -> None:
        """Replace the stand-ins in all functions of a MIL program."""
        stored = _stored.get()
        if stored is None:
            return
        for function in prog.functions.values():
            with function:
                for op in list(function.operations):
                    stand_in = _stand_in(op, stored.by_size)
                    if stand_in is not None:
                        self._store(function, op, stored.weights[stand_in.layer], stored.module)
        for name in _AFTER:
            run_pass(name, prog)

    @staticmethod
    def _store(function: Any, op: Any, weight: InstalledWeight, module: nn.Module) -> None:
        old = op.outputs[0]
        half = types.nptype_from_builtin(old.dtype) == np.float16
        values = layer_weight(module, weight.layer)
        new = encoded_weight(values, weight.buffers, op.name, half=half, before_op=op)
        new.op.palettune_stored = True
        function.replace_uses_of_var_after_op(anchor_op=op, old_var=old, new_var=new, force_replace=True)
        function.remove_ops([op])


def is_stored(op: Any) -> bool:
    """Return whether an op of a program makes the weight of a layer, as ``STORE_WEIGHTS`` has put it there."""
    return getattr(op, "palettune_stored", False) is True


def _stand_in(op: Any, by_size: Mapping[float, StandIn]) -> StandIn | None:
    return of_table(op.lut.val, by_size) if op.op_type == "constexpr_lut_to_dense" else None
