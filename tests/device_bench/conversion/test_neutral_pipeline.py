from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.conversion.neutral_pipeline import LEFT_OUT, neutral_pipeline
from palettune.device_bench.package.package import weights
from palettune.space.target import DeploymentTarget
from tests.device_bench.networks import compress_layers

torch.set_num_threads(1)


def _weights(module: nn.Module, inputs: tuple[Tensor, ...], folder):
    path = folder / "model.mlpackage"
    convert(module.eval(), inputs, DeploymentTarget.IOS18).save(str(path))
    return weights(path)


def test_it_is_coremltools_own_pipeline_less_what_is_documented():
    default = ct.PassPipeline.DEFAULT.passes
    ours = [name for name in neutral_pipeline().passes if not name.startswith("palettune::")]
    assert ours == [name for name in default if name not in LEFT_OUT]
    assert set(LEFT_OUT) <= set(default)


@pytest.mark.slow
def test_equal_constants_are_merged_but_weights_never(tmp_path):
    class Repeated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(120, 120), nn.Linear(120, 120)
            self.b.load_state_dict(self.a.state_dict())

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.relu(self.a(x)))

    for names in ([], ["a"], ["a", "b"]):
        packaged = _weights(compress_layers(Repeated(), names), (torch.randn(1, 120),), tmp_path)
        assert sum(weight.shape == (120, 120) for weight in packaged) == 2
        assert sum(weight.shape == (120,) for weight in packaged) == 1


class Subtracted(nn.Module):
    """A constant minus a layer, which fusion would turn into the layer with its weight negated."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return 3.0 - self.layer(x) * 2.0


class Lifted(nn.Module):
    """A convolution of one dimension written as one of two, whose weight fusion would squeeze."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(8, 12, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.unsqueeze(2)).squeeze(2)


@pytest.mark.matrix(4)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Subtracted(nn.Linear(16, 12)), (1, 16)),
        (Subtracted(nn.Conv2d(8, 12, 3)), (1, 8, 5, 5)),
        (nn.Sequential(nn.ConvTranspose2d(8, 12, 3), nn.BatchNorm2d(12)), (1, 8, 5, 5)),
        (Lifted(), (1, 8, 6)),
    ],
)
def test_a_weight_is_never_fused_with_what_follows(module, shape, compressed, tmp_path):
    name = "0" if isinstance(module, nn.Sequential) else "layer"
    if compressed:
        compress_layers(module, [name])
    weight = module.get_submodule(name).get_parameter("weight").detach().numpy()
    (found,) = [found for found in _weights(module, (torch.randn(shape),), tmp_path) if found.shape == weight.shape]
    assert bool(found.chain) == compressed
    assert np.array_equal(found.value, weight.astype(np.float16))
