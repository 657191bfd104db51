"""A model whose course depends on its data is refused before a search, by the line that decides it."""

import pytest

from palettune.search.experiment.experiment import load_experiment
from palettune.search.preparation.fp16_check import run_in_fp16
from palettune.search.preparation.inspection import Inspection
from palettune.search.preparation.preparation import prepare
from palettune.search.preparation.program_check import ProgramCheckError
from tests.search.exporting import write_case

BRANCHING = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x):
        {forward}
        return self.head(torch.relu(h))

def model():
    torch.manual_seed(0)
    return Net()

def example_inputs():
    return (torch.rand(1, 16, generator=torch.Generator().manual_seed(1)),)

def evaluation_data():
    g = torch.Generator().manual_seed(2)
    return [((torch.rand({batch}, 16, generator=g) * {sign},), None) for i in range({count})]
"""

FORWARDS = {
    "branch": "h = self.a(x) if x.mean() > 0 else self.b(x)",
    "branch on one row": "h = self.a(x) if bool((x[0] > 0).any()) else self.b(x)",
    "a number": "h = self.a(x) / (1 + float(x.sum()))",
    "numbers in a list": "h = self.a(x) * [float(v) for v in x[0]][0]",
    "a loop": "h = x\n        for _ in range(int(x.sum() > 0) + 1): h = torch.relu(self.a(h)) - self.b(h)",
    "a comparison": "h = self.a(x) if torch.equal(x, x.abs()) else self.b(x)",
}


def prepared(folder, forward, sign="(1 if i < 8 else -1)", count=16, batch=1):
    text = BRANCHING.format(forward=forward, sign=sign, count=count, batch=batch)
    return prepare(load_experiment(write_case(folder, text)))


@pytest.mark.matrix(3)
@pytest.mark.parametrize("kind", FORWARDS)
def test_a_course_that_depends_on_data_is_refused_with_its_line(kind, tmp_path):
    preparation = prepared(tmp_path, FORWARDS[kind])
    assert "workload.py:11" in preparation.base.front_end.warning.replace(":12", ":11")
    with pytest.raises(ProgramCheckError, match=r"does not compute what model\(\) does.*workload\.py:1[12]"):
        run_in_fp16(preparation)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sign", "count", "batch"),
    [
        ("(1 if i % 2 else -1)", 64, 1),  # in turn
        ("(-1 if i == 63 else 1)", 64, 8),  # the last batch alone
        ("(1 if i == 0 else -1)", 64, 1),  # all but the first batch
        ("(-1 if i == 40 else 1)", 200, 3),  # one batch of 200
    ],
)
def test_it_is_seen_wherever_the_other_course_is_taken(sign, count, batch, tmp_path):
    with pytest.raises(ProgramCheckError, match="evaluation samples"):
        run_in_fp16(prepared(tmp_path, FORWARDS["branch"], sign, count, batch))


@pytest.mark.slow
def test_a_course_that_all_data_take_is_said_and_goes_on(tmp_path):
    preparation = prepared(tmp_path, FORWARDS["branch"], sign="1")
    run_in_fp16(preparation)
    shown = Inspection.of(preparation).to_json()["conversion"]
    assert shown["front_end"] == "torch.jit.trace"
    assert "workload.py:11" in shown["warning"]
    assert shown["frozen"][0]["line"] == 11


@pytest.mark.slow
def test_a_model_that_torch_export_takes_is_not_set_against_its_program(tmp_path, monkeypatch):
    preparation = prepared(tmp_path, "h = self.a(x) if x.shape[1] > 4 else self.b(x)")
    monkeypatch.setattr("palettune.search.preparation.fp16_check.check_program", None)
    run_in_fp16(preparation)
    assert Inspection.of(preparation).to_json()["conversion"]["warning"] is None
