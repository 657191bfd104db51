"""Workloads in memory: what is taken, what is left as it is, and what travels."""

import importlib.util
import pickle
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from palettune.evaluators.workload.workload import Split, load_workload
from palettune.evaluators.workload.workload_object import WorkloadError, WorkloadObject, detached_copy


def data():
    return [((torch.randn(4, 6, generator=torch.Generator().manual_seed(s)),), torch.arange(4)) for s in (0, 1)]


class Functions:
    """A user's own class: the network is trained elsewhere, and goes on being used."""

    def __init__(self, network):
        self.network = network

    def model(self):
        return self.network

    def example_inputs(self):
        return (torch.zeros(1, 6),)

    def evaluation_data(self):
        return data()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def test_an_object_is_a_workload_and_its_model_stays_its_own():
    own = network().to(torch.bfloat16).train()
    workload = load_workload(WorkloadObject.of(Functions(own)))
    workload.check()
    assert not workload.model.training
    assert workload.model[0].weight.dtype == torch.float32
    assert own.training
    assert own[0].weight.dtype == torch.bfloat16
    assert own[0].weight.requires_grad
    assert str(workload.path) == "Functions object"
    assert any("Functions object: model()" in note for note in workload.notes)
    assert not workload.offers("metrics")


def test_a_model_with_weights_computed_from_others_is_copied():
    own = network()
    torch.nn.utils.weight_norm(own[0])
    own(torch.zeros(1, 6))
    copied = detached_copy(own)
    x = torch.randn(2, 6)
    assert torch.equal(copied(x), own(x))
    assert own[0].weight.grad_fn is not None
    workload = load_workload(WorkloadObject.of(Functions(own)))
    workload.check()
    assert own[0].weight.grad_fn is not None


def test_what_lacks_a_function_is_refused_with_the_nearest_name():
    functions = SimpleNamespace(model=network, example_input=data, evaluation_data=data)
    with pytest.raises(
        WorkloadError, match=r"SimpleNamespace object: the function example_inputs\(\) is missing; did you"
    ):
        WorkloadObject.of(functions)


def test_errors_name_the_object():
    functions = Functions(network())
    functions.evaluation_data = list
    with pytest.raises(WorkloadError, match=r"^Functions object: evaluation_data\(\) gave no data"):
        load_workload(WorkloadObject.of(functions)).check()


def test_a_function_runs_with_the_default_type_of_the_moment_it_was_given():
    seen = []
    functions = Functions(network())
    functions.example_inputs = lambda: seen.append(torch.get_default_dtype()) or (torch.zeros(1, 6),)
    torch.set_default_dtype(torch.float64)
    try:
        source = WorkloadObject.of(functions)
    finally:
        torch.set_default_dtype(torch.float32)
    assert load_workload(source).example_inputs[0].dtype == torch.float32
    assert seen == [torch.float64]
    assert torch.get_default_dtype() == torch.float32


def test_targets_have_a_digest_of_their_own():
    digests = []
    for targets in (torch.arange(4), torch.arange(4) + 1, ["a", "b", "c", "d"], ["a", "b", "c", "e"], None):
        functions = Functions(network())
        functions.evaluation_data = lambda targets=targets: [(inputs, targets) for inputs, _ in data()]
        found = load_workload(WorkloadObject.of(functions))
        digests.append(found.targets_digest(Split.EVALUATION))
        assert found.targets_digest(Split.EVALUATION) == digests[-1]
        assert found.digest(Split.EVALUATION) == load_workload(WorkloadObject.of(Functions(network()))).digest(
            Split.EVALUATION
        )
    assert len(set(digests)) == len(digests)


def test_of_a_module_only_the_functions_travel(tmp_path, monkeypatch):
    path = tmp_path / "held.py"
    path.write_text(
        "import threading\nlock = threading.Lock()\ndef model(): pass\ndef example_inputs(): pass\n"
        "def evaluation_data(): pass\ndef helper(): pass\n"
    )
    spec = importlib.util.spec_from_file_location("held_functions", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "held_functions", module)
    spec.loader.exec_module(module)
    source = WorkloadObject.of(module)
    assert source.folder == tmp_path
    sent = pickle.loads(pickle.dumps(source))
    assert set(vars(sent.functions)) == {"model", "example_inputs", "evaluation_data"}
    assert (str(sent), sent.folder, sent.defaults) == ("module held_functions", tmp_path, source.defaults)
