"""Workloads in memory on their way to Ray's workers."""

import sys
import threading
from types import SimpleNamespace

import pytest
import ray
import torch
from ray import cloudpickle

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.workload import load_workload
from palettune.evaluators.workload.workload_object import WorkloadError, WorkloadObject
from palettune.search.workers.by_value import put_by_value, sent
from palettune.search.workers.worker_settings import WorkerSettings
from tests.search.module_of import module_of

TEXT = """
import torch
from torch import nn

class Network(nn.Linear):
    pass

def model():
    torch.manual_seed(0)
    return Network(4, 2)

def example_inputs():
    return (torch.ones(1, 4),)

def evaluation_data():
    return [((torch.ones(2, 4),), None)]
"""


@pytest.fixture
def module(tmp_path):
    """A loaded module that no other process finds."""
    (tmp_path / "only_here.py").write_text(TEXT)
    yield module_of(tmp_path / "only_here.py", "only_here")
    del sys.modules["only_here"]


def settings_of(workload, tmp_path):
    return WorkerSettings(workload, ("",), DivergenceKind.KL, 0, tmp_path / "bank", (), 1)


def test_settings_of_a_workload_file_are_sent_as_they_are(tmp_path):
    settings = settings_of(tmp_path / "workload.py", tmp_path)
    assert sent(settings) is settings


@pytest.mark.usefixtures("cluster")
def test_functions_of_a_module_run_where_the_module_is_not(module, tmp_path):
    @ray.remote(num_cpus=0)
    def elsewhere(settings):
        return "only_here" in sys.modules, load_workload(settings.workload).model(torch.ones(1, 4)).tolist()

    before = cloudpickle.list_registry_pickle_by_value()
    found, outputs = ray.get(elsewhere.remote(sent(settings_of(WorkloadObject.of(module), tmp_path))))
    assert not found
    assert outputs == module.model()(torch.ones(1, 4)).tolist()
    assert cloudpickle.list_registry_pickle_by_value() == before


@pytest.mark.usefixtures("cluster")
def test_what_cannot_travel_is_said_with_the_way_out(module):
    lock = threading.Lock()
    names = ("model", "example_inputs", "evaluation_data")
    functions = SimpleNamespace(**{name: getattr(module, name) for name in names})
    functions.metrics = lambda outputs, targets: {"locked": float(lock.locked())}
    source = WorkloadObject.of(functions)
    with pytest.raises(WorkloadError, match=r"SimpleNamespace object: cannot be sent to Ray's workers .*inline=True"):
        put_by_value(source, source)
