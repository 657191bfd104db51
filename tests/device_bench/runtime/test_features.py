"""Inputs and outputs: images, flexible shapes."""

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

from palettune.device_bench.runtime import Colour, ProgramError, load


@pytest.mark.parametrize("colour", ["RGB", "BGR", "GRAYSCALE"])
def test_images(colour, tmp_path):
    channels = 1 if colour == "GRAYSCALE" else 3
    module = nn.Conv2d(channels, 4, 3).eval()
    bias = [-0.5] * channels if channels > 1 else -0.5
    image = ct.ImageType("picture", (1, channels, 6, 5), scale=1 / 128, bias=bias, color_layout=ct.colorlayout[colour])
    example = torch.randn(1, channels, 6, 5)
    model = ct.convert(
        torch.jit.trace(module, example),
        inputs=[image],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "image.mlpackage"))
    program = load(tmp_path / "image.mlpackage")
    assert program.inputs["picture"].colour is Colour[colour]
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5) if channels == 1 else (6, 5, 3), dtype=np.uint8)
    layers = torch.tensor(pixels).float().reshape(6, 5, channels).permute(2, 0, 1)[None]
    layers = layers.flip(1) if colour == "BGR" else layers
    (output,) = program.run({"picture": pixels}).values()
    assert torch.allclose(output, module(layers / 128 - 0.5), atol=1e-4)
    (raw,) = program.run({"picture": layers}).values()
    assert torch.equal(raw, output)
    with pytest.raises(ProgramError, match=r"picture .* is expected"):
        program.run({"picture": pixels.reshape(-1)})


def test_flexible_shapes(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    size = ct.RangeDim(4, 12, default=8)
    shape = ct.Shape((ct.RangeDim(1, 6, default=1), 3, size, size))
    model = ct.convert(
        torch.jit.trace(module, torch.randn(1, 3, 8, 8)),
        inputs=[ct.TensorType("x", shape=shape)],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "flexible.mlpackage"))
    program = load(tmp_path / "flexible.mlpackage")
    for sizes in ((1, 3, 8, 8), (5, 3, 4, 12)):
        x = torch.randn(sizes)
        assert torch.allclose(next(iter(program.run({"x": x}).values())), module(x), atol=1e-5)
    with pytest.raises(ProgramError, match="1 to 6, 3, 4 to 12"):
        program.run({"x": torch.randn(1, 3, 8, 13)})


def test_enumerated_shapes(tmp_path):
    module = nn.Conv1d(2, 3, 3).eval()
    shapes = ct.EnumeratedShapes(shapes=[(1, 2, 8), (1, 2, 16)], default=(1, 2, 8))
    model = ct.convert(
        torch.jit.trace(module, torch.randn(1, 2, 8)),
        inputs=[ct.TensorType("x", shape=shapes)],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "shapes.mlpackage"))
    program = load(tmp_path / "shapes.mlpackage")
    x = torch.randn(3, 2, 16)
    assert torch.allclose(next(iter(program.run({"x": x}).values())), module(x), atol=1e-5)
    with pytest.raises(ProgramError, match=r"\(1, 2, 8\) or \(1, 2, 16\)"):
        program.run({"x": torch.randn(1, 2, 9)})
