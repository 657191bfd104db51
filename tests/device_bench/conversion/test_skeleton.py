"""What skeletons have in common."""

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.skeleton import Setting, SkeletonError, check_count, skeleton_of
from palettune.device_bench.conversion.weights.stand_in import MOST
from palettune.device_bench.model.recurrent_state import NO_STATE
from palettune.space.target import DeploymentTarget


def test_more_layers_than_stand_ins_are_refused():
    check_count(MOST)
    with pytest.raises(
        SkeletonError, match=rf"{MOST + 1} layers, and at most {MOST} are supported: exclude some layers"
    ):
        check_count(MOST + 1)


def test_a_converted_module_is_read():
    module = nn.Sequential(nn.Linear(16, 8)).eval()
    setting = Setting(module, (torch.randn(1, 16),), DeploymentTarget.IOS17, NO_STATE, ())
    found = skeleton_of(module, setting)
    assert [node.kind for node in found.nodes if node.kind == "linear"] == ["linear"]
    assert found.weight_bytes >= 16 * 8 * 2
    assert found.front_end.name == "torch.export"
    assert not found.layers
