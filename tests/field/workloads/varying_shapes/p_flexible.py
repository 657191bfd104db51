"""A package for a range of lengths."""

from pathlib import Path

import coremltools as ct
import torch
from torch import nn

PACKAGE = Path(__file__).with_name("p_flexible.mlpackage")
SHAPE = ct.Shape((1, 8, ct.RangeDim(4, 64, 24)))


def make_package():
    """What somebody else has shipped."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(8, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 4, 1)
    ).eval()
    traced = torch.jit.trace(net, torch.randn(1, 8, 24))
    inputs = [ct.TensorType(name="x", shape=SHAPE)]
    package = ct.convert(traced, inputs=inputs, minimum_deployment_target=ct.target.iOS17, skip_model_load=True)
    package.save(str(PACKAGE))


def model():
    if not PACKAGE.exists():
        make_package()
    return PACKAGE


def example_inputs():
    g = torch.Generator().manual_seed(1)
    return (torch.randn(1, 8, 24, generator=g),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for i in range(8):
        yield (torch.randn(1, 8, 10 + 4 * i, generator=g),), None
