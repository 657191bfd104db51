from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.proof.proof import prove
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget

torch.set_num_threads(1)

_TABLES = ["lut8", "lut6", "lut4", "lut3", "lut2", "lut1", "lut4-g8", "lut4-g4in", "lut2-v2", "lut2-v2in"]
_TABLES += ["lut4-int8", "lut4-scaled"]
_LINEAR = [
    "int8",
    "uint8",
    "int8-asym",
    "uint8-asym",
    "int8-tensor",
    "int8-b4",
    "int4",
    "uint4",
    "int4-b4",
    "uint4-asym",
]
_SPARSE = ["sparse50", "sparse75", "sparse2:4", "sparse1:2out", "sparse50-b4", "sparse50-kernel", "sparse50-channel"]
_JOINT = ["sparse50+lut4", "sparse50+int8"]

_LAYERS = {
    "linear": lambda: nn.Linear(16, 24),
    "embedding": lambda: nn.Embedding(24, 16),
    "conv1d": lambda: nn.Conv1d(16, 24, 3),
    "conv2d": lambda: nn.Conv2d(16, 24, 3),
    "grouped": lambda: nn.Conv2d(16, 24, 3, groups=2, bias=False),
    "depthwise": lambda: nn.Conv2d(16, 16, 3, groups=16),
    "conv_transpose1d": lambda: nn.ConvTranspose1d(16, 24, 3),
    "conv_transpose2d": lambda: nn.ConvTranspose2d(16, 24, 3),
}


class Every(nn.Module):
    """Every encoding on a few kinds of layers that may take it, every kind with a third of the encodings."""

    def __init__(self, target: DeploymentTarget) -> None:
        super().__init__()
        for turn, (kind, make) in enumerate(_LAYERS.items()):
            for number, text in enumerate(["fp16", *_TABLES, *_LINEAR, *_SPARSE, *_JOINT]):
                module = make()
                if (turn + number) % 3 == 0 and refusal(layers_of(module)[0], Encoding.parse(text), target) is None:
                    self.add_module(f"{kind}_{number}", module)

    def forward(self, ids: Tensor, row: Tensor, line: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        inputs = {"linear": row, "embedding": ids, "conv1d": line, "conv_transpose1d": line}
        return tuple(part(inputs.get(name.rpartition("_")[0], image)) for name, part in self.named_children())


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("target", [DeploymentTarget.IOS16, DeploymentTarget.IOS18])
def test_every_encoding_is_proven_on_several_kinds_of_layers(target, tmp_path):
    torch.manual_seed(0)
    module, texts = Every(target).eval(), ["fp16", *_TABLES, *_LINEAR, *_SPARSE, *_JOINT]
    inputs = (torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, 16), torch.ones(1, 16, 5), torch.ones(1, 16, 5, 5))
    layers = layers_of(module)
    encodings = {layer.name: Encoding.parse(texts[int(layer.name.rpartition("_")[2])]) for layer in layers}
    for layer in layers:
        install(module, layer, compress(module.get_submodule(layer.name).weight, layer, encodings[layer.name]))
    convert(module, inputs, target).save(str(tmp_path / "every.mlpackage"))
    proof = prove(tmp_path / "every.mlpackage", module, inputs, Configuration(encodings), layers, target)
    assert proof.failures == ()
    assert len({layer.encoding for layer in proof.layers}) == (len(texts) if target.generation == 18 else 18)
    for layer, found in zip(layers, proof.layers, strict=True):
        assert -(-found.bytes // 64) * 64 == layer_bytes(layer, encodings[layer.name], target), found
