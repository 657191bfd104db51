"""8-bit inputs of ops that take a weight without a call of its module.

Such a rounding is noted on the whole model. While the model runs, a hook finds the ops; a conversion leaves the hook out
and rounds in the program, where each op that takes the weight is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from torch import nn

from palettune.device_bench.library_internals import pre_hooks
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.space.layer import Layer

__all__ = ["RoundedProducts", "clear_rounded_products", "round_input", "rounded_products"]


class RoundedProducts(ABC):
    """Hook of a whole model, ahead of its forward pass, that rounds what its ops multiply by some layers' weights.

    Attributes:
        by_layer: the roundings.
    """

    def __init__(self, by_layer: Mapping[Layer, ActivationQuantization]) -> None:
        self.by_layer = dict(by_layer)

    @abstractmethod
    def __call__(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Let the ops of the forward pass that begins round their inputs."""


def rounded_products(root: nn.Module) -> dict[Layer, ActivationQuantization]:
    """Return the roundings that are noted on a model."""
    hooks = pre_hooks(root).values()
    return {layer: one for hook in hooks if isinstance(hook, RoundedProducts) for layer, one in hook.by_layer.items()}


def clear_rounded_products(root: nn.Module) -> None:
    """Remove the roundings that are noted on a model."""
    hooks = pre_hooks(root)
    for key in [key for key, hook in hooks.items() if isinstance(hook, RoundedProducts)]:
        del hooks[key]


def round_input(op: Any, operand: str, rounding: ActivationQuantization) -> Any:
    """Let an op of a MIL program take one of its operands rounded; the rounded value is returned."""
    value, block = op.inputs[operand], op.enclosing_block
    integer, word = (np.int8, "int8") if rounding.signed else (np.uint8, "uint8")
    scale = types.nptype_from_builtin(value.dtype)(rounding.scale)
    terms = {"scale": scale, "zero_point": integer(rounding.zero_point), "before_op": op}
    with block:
        rounded = mb.dequantize(input=mb.quantize(input=value, output_dtype=word, **terms), **terms)
        block.replace_uses_of_var_after_op(anchor_op=rounded.op, old_var=value, new_var=rounded, end_op=op)
    return rounded
