"""A package that is palettized already, by coremltools."""

from pathlib import Path

import coremltools as ct
import coremltools.optimize as cto
import torch
from torch import nn

PACKAGE = Path(__file__).with_name("p_palettized.mlpackage")


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(8, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 4, 1)).eval()


def make_package():
    """What somebody else has shipped."""
    traced = torch.jit.trace(net(), torch.randn(1, 8, 24))
    plain = ct.convert(
        traced,
        inputs=[ct.TensorType(name="x", shape=(1, 8, 24))],
        minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
    )
    config = cto.coreml.OptimizationConfig(cto.coreml.OpPalettizerConfig(mode="kmeans", nbits=6, weight_threshold=16))
    package = cto.coreml.palettize_weights(plain, config)
    package.save(str(PACKAGE))


def model():
    if not PACKAGE.exists():
        make_package()
    return PACKAGE


def example_inputs():
    return (torch.randn(1, 8, 24, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(6):
        yield (torch.randn(1, 8, 24, generator=g),), None
