"""A package whose weights and activations are in 8 bits, made by the vendor's own quantizer."""

from pathlib import Path

import coremltools as ct
import torch
from coremltools.optimize.torch.quantization import LinearQuantizer, LinearQuantizerConfig
from torch import nn

PACKAGE = Path(__file__).with_name("p_w8a8.mlpackage")


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 4, 1)
    )


def make_package():
    """What somebody else has shipped."""
    example = torch.randn(1, 3, 12, 12)
    quantizer = LinearQuantizer(
        net(),
        LinearQuantizerConfig.from_dict(
            {"global_config": {"quantization_scheme": "symmetric", "milestones": [0, 0, 1, 1]}}
        ),
    )
    prepared = quantizer.prepare((example,))
    for _ in range(2):
        quantizer.step()
        prepared(example)
    finished = quantizer.finalize().eval()
    inputs = [ct.TensorType(name="image", shape=example.shape)]
    traced = torch.jit.trace(finished, example)
    package = ct.convert(traced, inputs=inputs, minimum_deployment_target=ct.target.iOS17, skip_model_load=True)
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
        yield (torch.randn(1, 3, 12, 12, generator=g),), None
