"""State of a module as states of its package: the same outputs in a sequence, or refused by name."""

import copy

import pytest
import torch

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.package_model.package_state import PackageStateError
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import compare, load
from palettune.evaluators.workload.data_options import DataOptions
from palettune.evaluators.workload.workload import Split, load_workload
from palettune.space.configuration import Configuration
from palettune.space.target import DeploymentTarget
from tests.evaluators.stateful_cases import HEAD, SEEMING, STATEFUL, stateful_workload

TARGET = DeploymentTarget("iOS18")
HELD = ("cache", "hidden", "average", "stream")
# writes into one that is not its own: a scalar that is no tensor of an axis, and a buffer written in place
SCALAR = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(WIDTH, 5)
        self.register_buffer("level", torch.tensor(0.5))

    def forward(self, x):
        self.level.mul_(0.5).add_(x.mean())
        return self.head(x) * self.level
"""


@pytest.mark.slow
@pytest.mark.matrix(2)
@pytest.mark.parametrize("name", [*HELD, "scalar"])
def test_a_package_runs_a_sequence_as_its_module_does(tmp_path, name):
    workload = stateful_workload(tmp_path, SCALAR if name == "scalar" else STATEFUL[name][0])
    model, example, state = workload.model, workload.example_inputs, workload.sampling.state
    layers = layers_of(model)
    path = tmp_path / "model.mlpackage"
    convert(model, example, TARGET, state=state).save(str(path))
    program = load(path)
    assert len(program.states) == len(state.read)
    items = [batch.inputs for batch in workload.batches(Split.EVALUATION)]
    assert all(held.same(place.get(model)) for place, held in state.values.items())
    assert compare(path, copy.deepcopy(model), items).snr_db > 55
    reversed_first = [items[1], items[0]]  # a program that forgets would not notice
    with torch.no_grad(), program.sequence():
        first = [next(iter(program.run_tensors(dict(zip(program.inputs, i, strict=True))).values())) for i in items[:2]]
    with torch.no_grad(), program.sequence():
        other = [
            next(iter(program.run_tensors(dict(zip(program.inputs, i, strict=True))).values())) for i in reversed_first
        ]
    assert not torch.allclose(first[1], other[0], rtol=1e-3)
    base = base_program(model, example, TARGET, layers, state)
    proof = prove(path, model, example, Configuration({}), layers, TARGET, base=base)
    assert proof.passed, proof.failures
    assert base.rest_bytes > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("counter", "'position', which holds a int"),
        ("list", "'past', which holds a list"),
        ("object", "'memory', which holds a Memory"),
        ("two_kinds", "'at', which holds torch.int64"),
    ],
)
def test_state_that_no_package_holds_is_refused_by_name(tmp_path, name, words):
    workload = stateful_workload(tmp_path, STATEFUL[name][0])
    with pytest.raises(PackageStateError, match=words):
        convert(workload.model, workload.example_inputs, TARGET, state=workload.sampling.state)


def test_a_cache_that_grows_is_refused(tmp_path):
    text = STATEFUL["list"][0].replace("self.past = []", "self.past = torch.zeros(0, 1, WIDTH)")
    text = text.replace(
        "self.past.append(torch.relu(self.body(x)))", "self.past = torch.cat([self.past, self.body(x)[None]])"
    ).replace("torch.stack(self.past)", "self.past")
    workload = stateful_workload(tmp_path, text)
    with pytest.raises(PackageStateError, match=r"whose shape changes from \(0, 1, 8\) to \(1, 1, 8\)"):
        convert(workload.model, workload.example_inputs, TARGET, state=workload.sampling.state)


@pytest.mark.parametrize("target", ["iOS17", "iOS16", "macOS14"])
def test_targets_without_states_are_refused(tmp_path, target):
    workload = stateful_workload(tmp_path, STATEFUL["cache"][0])
    with pytest.raises(PackageStateError, match=f"k_cache, v_cache.*{target}.*iOS18"):
        base_program(workload.model, workload.example_inputs, DeploymentTarget(target), [], workload.sampling.state)


def test_what_is_never_read_makes_no_state(tmp_path):
    workload = stateful_workload(tmp_path, SEEMING)
    path = tmp_path / "model.mlpackage"
    convert(workload.model, workload.example_inputs, TARGET, state=workload.sampling.state).save(str(path))
    assert not load(path).states
    assert workload.model.calls == 0


@pytest.mark.slow
def test_a_package_with_states_is_a_model_with_state(tmp_path):
    workload = stateful_workload(tmp_path, STATEFUL["cache"][0])
    convert(workload.model, workload.example_inputs, TARGET, state=workload.sampling.state).save(
        str(tmp_path / "model.mlpackage")
    )
    text = HEAD.replace("    return Network()", "    return 'model.mlpackage'")
    (tmp_path / "package.py").write_text(text)
    found = load_workload(tmp_path / "package.py", DataOptions())
    assert isinstance(found.model, PackageModule)
    assert len(found.sampling.state.names) == 2
    items = [batch.inputs for batch in found.batches(Split.EVALUATION)]
    with torch.no_grad():
        outputs = list(found.sampling.course(items).outputs(found.model))
        expected = list(workload.sampling.course(items).outputs(workload.model))
    for one, other in zip(outputs, expected, strict=True):
        assert torch.allclose(next(iter(one.values())), other, atol=5e-3)
