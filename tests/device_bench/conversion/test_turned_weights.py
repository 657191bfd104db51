from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.package import weights
from palettune.device_bench.package.program_graph import program_nodes

torch.set_num_threads(1)


class TurnedHead(nn.Module):
    """A product with the embedding's own weight, transposed, and one with a parameter as it lies."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 16)
        self.mix = nn.Parameter(torch.randn(16, 16))

    def forward(self, ids: Tensor) -> Tensor:
        return torch.relu(self.words(ids) @ self.mix) @ self.words.weight.transpose(0, 1)


class Upright(TurnedHead):
    """The same parameter as a linear weight and turned over."""

    def forward(self, ids: Tensor) -> Tensor:
        x = nn.functional.linear(self.words(ids), self.mix)
        return nn.functional.linear(torch.relu(x), self.mix.t()) @ self.words.weight.T


@pytest.mark.parametrize("network", [TurnedHead, Upright])
@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
@pytest.mark.slow
def test_a_weight_that_is_used_both_ways_is_stored_once_and_as_it_is(network, target, tmp_path):
    torch.manual_seed(0)
    module = network().eval()
    path = tmp_path / "model.mlpackage"
    convert(module, (torch.randint(0, 40, (1, 5)),), target).save(str(path))
    found = {weight.shape: weight for weight in weights(path) if len(weight.shape) == 2}
    assert set(found) == {(40, 16), (16, 16)}
    words = found[40, 16]
    assert words.operation == "const"
    np.testing.assert_array_equal(words.value, module.words.weight.detach().numpy().astype(np.float16))
    assert {node.kind for node in program_nodes(path)} >= {"gather", "linear"}
    assert len([weight for weight in weights(path) if len(weight.shape) == 2]) == 2
