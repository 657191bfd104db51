"""Error of a compression, with the layer, the encoding and the stage."""

from __future__ import annotations

from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["CompressionError"]


class CompressionError(ValueError):
    """Error for a weight that cannot be compressed in its encoding.

    Attributes:
        layer: name of the layer.
        encoding: spelling of the encoding.
        stage: reading, pruning, palettization, quantization, training or checking.
        reason: description of the failure.
    """

    def __init__(self, layer: Layer, encoding: Encoding, stage: str, reason: str) -> None:
        super().__init__(f"layer {layer.name!r} as {encoding}: {stage} failed: {reason}")
        self.layer, self.encoding, self.stage, self.reason = layer.name, str(encoding), stage, reason

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (str(self), self.layer, self.encoding, self.stage, self.reason))


def _rebuild(message: str, layer: str, encoding: str, stage: str, reason: str) -> CompressionError:
    error = CompressionError.__new__(CompressionError, message)
    error.args = (message,)
    error.layer, error.encoding, error.stage, error.reason = layer, encoding, stage, reason
    return error
