"""The state check: what a forward pass changes is named, put back, or refused."""

import copy

import pytest
import torch

from palettune.evaluators.workload.workload import Split, WorkloadError
from tests.evaluators.counting import Counting, state_of
from tests.evaluators.stateful_cases import SEEMING, STATEFUL, fresh, stateful_workload


@pytest.mark.parametrize("name", STATEFUL)
def test_state_is_named_and_left_as_it_was(tmp_path, name):
    text, places = STATEFUL[name]
    workload = stateful_workload(tmp_path, text)
    sampling = workload.sampling
    assert set(sampling.state.names) == places
    assert sampling.recurrent
    assert sampling.axes.whole
    items = [batch.inputs for batch in workload.batches(Split.EVALUATION)]
    with torch.no_grad():
        assert torch.equal(workload.model(*items[0]), fresh(text)(*items[0]))


@pytest.mark.parametrize("name", STATEFUL)
def test_state_is_restored_in_a_copy_of_the_model_whatever_ran_before(tmp_path, name):
    text, _ = STATEFUL[name]
    workload = stateful_workload(tmp_path, text)
    items = [batch.inputs for batch in workload.batches(Split.EVALUATION)]
    state, module = workload.sampling.state, copy.deepcopy(workload.model)
    with torch.inference_mode():
        for inputs in items[:5]:
            module(*inputs)
    state.restore(module)
    network = fresh(text)
    for inputs in items:  # outside inference mode: nothing of it may be left behind
        assert torch.equal(module(*inputs), network(*inputs))


def test_what_is_written_and_never_read_is_no_state_but_is_put_back(tmp_path):
    workload = stateful_workload(tmp_path, SEEMING)
    sampling = workload.sampling
    assert not sampling.recurrent
    assert not sampling.axes.whole
    assert {str(place) for place in sampling.state.values} == {"calls", "table", "seen", "attention_map"}
    assert workload.model.calls == 0
    assert workload.model.table is None
    assert not hasattr(workload.model, "attention_map")


def test_a_model_without_state_is_run_as_ever(tmp_path):
    text = "class Network(nn.Sequential):\n    def __init__(self):\n        super().__init__(nn.Linear(WIDTH, 5))\n"
    sampling = stateful_workload(tmp_path, text).sampling
    assert not sampling.state
    assert sampling.identity() == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("LOG.append(1); return self.head(x) * len(LOG)", "global variable"),
        ("self.note = len(LOG); self.bias.data.add_(1.0); return self.head(x) + self.bias", "parameter.* bias"),
        ("self.source = object() if True else 0; LOG.append(1); return self.head(x)", "'source'.*cannot be restored"),
    ],
)
def test_state_that_cannot_be_restored_is_refused_and_named(tmp_path, text, words):
    network = f"""
LOG = []

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.bias = nn.Linear(WIDTH, 5), nn.Parameter(torch.zeros(5))
        self.source = object()

    def forward(self, x):
        {text}
"""
    with pytest.raises(WorkloadError, match=f"(?s)workload.py: model\\(\\).*{words}.*register_buffer"):
        stateful_workload(tmp_path, network).check()


def test_random_outputs_are_no_state(tmp_path):
    text = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        return self.head(x + torch.randn_like(x))
"""
    workload = stateful_workload(tmp_path, text)
    assert not workload.sampling.state
    assert not workload.sampling.axes.whole
    before = torch.get_rng_state()
    stateful_workload(tmp_path / "again", text).check()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_gives_out_its_own_buffer_is_restored():
    model = Counting()
    state = state_of(model)
    assert [str(place) for place in state.values] == ["total"]
    assert state.recurrent
    assert float(model.total) == 0
