"""A package of two inputs, one of which has a range of lengths."""

from pathlib import Path

import coremltools as ct
import torch
from torch import nn

PACKAGE = Path(__file__).with_name("p_range_two.mlpackage")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(8, 32, 3, padding=1), nn.Linear(16, 32)

    def forward(self, x, code):
        return torch.relu(self.a(x)) * self.b(code)[:, :, None]


def make_package():
    """What somebody else has shipped."""
    torch.manual_seed(0)
    example = torch.randn(1, 8, 24), torch.randn(1, 16)
    shapes = [
        ct.TensorType(name="x", shape=ct.Shape((1, 8, ct.RangeDim(4, 64, 24)))),
        ct.TensorType(name="code", shape=(1, 16)),
    ]
    traced = torch.jit.trace(Net().eval(), example)
    package = ct.convert(traced, inputs=shapes, minimum_deployment_target=ct.target.iOS17, skip_model_load=True)
    package.save(str(PACKAGE))


def model():
    if not PACKAGE.exists():
        make_package()
    return PACKAGE


def example_inputs():
    return (
        torch.randn(1, 8, 24, generator=torch.Generator().manual_seed(1)),
        torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),
    )


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(6):
        yield (torch.randn(1, 8, 9 + 5 * _, generator=g), torch.randn(1, 16, generator=g)), None
