"""Skeletons of packages."""

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.conversion.package_skeleton import PackageSkeleton
from palettune.device_bench.conversion.skeleton import Setting
from palettune.device_bench.conversion.weights.stand_in import found_in
from palettune.device_bench.model.recurrent_state import NO_STATE
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.space.target import DeploymentTarget


@pytest.mark.slow
def test_the_layers_of_a_package_have_stand_ins_but_refused_ones(tmp_path):
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 8)).eval()
    path, x = tmp_path / "net.mlpackage", torch.randn(1, 16)
    convert(model, (x,), DeploymentTarget.IOS17).save(str(path))
    skeleton = PackageSkeleton(Setting(PackageModule(path), (x,), DeploymentTarget.IOS17, NO_STATE, ()))
    found = skeleton.found(None, {})
    assert len(found.layers) == 2
    operands = [value for node in found.nodes for values in node.operands.values() for value in values]
    names = [one.layer for one in (found_in(value, found.by_size) for value in operands) if one is not None]
    assert names == [layer.name for layer in found.layers]
    first = found.layers[0]
    less = skeleton.found(None, {first.tensor: "said before"})
    assert less.refusals == {first.name: "said before"}
    assert [layer.name for layer in less.layers] == [found.layers[1].name]
