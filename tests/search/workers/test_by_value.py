"""What a workload in memory needs where it goes: nothing but what is installed there."""

import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import cloudpickle

from palettune.evaluators.workload.workload_object import WorkloadObject
from palettune.search.workers.by_value import _by_value, _own_modules

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
