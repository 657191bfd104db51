import copy

import pytest
import torch
from torch import nn

from palettune.evaluators.placement import (
    CPU,
    WorkerDeviceError,
    copied,
    device_of,
    moved,
    on,
    placed,
    worker_device,
)
from tests.evaluators.pretended_device import ELSEWHERE, PretendedDevice

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


class _Holding(nn.Module):
    """Holds a tensor as a plain attribute, and one in a list."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.offset = torch.ones(2)
        self.table = [torch.zeros(2)]

    def forward(self, x):
        return self.layer(x) + self.offset + self.table[0]


def test_a_worker_without_a_gpu_computes_on_the_cpu():
    assert worker_device(0) == CPU


def test_a_gpu_that_is_not_there_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(WorkerDeviceError, match=r"gpus = 0\.5.*sees no CUDA GPU.*gpus = 0"):
        worker_device(0.5)


def test_a_worker_with_a_share_of_a_gpu_computes_there_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert worker_device(0.25).type == "cuda"
    assert not torch.backends.cudnn.allow_tf32


def test_on_the_cpu_a_model_is_neither_copied_nor_changed():
    model = _Holding()
    held = model.offset
    assert placed(model, CPU) is model
    assert moved(model, CPU) is model
    assert model.offset is held
    assert device_of(model) == CPU


def test_a_copy_is_another_module_of_the_same_values():
    model = _Holding()
    other = copied(model, CPU)
    assert other is not model
    assert torch.equal(other(torch.ones(1, 2)), model(torch.ones(1, 2)))


def test_a_module_without_tensors_is_on_the_cpu():
    assert device_of(nn.Identity()) == CPU


def test_tensors_that_are_there_already_stay_the_same_objects():
    values = (torch.ones(2), {"a": [torch.zeros(1)]}, 3)
    assert on(values, CPU) is values


@cuda
def test_attributes_and_lists_of_tensors_come_along_to_the_gpu():
    model = _Holding()
    there = placed(model, torch.device("cuda"))
    x = torch.ones(1, 2)
    assert device_of(there).type == "cuda"
    assert device_of(model) == CPU
    assert model.offset.device == CPU
    assert torch.allclose(there(x.cuda()).cpu(), model(x), atol=1e-6)
    assert torch.allclose(copy.deepcopy(there)(x.cuda()).cpu(), model(x), atol=1e-6)


def test_a_recurrent_module_computes_with_the_parameters_that_it_holds_wherever_it_is():
    with PretendedDevice():
        model = placed(nn.LSTM(4, 3), ELSEWHERE)
    assert all(held is parameter for held, parameter in zip(model._flat_weights, model.parameters(), strict=True))
