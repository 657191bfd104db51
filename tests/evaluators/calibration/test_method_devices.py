"""Layer methods compute where the statistics are, and give their weights on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from palettune.evaluators.calibration.layer_choices import layer_methods
from palettune.evaluators.calibration.layer_statistics import LayerStatistics
from palettune.evaluators.placement import CPU
from palettune.space.encoding import Encoding
from palettune.testing.layer_tasks import LAYERS, task_of
from tests.evaluators.pretended_device import ELSEWHERE, PretendedDevice

ENCODINGS = ("lut4", "lut4-g8", "int4", "int4-b8", "int8", "sparse50", "sparse50+lut4")
CASES = [
    pytest.param(method, layer, spelling, id=f"{method.name}-{layer}-{spelling}")
    for method in layer_methods()
    for layer in LAYERS
    for spelling in ENCODINGS
    if method.applies(task_of(LAYERS[layer](), Encoding.parse("fp16")).layer, Encoding.parse(spelling))
    and not (layer == "depthwise" and "-b" in spelling)  # one input channel has no blocks
]


def _brought(task, device):
    statistics = LayerStatistics(task.statistics.gram.to(device), [x.to(device) for x in task.statistics.columns])
    return replace(task, statistics=statistics)


@pytest.mark.parametrize(("method", "layer", "spelling"), CASES)
def test_a_method_mixes_no_devices_and_gives_its_weight_on_the_cpu(method, layer, spelling):
    task = task_of(LAYERS[layer](), Encoding.parse(spelling))
    wanted = method.find(task)
    with PretendedDevice() as device:
        moved = _brought(task, ELSEWHERE)
        assert moved.statistics.gram.device == ELSEWHERE
        found = method.find(moved)
        held = [found.weight, *found.buffers.values()]
        assert not any(device.is_there(value) for value in held)
        errors = moved.statistics.errors(found.weight - task.weight, task.layer)
    assert torch.equal(found.weight, wanted.weight)
    assert errors == task.statistics.errors(wanted.weight - task.weight, task.layer)


def test_the_pretended_device_refuses_a_mixture():
    with PretendedDevice():
        there = torch.ones(3).to(ELSEWHERE)
        assert there.device == (there * 2).device == ELSEWHERE
        assert there.cpu().device == CPU
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize(("method", "layer", "spelling"), CASES)
def test_a_method_finds_nearly_the_same_on_a_gpu(method, layer, spelling):
    task = task_of(LAYERS[layer](), Encoding.parse(spelling))
    wanted, found = method.find(task), method.find(_brought(task, torch.device("cuda")))
    errors, others = (sum(task.statistics.errors(value.weight - task.weight, task.layer)) for value in (wanted, found))
    assert others == pytest.approx(errors, rel=0.05)
