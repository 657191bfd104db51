"""The weights of a program that are layers, and why the others are not."""

import coremltools as ct
import pytest

from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.space.layer import LayerKind
from tests.device_bench.odd_packages import LAYERS, everything, random
from tests.device_bench.runtime.support.packages import save


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return PackageModule(everything(tmp_path_factory.mktemp("odd") / "odd.mlpackage"))


def test_layers_are_the_weights_with_the_right_axes(module):
    layers = {layer.name: layer for layer in layers_of(module)}
    assert set(layers) == LAYERS
    channels = {name: (layer.kind, layer.output_channels, layer.input_channels) for name, layer in layers.items()}
    assert channels["right"] == (LayerKind.MATMUL, 16, 32)
    assert channels["turned"] == (LayerKind.LINEAR, 16, 32)
    assert channels["left"] == (LayerKind.LINEAR, 32, 16)
    assert channels["up"] == (LayerKind.CONV_TRANSPOSE2D, 16, 32)
    assert channels["memory.ih"] == (LayerKind.RECURRENT, 64, 32)
    assert layers["plane"].groups == 4
    assert layers["twice"].tied == (("twice_2", LayerKind.CONV1D),)
    assert {layer.float_bits for layer in layers.values()} == {32}


def test_why_the_others_are_kept(module):
    assert module.kept["packed_already"] == "compressed already"
    assert "rank 3" in module.kept["stack"]
    assert "add" in module.kept["shift"]
    assert "vector" in module.kept["memory_bias_0"]


def test_weights_beyond_fp16_are_kept(tmp_path):
    from coremltools.converters.mil.mil import Builder as mb

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 8))], opset_version=ct.target.iOS16)
    def program(x):
        return mb.linear(x=x, weight=random(0, 16, 8, scale=1e6), name="y")

    large = PackageModule(save(program, tmp_path / "large.mlpackage", ct.target.iOS16))
    assert layers_of(large) == ()
    assert "beyond what fp16 holds" in next(iter(large.kept.values()))
