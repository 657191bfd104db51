"""The size of an assembled model's weight file, to the byte: a footprint that knows the compressed weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from palettune.device_bench.conversion.base_program import BaseProgram
from palettune.device_bench.model.compressed_weight import installed
from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.proof.proof import Proof
from palettune.space.blob import ALIGNMENT, Blob
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.encoding_parts import Linear
from palettune.space.footprint import blobs
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["WeightFile", "weight_file"]


@dataclass(frozen=True)
class WeightFile:
    """Bytes of a weight file, predicted and real.

    Attributes:
        predicted: from the base program and the footprints of the compressed layers.
        real: of the package's file.
        differences: where they differ, in words.
    """

    predicted: int
    real: int
    differences: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether they are equal."""
        return self.predicted == self.real

    def __str__(self) -> str:
        if self.passed:
            return f"weight file {self.real} B, exactly as predicted"
        where = "; ".join(self.differences) or "outside the layers"
        return (
            f"the weight file takes {self.real} B, {self.predicted} B were predicted: off by "
            f"{self.real - self.predicted:+d} B ({where})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for ``manifest.json``."""
        return {"passed": self.passed, "predicted": self.predicted, "real": self.real}


def weight_file(
    module: nn.Module,
    base: BaseProgram,
    configuration: Configuration,
    layers: Sequence[Layer],
    target: DeploymentTarget,
    proof: Proof,
) -> WeightFile:
    """Predict the bytes of an assembled module and compare them with its package's.

    Args:
        module: the assembled module that was converted.
        base: its base program.
        layers: all that are not refused.
        proof: of the package, which says what each layer takes there, and which one comes last.
    """
    predicted, differences = base.rest_bytes, []
    found = {layer.layer: layer.bytes for layer in proof.layers}
    for layer in layers:
        stored = _stored(module, layer, configuration.encodings[layer.name], target)
        size = sum(blob.bytes for blob in stored)
        if layer.name == proof.last_layer:
            size -= -stored[-1].data_bytes % ALIGNMENT
        predicted += size
        if found.get(layer.name, size) != size:
            differences.append(f"layer {layer.name!r} takes {found[layer.name]} B, {size} B were predicted")
    return WeightFile(predicted, proof.weight_bytes, tuple(differences))


def _stored(module: nn.Module, layer: Layer, encoding: Encoding, target: DeploymentTarget) -> tuple[Blob, ...]:
    """The constants of a layer in the file, with what depends on the values of its weight."""
    weight = layer_weight(module, layer)
    kept = None if encoding.sparsity is None else int(weight.count_nonzero())
    found = blobs(layer, encoding, target, kept)
    linear = encoding.values if isinstance(encoding.values, Linear) and encoding.sparsity is None else None
    if linear is not None and target.generation >= 18:
        found = _as_converted(found, weight, linear.signed, _offsets(module, layer))
    return tuple(blob for blob in found if blob.in_file)


def _offsets(module: nn.Module, layer: Layer) -> Tensor | None:
    held = installed(module).get(layer.name)
    return None if held is None else held.buffers.get("zero_point")


def _as_converted(found: tuple[Blob, ...], weight: Tensor, signed: bool, offsets: Tensor | None) -> tuple[Blob, ...]:
    """From iOS18 on coremltools drops zero points that are all zero, and stores integers that are in 4 bits."""
    data, scale, *rest = found
    zero = offsets is None or not bool(offsets.any())
    if zero and signed and not bool(weight.any()):
        data = Blob(data.elements, min(data.bits, 4))
    return (data, scale) if zero and offsets is not None else (data, scale, *rest)
