"""Complex rotary embeddings and what they are made of, against torch."""

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.ops.complex_numbers import complex_of, parts_of
from tests.device_bench.conversion.ops.twins import check


class Rotary(nn.Module):
    """Rotary embeddings as published with Llama; the table of rotations is a buffer, or made as the model runs."""

    def __init__(self, kept: bool) -> None:
        super().__init__()
        self.query = nn.Linear(16, 16)
        angles = torch.outer(torch.arange(6).float(), 1 / 10000 ** (torch.arange(0, 8, 2).float() / 8))
        self.register_buffer("angles", angles)
        self.register_buffer("table", torch.polar(torch.ones_like(angles), angles) if kept else None)

    def forward(self, x):
        pairs = torch.view_as_complex(self.query(x).reshape(1, 6, 2, -1, 2))
        table = self.table if self.table is not None else torch.polar(torch.ones_like(self.angles), self.angles)
        return torch.view_as_real(pairs * table[None, :, None]).flatten(3)


@pytest.mark.parametrize("kept", [True, False])
def test_rotary_embeddings_are_torchs(kept, tmp_path):
    torch.manual_seed(0)
    kinds = check(Rotary(kept), (torch.randn(1, 6, 16),), tmp_path)
    assert not any("complex" in kind for kind in kinds.values())


def paired(x):
    return torch.view_as_complex(x.reshape(3, 2, 2))


@pytest.mark.matrix(2)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.view_as_real(paired(x).conj() * paired(x).transpose(0, 1).reshape(3, 2)),
        lambda x: torch.view_as_real(paired(x) * 3 + paired(x)[:1]),
        lambda x: torch.view_as_real((x.reshape(3, 2, 2)[..., 0] * paired(x)).unsqueeze(0).squeeze(0)),
        lambda x: torch.view_as_real(-torch.polar(x.abs(), x)),
    ],
)
def test_arithmetic_and_shapes(function, tmp_path):
    check(function, (torch.randn(3, 4),), tmp_path)


def test_parts_are_those_that_a_number_was_made_of():
    import coremltools as ct
    import numpy as np
    from coremltools.converters.mil import Builder as mb

    @mb.program(input_specs=[mb.TensorSpec(shape=(2,))], opset_version=ct.target.iOS17)
    def program(x):
        other = mb.exp(x=x)
        assert parts_of(complex_of(x, other)) == (x, other)
        assert parts_of(x) == (x, None)
        real, imaginary = parts_of(mb.const(val=np.array([1 + 2j, 3], np.complex64)))
        assert real.tolist() == [1, 3]
        assert imaginary.tolist() == [2, 0]
        return other
