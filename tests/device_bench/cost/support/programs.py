"""Programs whose ops are priced in tests."""

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from torch import nn

from palettune.device_bench.cost.op import OpKind
from palettune.device_bench.cost.program_ops import ops_of_package
from palettune.space.target import DeploymentTarget
from tests.device_bench.odd_packages import random
from tests.device_bench.runtime.support.packages import save

TARGET = DeploymentTarget.IOS18


WEIGHTED = (OpKind.CONV, OpKind.DEPTHWISE, OpKind.LINEAR, OpKind.EMBEDDING)


class Mixed(nn.Module):
    """A grayscale stem, a depthwise and a transposed convolution, attention, an embedding and a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.embedding = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x, index):
        x = torch.relu(self.stem(x))
        x = self.up(torch.nn.functional.silu(self.depthwise(x)))
        tokens = x.flatten(2).transpose(1, 2)
        keys = torch.tanh(tokens)
        mixed = torch.softmax(tokens @ keys.transpose(1, 2), -1) @ keys
        return self.head(mixed.mean(1) + self.embedding(index).mean(1))


INPUTS = (torch.rand(1, 1, 16, 16), torch.zeros(1, 4, dtype=torch.int32))


HALF = np.float16


def built(path, body, shape=(1, 16, 8, 8), target=ct.target.iOS18):
    """The ops of a program of one fp16 input, by name."""

    @mb.program(input_specs=[mb.TensorSpec(shape=shape, dtype=types.fp16)], opset_version=target)
    def program(x):
        return body(x)

    return {op.name: op for op in ops_of_package(save(program, path / "p.mlpackage", target)).ops}


def rounded(x, scale=0.125):
    return decoded(mb.quantize(input=x, scale=HALF(scale), zero_point=np.int8(0), output_dtype="int8"), scale)


def decoded(x, scale=0.125):
    return mb.dequantize(input=x, scale=HALF(scale), zero_point=np.int8(0))


def conv(x, name, channels=16, inputs=16):
    return mb.conv(x=x, weight=random(sum(name.encode()), channels, inputs, 1, 1, dtype=HALF), name=name)


def flexible(tmp_path):
    shape = ct.Shape((1, ct.RangeDim(1, 64, default=8), 16))
    traced = torch.jit.trace(nn.Linear(16, 32).eval(), torch.rand(1, 8, 16))
    model = ct.convert(traced, inputs=[ct.TensorType(name="x", shape=shape)], minimum_deployment_target=ct.target.iOS17)
    path = tmp_path / "flexible.mlpackage"
    model.save(str(path))
    return path
