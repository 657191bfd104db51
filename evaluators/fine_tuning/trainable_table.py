"""Trainable table: entries learned by gradient, indices reassigned at every step.

Each entry gets the sum of the gradients of the weights that use it (Han, Mao and Dally 2016, "Deep Compression",
https://arxiv.org/abs/1510.00149, section 3); a latent weight gets the same gradients by a straight-through
estimator, and its nearest entry is its index at each step (Cardinaux et al. 2018, "Iteratively training look-up tables for
network quantization", https://arxiv.org/abs/1811.05355). coremltools' DKMPalettizer (Cho et al. 2022,
https://arxiv.org/abs/2108.12659) learns both through a softmax over all entries instead. It is not used here: it starts
from its own k-means, which discards a calibrated table; it does not support transposed convolutions; it spends an entry
on zeros that a sparse encoding stores apart; and its softmax costs weights x entries x iterations in each step: for a
layer of 331,776 weights with 16 entries 427 ms on one core, against 16 ms here (272 and 11 ms with 4 entries).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.fine_tuning.straight_through import half, looked_up, pass_gradient
from palettune.evaluators.fine_tuning.table_layout import TableLayout, nearest_entries
from palettune.evaluators.fine_tuning.trainable_weight import TrainableWeight
from palettune.space.encoding import Encoding, Entries, Table
from palettune.space.layer import Layer

__all__ = ["TableEntries", "TrainableTable"]

_SMALLEST_SCALE = 2.0**-24


class TableEntries(nn.Module):
    """Trainable entries of a layer's tables: fp16, or 8 bits with a scale for each table.

    Args:
        layout: of the weight under its tables.
        table: the encoding's table.
        start: the metadata to start from.
    """

    scale: Tensor | None
    offset: Tensor | None

    def __init__(self, layout: TableLayout, table: Table, start: CompressedWeight) -> None:
        super().__init__()
        self.layout = layout
        self.table = table
        self.entries = nn.Parameter(layout.entries(start.buffers["lut"]).float().clone())
        scale, offset = start.buffers.get("quantization_scale"), start.buffers.get("zero_point")
        self.register_buffer("scale", None if scale is None else scale.float().reshape(-1, 1, 1))
        self.register_buffer("offset", None if offset is None else offset.float().reshape(-1, 1, 1))

    def stored(self) -> Tensor:
        """Return the entries as the package stores them: (tables, entries, vector), differentiable.

        Entries in 8 bits are integers times their scale, not yet rounded to fp16."""
        if self.scale is None:
            return half(self.entries)
        steps = torch.round(self.entries.detach() / self.scale)
        if self.table.entries is Entries.UINT8:
            offset = torch.zeros_like(self.scale) if self.offset is None else self.offset
            steps = steps.clamp(-offset, 255 - offset)
        else:
            steps = steps.clamp(-128, 127)
        return pass_gradient(self.entries, steps * self.scale)


class TrainableTable(TrainableWeight):
    """Trainable weight in a table encoding, with channel scales where the encoding has them.

    Args:
        start: the compressed weight to start from.
        weight: the float weight. The latent weight starts from it wherever its nearest entry is the one of ``start``, and
            elsewhere from that entry.
    """

    dead: Tensor

    def __init__(self, layer: Layer, encoding: Encoding, start: CompressedWeight, weight: Tensor) -> None:
        super().__init__(layer, encoding)
        table = encoding.table
        assert table is not None
        self.layout = TableLayout.of(layer, table)
        self.tables = TableEntries(self.layout, table, start)
        self._metadata = {
            key: value for key, value in start.buffers.items() if key not in ("lut", "palettization_scale")
        }
        scale = start.buffers.get("palettization_scale")
        self.scale = None if scale is None else nn.Parameter(scale.float().clone())
        self.register_buffer("dead", None if scale is None else scale == 0, persistent=False)  # channels of zeros
        divisor = 1.0 if scale is None else scale.float().clamp(min=_SMALLEST_SCALE)
        self.latent = nn.Parameter(start.weight / divisor)
        with torch.no_grad():
            wanted = weight / divisor
            folded, entries = self.layout.fold(wanted), self.tables.stored()
            agreed = self._value(folded, entries) == self.layout.fold(start.weight)
            self.latent.copy_(
                torch.where(self.layout.unfold(agreed.all(-1, keepdim=True).expand_as(folded)), wanted, self.latent)
            )

    def put(self, weight: Tensor) -> None:
        """Set the latent weight."""
        self.latent.data.copy_(weight if self.scale is None else weight / self._scale().clamp(min=_SMALLEST_SCALE))

    def decoded(self) -> Tensor:
        """Return the nearest entry of each latent value, times its channel's scale."""
        values, entries = self.layout.fold(self.latent), self.tables.stored()
        found = looked_up(values, entries, nearest_entries(values.detach(), entries.detach()))
        weight = self.layout.unfold(found)
        return half(weight if self.scale is None else weight * self._scale())

    def buffers_of(self) -> dict[str, Tensor]:
        """Return coremltools' metadata with the present tables and scales."""
        buffers = {**self._metadata, "lut": self.layout.buffer(self.tables.stored())}
        return buffers if self.scale is None else {**buffers, "palettization_scale": self._scale()}

    def _value(self, folded: Tensor, entries: Tensor) -> Tensor:
        found = self.layout.unfold(looked_up(folded, entries, nearest_entries(folded, entries)))
        return self.layout.fold(half(found if self.scale is None else found * self._scale()))

    def _scale(self) -> Tensor:
        assert self.scale is not None
        return half(torch.where(self.dead, 0.0, self.scale.clamp(min=_SMALLEST_SCALE)))
