"""Conversion of weights of any layer kind to the layouts that coremltools' torch algorithms support, and back.

coremltools' palettizer supports Linear, Embedding and Conv2d only, its pruner no transposed convolution. Their
algorithms depend only on a weight's output axis, input axis and kernel, so every weight is passed as that of a Linear
(two axes) or of a Conv2d whose kernel is one row (more axes).
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.library_internals import coremltools_buffer
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind

__all__ = ["Carrier", "quiet", "spread", "to_half"]


class Carrier:
    """Converter between the weight of one layer and the module in which coremltools compresses it."""

    def __init__(self, layer: Layer, encoding: Encoding) -> None:
        self.layer = layer
        self.encoding = encoding
        self.rank = len(layer.shape)

    def module(self, weight: Tensor) -> nn.Sequential:
        """Return a sequence of one module (Linear or Conv2d) that holds a copy of ``weight`` with output channels first."""
        shape = (self.layer.output_channels, self.layer.input_channels)
        carried = self._swap(weight)
        if self.rank == 2:
            single: nn.Module = nn.Linear(shape[1], shape[0], bias=False, device="meta")
        else:
            kernel = math.prod(self.layer.shape[2:])
            carried = carried.reshape(*shape, 1, kernel)
            single = nn.Conv2d(shape[1], shape[0], (1, kernel), bias=False, device="meta")
        single.register_parameter("weight", nn.Parameter(carried.contiguous().clone()))
        return nn.Sequential(single)

    def weight_of(self, values: Tensor) -> Tensor:
        """Convert values from the layer's layout to that of the module's weight."""
        return self.module(values).get_submodule("0").get_parameter("weight").detach()

    def weight(self, module: nn.Module) -> Tensor:
        """Return the module's weight in the layer's layout, float32."""
        carried = module.get_submodule("0").get_parameter("weight").detach().float()
        if self.rank > 2:
            shape = (self.layer.output_channels, self.layer.input_channels, *self.layer.shape[2:])
            carried = carried.reshape(shape)
        return self._swap(carried).contiguous()

    def buffer(self, module: nn.Module, key: str) -> Tensor | None:
        """Return one of coremltools' metadata buffers; ``None`` without it."""
        return coremltools_buffer(module.get_submodule("0"), key)

    def per_axis(self, values: Tensor, tail: int = 0) -> Tensor:
        """Convert a buffer with one axis for each axis of the weight, and ``tail`` more, to the layer's layout."""
        lead = values.shape[: values.dim() - tail][:2]
        ones = (1,) * (self.rank - 2)
        end = values.shape[values.dim() - tail :]
        return self._swap(values.reshape(*lead, *ones, *end)).contiguous()

    def axis(self, carried: int) -> int:
        """Return the layer's axis for the module's axis 0 (output) or 1 (input)."""
        return self.layer.output_axis if carried == 0 else self.layer.input_axis

    def flat(self, values: Tensor) -> Carrier:
        """Return a carrier for a list of values, as one output channel of a Linear; its errors name this layer."""
        return Carrier(replace(self.layer, kind=LayerKind.LINEAR, shape=(1, values.numel())), self.encoding)

    def product(self, values: Tensor) -> Tensor:
        """Round products of stored numbers to fp16 if the program computes in fp16."""
        return to_half(values) if self.layer.float_bits == 16 else values

    def failure(self, stage: str, reason: str) -> CompressionError:
        """Return an error that names the layer, the encoding and the stage."""
        return CompressionError(self.layer, self.encoding, stage, reason)

    def _swap(self, values: Tensor) -> Tensor:
        return values.transpose(0, 1) if self.layer.kind.is_transposed else values


class _Listener(logging.Handler):
    """Handler that collects warnings, in which coremltools says why it skipped a layer."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Silence coremltools' progress bars and logs inside the context; yield the list of its warnings."""
    listener = _Listener()
    loggers = [logging.getLogger(name) for name in ("coremltools", "coremltools.optimize.torch")]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [listener], False
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield listener.heard
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate


def to_half(values: Tensor) -> Tensor:
    """Round values to fp16 precision; the result is float32."""
    return values.half().float()


def spread(values: Tensor, shape: torch.Size) -> Tensor:
    """Repeat block-wise values so that they broadcast to a weight of this shape."""
    for axis, length in enumerate(shape):
        if values.shape[axis] not in (1, length):
            values = values.repeat_interleave(length // values.shape[axis], dim=axis)
    return values
