"""Modules whose layers are stored as their metadata says, whatever tensor holds them."""

import copy

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.conversion.weights.stored_weights import coded_copy, stored_weights
from palettune.device_bench.conversion.weights.weight_codes import WeightCodes
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.package.package import weight_bytes, weights
from palettune.device_bench.proof.proof import prove
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget


class Attention(nn.Module):
    """Packed projections, and cross-attention, whose projections are parts of one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(32, 4, batch_first=True)
        self.cross = nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.own(x, x, x, need_weights=False)[0]
        return self.cross(x, x * 2, x * 3, need_weights=False)[0]


class Recurrent(nn.Module):
    """Both directions, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(24, 16, 2, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


class Functional(nn.Module):
    """Parameters that functions take."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.randn(40, 32) / 6)
        self.turned = nn.Parameter(torch.randn(32, 48) / 6)
        self.kernel = nn.Parameter(torch.randn(24, 2, 3) / 3)
        self.mixed = nn.ParameterList([torch.randn(24, 24) / 5, torch.randn(24, 24) / 5])

    def forward(self, ids: Tensor) -> Tensor:
        x = functional.embedding(ids, self.words)
        x = torch.addmm(torch.ones(48), x[0], self.turned).T[None]
        x = functional.conv1d(x, self.kernel, groups=24).transpose(1, 2)
        x = torch.einsum("bti,oi->bto", x, self.mixed[0]) @ self.mixed[1]
        return functional.pad(x, (0, 8)) @ self.words.T


class Experts(nn.Module):
    """A stack of matrices of which the input chooses one, as in a mixture of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(32, 4)
        self.up, self.down = nn.Parameter(torch.randn(4, 48, 32) / 6), nn.Parameter(torch.randn(4, 32, 48) / 7)
        self.head = nn.Linear(32, 20)

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.router(x.mean(1)).argmax(-1)
        x = torch.relu(torch.bmm(x, self.up[chosen].transpose(1, 2)))
        return self.head(torch.bmm(x, self.down[chosen].transpose(1, 2)))


CASES = {
    "experts": (Experts, (torch.randn(1, 6, 32),)),
    "attention": (Attention, (torch.randn(1, 6, 32),)),
    "recurrent": (Recurrent, (torch.randn(1, 5, 24),)),
    "functional": (Functional, (torch.arange(6)[None],)),
}
SPELLINGS = ("lut4", "int8", "lut6-g8", "sparse50", "fp16", "lut8", "lut3")


@pytest.mark.slow
@pytest.mark.matrix(3)
@pytest.mark.parametrize(
    ("name", "target"),
    [
        *((name, DeploymentTarget.IOS18) for name in CASES),
        *((name, DeploymentTarget.IOS17 if name == "recurrent" else DeploymentTarget.IOS16) for name in CASES),
    ],
)
def test_every_layer_is_stored_as_asked_and_proven_to_the_byte(name, target, tmp_path):
    torch.manual_seed(0)
    kind, inputs = CASES[name]
    module = kind().eval()
    base = base_program(module, inputs, target)
    assert len(base.layers) >= 4
    made, chosen, kept = copy.deepcopy(module), {}, {}
    for place, layer in enumerate(base.layers):
        options = [Encoding.parse(text) for text in (*SPELLINGS[place:], *SPELLINGS)]
        chosen[layer.name] = next((e for e in options if refusal(layer, e, target) is None), FP16)
        compressed = compress(layer_weight(module, layer), layer, chosen[layer.name])
        install(made, layer, compressed)
        kept[layer.name] = int(compressed.weight.count_nonzero())
    path, configuration = tmp_path / "net.mlpackage", Configuration(chosen)
    convert(made, inputs, target).save(str(path))
    proof = prove(path, made, inputs, configuration, base.layers, target, base=base)
    assert proof.failures == ()
    predicted = base.rest_bytes + configuration_bytes(base.layers, configuration, target, kept)
    assert 0 <= predicted - weight_bytes(path) < 64
    assert (
        prove(path, made, inputs, configuration, base.layers, target).failures == ()
    )  # the base of the assembled model


@pytest.mark.slow
def test_recurrent_weights_stay_as_they_are_where_the_target_holds_none_compressed():
    base = base_program(Recurrent().eval(), CASES["recurrent"][1], DeploymentTarget.IOS16)
    assert not base.layers
    assert "before iOS17" in base.reasons["lstm.weight_ih_l0"]


def test_a_module_without_installed_weights_is_converted_as_it_is(tmp_path):
    module = nn.Sequential(nn.Linear(16, 12)).eval()
    with stored_weights(module) as converted:
        assert converted is module
    path = tmp_path / "net.mlpackage"
    convert(module, (torch.randn(1, 16),), DeploymentTarget.IOS18).save(str(path))
    (found,) = [weight for weight in weights(path) if weight.shape == (12, 16)]
    assert np.array_equal(found.value, module[0].weight.detach().half().numpy())


def test_a_coded_copy_shares_all_but_the_coded_tensors():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    tensors = {"0.weight": module[0].weight.detach()}
    made = coded_copy(module, WeightCodes(tensors), tensors)
    assert made[1].weight is module[1].weight
    assert made[0].bias is module[0].bias
    assert made[0].weight.unique().numel() == 12
    assert ct.__version__
