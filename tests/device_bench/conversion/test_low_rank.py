"""A branch beside a layer, in torch and in a real package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.conversion.low_rank import LowRank, add_low_rank
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.runtime import as_stored, compare
from palettune.space.target import DeploymentTarget


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.head = nn.Linear(16, 12)

    def forward(self, pixels):
        return self.head(torch.relu(self.conv(pixels)).mean((2, 3)))


def branches(rank: int = 2) -> dict[str, LowRank]:
    torch.manual_seed(1)
    conv = LowRank(torch.randn(rank, 3, 3, 3) / 4, torch.randn(16, rank, 1, 1) / 4)
    return {"conv": conv, "head": LowRank(torch.randn(rank, 16) / 4, torch.randn(12, rank) / 4)}


def test_it_adds_a_matrix_of_low_rank_to_the_weight() -> None:
    torch.manual_seed(0)
    ours, theirs, pixels = Network(), Network(), torch.randn(2, 3, 8, 8)
    theirs.load_state_dict(ours.state_dict())
    for name, branch in branches().items():
        add_low_rank(ours, name, branch)
        add_low_rank(ours, name, branch)  # in place of the first, not beside it
        weight = theirs.get_submodule(name).weight
        weight.data += (branch.up.flatten(1) @ branch.down.flatten(1)).reshape(weight.shape)
    assert torch.allclose(ours(pixels), theirs(pixels), atol=1e-5)


@pytest.mark.slow
def test_a_package_holds_it_in_so_many_bytes_and_runs(tmp_path: Path) -> None:
    network, pixels = Network().eval(), torch.randn(1, 3, 8, 8)
    convert(network, (pixels,), DeploymentTarget.IOS18).save(str(tmp_path / "without.mlpackage"))
    for name, branch in branches().items():
        add_low_rank(network, name, branch)
    convert(network, (pixels,), DeploymentTarget.IOS18).save(str(tmp_path / "with.mlpackage"))
    added = weight_bytes(tmp_path / "with.mlpackage") - weight_bytes(tmp_path / "without.mlpackage")
    assert abs(added - sum(branch.bytes for branch in branches().values())) < 64  # the end of a file is not padded
    assert compare(tmp_path / "with.mlpackage", as_stored(network), [(pixels,)]).passed


def test_layers_without_a_branch_are_named() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Linear(8, 8))
    with pytest.raises(ValueError, match="layer '0': a Conv2d cannot have a low-rank branch"):
        add_low_rank(network, "0", LowRank(torch.zeros(1, 1, 3, 3), torch.zeros(4, 1, 1, 1)))
    with pytest.raises(ValueError, match=r"layer '1': low_rank_down is \(2, 9\), expected \(2, 8\)"):
        add_low_rank(network, "1", LowRank(torch.zeros(2, 9), torch.zeros(8, 2)))
