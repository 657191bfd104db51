"""torch's defaults by name: taken, set again, and sent to another process."""

import pickle

import pytest
import torch

from palettune.evaluators.workload.torch_defaults import TorchDefaults


@pytest.fixture(autouse=True)
def _defaults_of_before():
    before = torch.get_default_dtype(), torch.get_default_device()
    yield
    torch.set_default_dtype(before[0])
    torch.set_default_device(before[1])


def test_defaults_are_taken_by_name_and_set_again():
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    found = TorchDefaults.now()
    assert found == TorchDefaults("float64", "meta")
    TorchDefaults("float32", "cpu").set()
    assert (torch.get_default_dtype(), torch.zeros(1).device.type) == (torch.float32, "cpu")
    pickle.loads(pickle.dumps(found)).set()
    assert (torch.get_default_dtype(), torch.zeros(1).device.type) == (torch.float64, "meta")
