"""Folding is undone by unfolding, and the nearest entry is the nearest."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from experiments.benchmarks.random_layers import layer_of
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.fine_tuning.table_layout import TableLayout, nearest_entries
from palettune.space.encoding import Encoding


@pytest.mark.parametrize("module", [nn.Linear(16, 24), nn.Conv2d(16, 8, 3), nn.ConvTranspose1d(16, 8, 3)], ids=str)
@pytest.mark.parametrize("spelling", ["lut4", "lut2-g4", "lut2-g4in", "lut2-v4", "lut2-v2in", "lut1-g8-v2"])
def test_a_table_decodes_to_the_compressed_weight(module: nn.Module, spelling: str) -> None:
    layer, encoding = layer_of(module), Encoding.parse(spelling)
    made = compress(module.weight, layer, encoding)
    layout = TableLayout.of(layer, encoding.table)
    assert torch.equal(layout.unfold(layout.fold(made.weight)), made.weight)
    entries = layout.entries(made.buffers["lut"].float())
    assert torch.equal(layout.buffer(entries), made.buffers["lut"].float())
    folded = layout.fold(made.weight)
    found = torch.stack([table[index] for table, index in zip(entries, nearest_entries(folded, entries), strict=True)])
    assert torch.equal(found.half().float(), folded)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 60), st.integers(1, 17), st.sampled_from([1, 2, 4]), st.integers(0, 1000))
def test_the_nearest_entry_is_the_nearest(groups: int, values: int, entries: int, length: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    asked = torch.randn(groups, values, length, generator=generator)
    tables = torch.randn(groups, entries, length, generator=generator)
    chosen = nearest_entries(asked, tables)
    distances = (asked[:, :, None] - tables[:, None]).square().sum(-1)
    assert torch.allclose(distances.gather(2, chosen[..., None])[..., 0], distances.amin(-1), atol=1e-5)
