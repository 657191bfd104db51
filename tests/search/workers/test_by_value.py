"""Workloads in memory on their way to Ray's workers: they need nothing but what is installed there."""

import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import torch
from ray import cloudpickle

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.workload import load_workload
from palettune.evaluators.workload.workload_object import WorkloadError, WorkloadObject
from palettune.search.workers.by_value import _by_value, _own_modules, put_by_value, sent
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.layer import Layer, LayerKind
from tests.search.module_of import module_of

ROOT = Path(__file__).parents[3]

NETWORK = """
import torch
class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.classes = torch.nn.Linear(4, 3)  # a name that torch has, too: a module of a type of its own
    def forward(self, x):
        return self.classes(torch.relu(x))
"""

FUNCTIONS = """
import torch
import {network}
_cache = {{}}
def model():
    return _cache.setdefault("network", {network}.Network())
def example_inputs():
    return (torch.zeros(1, 4),)
def evaluation_data():
    return [((torch.ones(2, 4),), None)]
"""

LOAD = """
import pickle, sys
from palettune.evaluators.workload.workload import load_workload
workload = load_workload(pickle.load(sys.stdin.buffer))
workload.check()
print(type(workload.model).__name__, workload.path)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, with another one beside it, of names that nothing else has."""
    name, network = (f"{word}_{uuid.uuid4().hex}" for word in ("functions", "network"))
    (tmp_path / f"{network}.py").write_text(NETWORK)
    (tmp_path / f"{name}.py").write_text(FUNCTIONS.format(network=network))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__(name)
    for one in (name, network):
        sys.modules.pop(one, None)


@pytest.mark.parametrize("kind", ["module", "object"])
def test_a_process_that_cannot_import_the_modules_runs_the_workload(module, kind, monkeypatch, tmp_path):
    given = module
    if kind == "object":
        given = SimpleNamespace(
            **{name: getattr(module, name) for name in ("model", "example_inputs", "evaluation_data")}
        )
        monkeypatch.chdir(tmp_path)  # whose modules are the user's own
    source = WorkloadObject.of(given)
    before = cloudpickle.list_registry_pickle_by_value()
    with _by_value(_own_modules(source)):
        data = cloudpickle.dumps(source)
    assert cloudpickle.list_registry_pickle_by_value() == before
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], input=data, cwd="/", env=environment, capture_output=True, timeout=200
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == ["Network", *str(source).split()]


def test_installed_modules_and_ours_do_not_travel(module):
    names = {one.__name__ for one in _own_modules(WorkloadObject.of(module))}
    assert module.__name__ in names
    assert len(names) == 2
    assert not [name for name in names if name.partition(".")[0] in ("torch", "palettune", "json")]


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
def lone_module(tmp_path):
    """A loaded module that no other process finds."""
    (tmp_path / "only_here.py").write_text(TEXT)
    yield module_of(tmp_path / "only_here.py", "only_here")
    del sys.modules["only_here"]


def settings_of(workload, tmp_path):
    return WorkerSettings(
        workload, (Layer("", LayerKind.LINEAR, (4, 4)),), DivergenceKind.KL, 0, tmp_path / "bank", (), 1
    )


def test_settings_of_a_workload_file_are_sent_as_they_are(tmp_path):
    settings = settings_of(tmp_path / "workload.py", tmp_path)
    assert sent(settings) is settings


@pytest.mark.usefixtures("cluster")
def test_functions_of_a_module_run_where_the_module_is_not(lone_module, tmp_path):
    @ray.remote(num_cpus=0)
    def elsewhere(settings):
        return "only_here" in sys.modules, load_workload(settings.workload).model(torch.ones(1, 4)).tolist()

    before = cloudpickle.list_registry_pickle_by_value()
    found, outputs = ray.get(elsewhere.remote(sent(settings_of(WorkloadObject.of(lone_module), tmp_path))))
    assert not found
    assert outputs == lone_module.model()(torch.ones(1, 4)).tolist()
    assert cloudpickle.list_registry_pickle_by_value() == before


@pytest.mark.usefixtures("cluster")
def test_what_cannot_travel_is_said_with_the_way_out(lone_module):
    lock = threading.Lock()
    names = ("model", "example_inputs", "evaluation_data")
    functions = SimpleNamespace(**{name: getattr(lone_module, name) for name in names})
    functions.metrics = lambda outputs, targets: {"locked": float(lock.locked())}
    source = WorkloadObject.of(functions)
    with pytest.raises(WorkloadError, match=r"SimpleNamespace object: cannot be sent to Ray's workers .*inline=True"):
        put_by_value(source, source)
