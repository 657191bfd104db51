"""A chain of odd blocks with its base program, and packages of it."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.proof.proof import prove
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.target import DeploymentTarget
from tests.device_bench.odd_blocks import (
    WIDTH,
)

INPUTS = (torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1)),)


CHOICES = [Encoding.parse(text) for text in ("fp16", "lut4", "lut8", "int8")]


class ChainExport:
    """A chain with its base program, and packages of it."""

    def __init__(self, module: nn.Module, target: DeploymentTarget = DeploymentTarget.IOS18) -> None:
        self.module, self.target = module, target
        self.base = base_program(module, INPUTS, target)
        self.layers = self.base.layers

    def assemble(self, encodings: dict[str, Encoding]) -> nn.Module:
        module = copy.deepcopy(self.module)
        for layer in self.layers:
            install(module, layer, compress(layer_weight(module, layer), layer, encodings[layer.name]))
        return module

    def check(self, encodings: dict[str, Encoding], path: Path) -> None:
        module, configuration = self.assemble(encodings), Configuration(encodings)
        convert(module, INPUTS, self.target).save(str(path))
        proof = prove(path, module, INPUTS, configuration, self.layers, self.target, base=self.base)
        assert proof.failures == ()
        assert not self.base.ends_with_layer
        assert self.base.rest_bytes + configuration_bytes(self.layers, configuration, self.target) == weight_bytes(path)
