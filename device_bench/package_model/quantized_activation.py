"""8-bit activations: quantized and dequantized before a layer, in the form that the converter reads.

The layer's module keeps its name and its weight; a hook rounds what enters it. coremltools converts the hook's two
operations (``quantized_decomposed``, those of PyTorch's own quantized export) to Core ML's ``quantize`` and
``dequantize``; see https://apple.github.io/coremltools/docs-guides/source/opt-quantization-overview.html.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.library_internals import pre_hooks, register_quantized_ops

__all__ = [
    "ActivationQuantization",
    "activation_quantizations",
    "clear_activations",
    "quantize_activations",
    "roundable",
]

_LARGEST_HALF = 65504.0

register_quantized_ops()


@dataclass(frozen=True)
class ActivationQuantization:
    """Rounding of one layer's input: ``scale * (integer - zero_point)``.

    Attributes:
        scale: positive, representable in fp16, for the package stores it so.
        zero_point: the integer that means zero.
        signed: int8 (-128 ... 127) or uint8 (0 ... 255).
        by_op: it is the input of the ops that take the weight, not of the layer's module.

    Raises:
        ValueError: a scale or zero point that a package cannot hold.
    """

    scale: float
    zero_point: int
    signed: bool = False
    by_op: bool = False

    def __post_init__(self) -> None:
        half = float(torch.tensor(self.scale).half()) if math.isfinite(self.scale) else math.nan
        if not (0 < half <= _LARGEST_HALF and half == self.scale):
            raise ValueError(f"scale {self.scale!r}: expected a positive number that fp16 holds exactly")
        if not self.low <= self.zero_point <= self.high:
            raise ValueError(f"zero point {self.zero_point}: expected one in {self.low} ... {self.high}")

    @property
    def low(self) -> int:
        """Smallest integer."""
        return -128 if self.signed else 0

    @property
    def high(self) -> int:
        """Largest integer."""
        return 127 if self.signed else 255

    def round(self, values: Tensor) -> Tensor:
        """Return rounded values, with straight-through, clipped gradients where the input requires them."""
        if torch.is_grad_enabled() and values.requires_grad:
            return torch.fake_quantize_per_tensor_affine(values, self.scale, self.zero_point, self.low, self.high)
        # coremltools converts these, and not the others, from a traced module
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            integer = torch.qint8 if self.signed else torch.quint8
            traced: Tensor = torch.quantize_per_tensor(values, self.scale, self.zero_point, integer).dequantize()
            return traced
        dtype = torch.int8 if self.signed else torch.uint8
        parameters = (self.scale, self.zero_point, self.low, self.high, dtype)
        integers = torch.ops.quantized_decomposed.quantize_per_tensor(values, *parameters)
        rounded: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(integers, *parameters)
        return rounded


class _Rounding:
    """The hook: rounds the first input of a module."""

    def __init__(self, quantization: ActivationQuantization) -> None:
        self.quantization = quantization

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.quantization.round(inputs[0]), *inputs[1:])


def quantize_activations(root: nn.Module, layer_name: str, quantization: ActivationQuantization) -> None:
    """Round the input of the submodule ``layer_name`` of ``root`` from now on, replacing an earlier rounding."""
    module = root.get_submodule(layer_name)
    clear_activations(module)
    module.register_forward_pre_hook(_Rounding(quantization))


def clear_activations(module: nn.Module) -> None:
    """Remove the rounding of one module's input."""
    hooks = pre_hooks(module)
    for key in [key for key, hook in hooks.items() if isinstance(hook, _Rounding)]:
        del hooks[key]


def activation_quantizations(root: nn.Module) -> dict[str, ActivationQuantization]:
    """Return the roundings of a model's modules, by module name."""
    return {
        name: hook.quantization
        for name, module in root.named_modules()
        for hook in pre_hooks(module).values()
        if isinstance(hook, _Rounding)
    }


def roundable(root: nn.Module, example_inputs: tuple[Tensor, ...], layer_names: Iterable[str]) -> frozenset[str]:
    """Return the layers whose input can be rounded: called as modules, always on floating-point tensors.

    Args:
        root: the model; run once on ``example_inputs`` without gradients.
    """
    called: dict[str, bool] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def see(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            floats = bool(inputs) and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point()
            called[name] = floats and called.get(name, True)

        return see

    handles = [root.get_submodule(name).register_forward_pre_hook(watch(name)) for name in layer_names]
    try:
        with torch.no_grad():
            root(*example_inputs)
    finally:
        for handle in handles:
            handle.remove()
    return frozenset(name for name, floats in called.items() if floats)
