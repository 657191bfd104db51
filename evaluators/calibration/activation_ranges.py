"""Activation ranges: scale and zero point of each layer input that is quantized to 8 bits, from calibration data.

The range is that of ``torch.ao.quantization.observer.HistogramObserver``: the clipping of the observed values with the
least squared error. coremltools' quantizer attaches observers to a whole traced model; here each layer has one of its
own, so that any part of a model may keep its activations in fp16.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization.observer import HistogramObserver

from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.evaluators.placement import device_of
from palettune.evaluators.workload.course import Course, Hook, watched
from palettune.evaluators.workload.samples import Inputs

__all__ = ["ActivationRangeError", "activation_ranges"]

_SMALLEST = 2.0**-14
_UNCALLED = "the layer is never called as a module, so its input cannot be quantized; keep its activations in fp16"


class ActivationRangeError(ValueError):
    """Error for a layer whose input cannot be quantized.

    Attributes:
        layer: its name.
    """

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"activations of layer {layer!r}: {reason}")
        self.layer = layer


def activation_ranges(
    module: nn.Module, layers: Iterable[str], batches: Sequence[Inputs] | Course
) -> dict[str, ActivationQuantization]:
    """Find the 8-bit quantization of some layers' inputs by running a module on batches.

    Raises:
        ActivationRangeError: a layer takes no floating-point input, is never called as a module, or sees values
            that are not finite.
    """
    observers = {name: _observer(device_of(module)) for name in layers}
    modules = dict(module.named_modules())
    for name in observers:
        if name not in modules:
            raise ActivationRangeError(name, _UNCALLED)
    hooks = {name: _watch(name, observer) for name, observer in observers.items()}
    with torch.inference_mode():
        for _ in Course.of(batches).outputs(module, lambda: watched(module, hooks)):
            pass
    return {name: _quantization(name, observer) for name, observer in observers.items()}


def _observer(device: torch.device) -> Any:
    return HistogramObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine).to(device)


def _watch(name: str, observer: Any) -> Hook:
    def observe(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        values = inputs[0] if inputs else None
        if not isinstance(values, Tensor) or not values.is_floating_point():
            raise ActivationRangeError(name, "the input is no floating-point tensor; keep its activations in fp16")
        if not bool(torch.isfinite(values).all()):
            raise ActivationRangeError(name, "the input is not finite (NaN or infinite)")
        observer(values.float())

    return observe


def _quantization(name: str, observer: Any) -> ActivationQuantization:
    if observer.min_val.numel() == 0 or not bool(torch.isfinite(observer.min_val)):
        raise ActivationRangeError(name, _UNCALLED)
    scale, zero_point = observer.calculate_qparams()
    half = scale.reshape(()).float().clamp_min(_SMALLEST).half()
    return ActivationQuantization(float(half), int(zero_point.reshape(())))
