"""A package for three sizes of image."""

from pathlib import Path

import coremltools as ct
import torch
from torch import nn

PACKAGE = Path(__file__).with_name("p_enumerated_images.mlpackage")


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 1)).eval()


def make_package():
    """What somebody else has shipped."""
    sizes = ct.EnumeratedShapes([(1, 3, 8, 8), (1, 3, 12, 12), (1, 3, 16, 16)], default=(1, 3, 12, 12))
    traced = torch.jit.trace(net(), torch.randn(1, 3, 12, 12))
    package = ct.convert(
        traced,
        inputs=[ct.TensorType(name="image", shape=sizes)],
        minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
    )
    package.save(str(PACKAGE))


def model():
    if not PACKAGE.exists():
        make_package()
    return PACKAGE


def example_inputs():
    return (torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(6):
        yield (torch.randn(1, 3, 4 * (2 + _ % 3), 4 * (2 + _ % 3), generator=g),), None
