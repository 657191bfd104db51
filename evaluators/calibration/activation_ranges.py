"""Activation ranges: scale and zero point of each layer input that is quantized to 8 bits, from calibration data.

The range is that of ``torch.ao.quantization.observer.HistogramObserver``: the clipping of the observed values with the
least squared error. coremltools' quantizer attaches observers to a whole traced model; here each layer has one of its
own, so that any part of a model may keep its activations in fp16.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization.observer import HistogramObserver

from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.evaluators.placement import device_of
from palettune.evaluators.weights.weight_uses import WeightUse, watched_ops
from palettune.evaluators.workload.course import Course, Hook, watched
from palettune.evaluators.workload.samples import Inputs
from palettune.space.layer import Layer

__all__ = ["ActivationRangeError", "activation_ranges"]

_SMALLEST = 2.0**-14
_UNUSED = (
    "the layer is never called as a module, and no op takes its weight alone, so its input cannot be quantized; "
    "keep its activations in fp16"
)


class ActivationRangeError(ValueError):
    """Error for a layer whose input cannot be quantized.

    Attributes:
        layer: its name.
    """

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"activations of layer {layer!r}: {reason}")
        self.layer = layer


def activation_ranges(
    module: nn.Module, layers: Iterable[Layer], batches: Sequence[Inputs] | Course
) -> dict[str, ActivationQuantization]:
    """Find the 8-bit quantization of some layers' inputs by running a module on batches.

    A layer that is a module is watched by its calls; of any other, and of one that is never called, the ops that take
    the weight are looked for.

    Raises:
        ActivationRangeError: a layer takes no floating-point input, its weight is used in another way, or it sees
            values that are not finite.
    """
    wanted = {layer.name: layer for layer in layers}
    observers = {name: _observer(device_of(module)) for name in wanted}
    course = Course.of(batches)
    called = {name: _on_call(name, observers[name]) for name, layer in wanted.items() if layer.module is not None}
    _run(module, course, called, [layer for layer in wanted.values() if layer.module is None], observers)
    missed = [wanted[name] for name in called if not _has_seen(observers[name])]
    if missed:
        _run(module, course, {}, missed, observers)
    by_op = wanted.keys() - called.keys() | {layer.name for layer in missed}
    return {name: _quantization(name, observer, name in by_op) for name, observer in observers.items()}


def _run(
    module: nn.Module, course: Course, called: dict[str, Hook], others: list[Layer], observers: dict[str, Any]
) -> None:
    def see(name: str, use: WeightUse) -> None:
        if not use.alone:
            raise ActivationRangeError(name, _UNUSED)
        _observe(name, observers[name], use.given)

    @contextlib.contextmanager
    def watching() -> Iterator[None]:
        with watched(module, called), watched_ops(module, others, see) if others else contextlib.nullcontext():
            yield

    with torch.inference_mode():
        for _ in course.outputs(module, watching):
            pass


def _observer(device: torch.device) -> Any:
    return HistogramObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine).to(device)


def _on_call(name: str, observer: Any) -> Hook:
    return lambda _module, inputs: _observe(name, observer, inputs[0] if inputs else None)


def _observe(name: str, observer: Any, values: Any) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise ActivationRangeError(name, "the input is no floating-point tensor; keep its activations in fp16")
    if not bool(torch.isfinite(values).all()):
        raise ActivationRangeError(name, "the input is not finite (NaN or infinite)")
    observer(values.float())


def _has_seen(observer: Any) -> bool:
    return observer.min_val.numel() > 0 and bool(torch.isfinite(observer.min_val))


def _quantization(name: str, observer: Any, by_op: bool) -> ActivationQuantization:
    if not _has_seen(observer):
        raise ActivationRangeError(name, _UNUSED)
    scale, zero_point = observer.calculate_qparams()
    half = scale.reshape(()).float().clamp_min(_SMALLEST).half()
    return ActivationQuantization(float(half), int(zero_point.reshape(())), by_op=by_op)
