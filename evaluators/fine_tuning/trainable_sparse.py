"""Trainable sparse weight: the kept values are trained in fp16, through a table or as integers.

Zeros are those of the start, or are set gradually by magnitude during the training, by coremltools' MagnitudePruner at
each sparsity. Until the final sparsity is reached the kept values are fp16; then they are clustered or quantized as in
a data-free compression, and trained further in that form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.sparse import SMALLEST_KEPT, TAKEN_FOR_ZERO, prune_weight, pruned_by_magnitude
from palettune.evaluators.fine_tuning.pruning_schedule import sparsity_at
from palettune.evaluators.fine_tuning.straight_through import half, looked_up, pass_gradient
from palettune.evaluators.fine_tuning.table_layout import TableLayout, nearest_entries
from palettune.evaluators.fine_tuning.trainable_linear import LinearSteps
from palettune.evaluators.fine_tuning.trainable_table import TableEntries
from palettune.evaluators.fine_tuning.trainable_weight import TrainableWeight
from palettune.space.encoding import Encoding, Table
from palettune.space.layer import Layer

__all__ = ["TrainableSparse"]


class TrainableSparse(TrainableWeight):
    """Trainable weight in a sparse encoding.

    Args:
        start: the compressed weight to start from.
        weight: the float weight, from which gradual pruning starts.
        gradual: whether zeros are set by magnitude during the training; if not, they are those of ``start``.
    """

    kept: Tensor
    percent: Tensor
    done: Tensor
    scale: Tensor | None

    def __init__(
        self, layer: Layer, encoding: Encoding, start: CompressedWeight, weight: Tensor, gradual: bool = False
    ) -> None:
        super().__init__(layer, encoding)
        assert encoding.sparsity is not None
        self.sparsity = encoding.sparsity
        gradual = gradual and encoding.sparsity.percent is not None
        kept = start.weight != 0
        self.register_buffer("kept", torch.ones_like(kept) if gradual else kept)
        self.register_buffer("percent", torch.tensor(0 if gradual else 100))
        self.register_buffer("done", torch.tensor(not gradual))
        self._metadata = {key: start.buffers[key] for key in ("compression_type",)}
        scale = start.buffers.get("palettization_scale")
        self.register_buffer("scale", None if scale is None else scale.float().clone())
        self.values = _values(layer, encoding, start)
        self.latent = nn.Parameter(weight.clone())
        if not gradual:
            with torch.no_grad():
                self.latent.copy_(torch.where(self.decoded() == start.weight, weight, start.weight))

    def put(self, weight: Tensor) -> None:
        """Set the latent weight."""
        self.latent.data.copy_(weight)

    @property
    def settled(self) -> bool:
        """Whether the final sparsity is reached."""
        return bool(self.done)

    def advance(self, progress: float) -> None:
        """Prune to the sparsity scheduled for ``progress``; at the final one, store kept values as the encoding asks."""
        if self.settled:
            return
        sparsity = sparsity_at(self.sparsity, progress)
        if sparsity is None or sparsity.percent == int(self.percent):
            return
        carrier = Carrier(self.layer, self.encoding)
        latent = self.latent.detach().cpu()
        self.percent.fill_(sparsity.percent or 0)
        self.kept.copy_(pruned_by_magnitude(carrier, latent, sparsity) != 0)
        if sparsity == self.sparsity:
            self._settle(prune_weight(carrier, latent, self.sparsity, self.encoding.values))

    def decoded(self) -> Tensor:
        """Return the kept values in the form of the encoding, and zeros."""
        zero = torch.zeros((), device=self.latent.device)
        if not self.settled or self.values is None:
            return torch.where(self.kept, half(_lifted(self.latent)), zero)
        if isinstance(self.values, LinearSteps):
            return torch.where(self.kept, self._integers(self.values), zero)
        return torch.where(self.kept, self._entries(self.values), zero)

    def buffers_of(self) -> dict[str, Tensor]:
        """Return coremltools' metadata of the sparse weight, with that of its table or integers."""
        if isinstance(self.values, LinearSteps):
            return {**self.values.buffers_of(), **self._metadata}
        if self.values is None:
            return dict(self._metadata)
        scale = {} if self.scale is None else {"palettization_scale": self.scale}
        return {**self._metadata, **scale, "lut": self.values.layout.buffer(self._stored(self.values))}

    def _settle(self, found: CompressedWeight) -> None:
        self.done.fill_(True)
        self.kept.copy_(found.weight != 0)
        with torch.no_grad():
            if isinstance(self.values, LinearSteps):
                self.values.scale.copy_(found.buffers["quantization_scale"])
                self.values.offset.copy_(found.buffers.get("zero_point", torch.zeros_like(self.values.offset)))
            elif self.values is not None:
                self.values.entries.copy_(self.values.layout.entries(found.buffers["lut"]))
            if self.scale is not None:
                self.scale.copy_(found.buffers["palettization_scale"])

    def _integers(self, quantization: LinearSteps) -> Tensor:
        """Kept values stay off zero by the fewest steps that the converter does not take for zero."""
        scale, offset = (wide(self.latent.shape) for wide in (quantization.wide_scale, quantization.wide_offset))
        steps = quantization.steps(self.latent)
        fixed = scale.detach()
        fewest = torch.floor(TAKEN_FOR_ZERO / fixed) + 1
        fewest = fewest + ((fewest * fixed).half().float() <= TAKEN_FOR_ZERO)
        lifted = torch.where(steps.abs() < fewest, torch.where(self.latent < 0, -fewest, fewest), steps.detach())
        stored = lifted + offset
        lifted = torch.where((stored > quantization.high) | (stored < quantization.low), 0.0, lifted)
        return half(pass_gradient(steps, lifted) * scale)

    def _entries(self, table: TableEntries) -> Tensor:
        """The nearest entry that the converter does not take for a zero."""
        scale = torch.ones((), device=self.latent.device) if self.scale is None else self.scale
        entries = self._stored(table)
        wanted = table.layout.fold(self.latent / scale)
        chosen = nearest_entries(wanted.detach(), entries.detach())
        if self.scale is not None:
            chosen = _allowed(
                chosen, wanted.detach(), entries.detach(), table.layout.fold(scale.expand_as(self.latent))
            )
        weight = half(table.layout.unfold(looked_up(wanted, entries, chosen)) * scale)
        return weight if self.scale is None else weight * (weight.detach().abs() > TAKEN_FOR_ZERO)

    def _stored(self, table: TableEntries) -> Tensor:
        entries = table.stored()
        return entries if self.scale is not None else half(_lifted(entries))


def _values(layer: Layer, encoding: Encoding, start: CompressedWeight) -> TableEntries | LinearSteps | None:
    if encoding.linear is not None:
        return LinearSteps(encoding.linear, start)
    if encoding.table is not None:
        plain = Table(encoding.table.bits, encoding.table.group, encoding.table.axis)
        return TableEntries(TableLayout.of(layer, plain), plain, start)
    return None


def _lifted(values: Tensor) -> Tensor:
    """Values at least as large as the converter keeps, straight through."""
    fixed = values.detach()
    return pass_gradient(values, torch.where(fixed < 0, -1.0, 1.0) * fixed.abs().clamp(min=SMALLEST_KEPT))


def _allowed(chosen: Tensor, wanted: Tensor, entries: Tensor, scale: Tensor) -> Tensor:
    """Another entry where the chosen one, times its channel's scale, would be taken for a zero."""
    values = entries[..., 0].gather(1, chosen) * scale[..., 0]
    table, place = (values.half().float().abs() <= TAKEN_FOR_ZERO).nonzero(as_tuple=True)
    if not len(table):
        return chosen
    candidates = entries[table, :, 0]
    refused = (candidates * scale[table, place]).half().float().abs() <= TAKEN_FOR_ZERO
    distances = (candidates - wanted[table, place]).abs().masked_fill(refused, torch.inf)
    chosen = chosen.clone()
    chosen[table, place] = distances.argmin(1)
    return chosen
