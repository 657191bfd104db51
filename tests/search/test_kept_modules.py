"""Modules that are no layers, and notes, from preparation to what is printed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from palettune.search.display.inspection_tables import print_inspection
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import ExperimentError, load_experiment
from palettune.search.preparation.inspection import Inspection
from palettune.search.preparation.preparation import prepare

WORKLOAD = """
import torch
from torch import nn

class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.own = nn.Linear(8, 8), nn.Parameter(torch.eye(8))
        del self.inner.weight

    def forward(self, x):
        self.inner.weight = self.own * x.mean()  # of the input, so that no weight is stored
        return self.inner(x)

def model():
    torch.manual_seed(0)
    return {model}.double()

def example_inputs():
    return (torch.ones(1, 8),)

def evaluation_data():
    yield (torch.ones(4, 8),), None
"""


def experiment(folder, model="nn.Sequential(Wrapped(), nn.Linear(8, 8))", keep=""):
    (folder / "workload.py").write_text(WORKLOAD.replace("{model}", model))
    path = folder / "experiment.toml"
    path.write_text(f'name = "kept"\nworkload = "workload.py"\n[space]\nencodings = ["fp16", "int8"]\n{keep}\n')
    return load_experiment(path)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["", 'keep = ["0.inner"]', 'keep = ["0.*"]'])
def test_a_module_that_is_no_layer_is_kept_listed_and_may_be_named(tmp_path, keep):
    preparation = prepare(experiment(tmp_path, keep=keep))
    assert [layer.name for layer in preparation.layers] == ["1"]
    facts = Inspection.of(preparation).to_json()
    assert "set in each forward pass" in facts["kept"]["0.inner"]
    console = Console(file=io.StringIO(), width=300)
    print_inspection(Inspection.of(preparation), console)
    assert "kept as it is: 0.inner: its weight is not a parameter" in console.file.getvalue()


@pytest.mark.slow
def test_a_pattern_that_names_nothing_is_still_refused(tmp_path):
    with pytest.raises(ExperimentError, match=r"space\.keep: '9\.\*' matches no layer"):
        prepare(experiment(tmp_path, keep='keep = ["9.*"]'))


def test_a_model_of_which_nothing_is_a_layer_is_refused_with_the_reasons(tmp_path):
    with pytest.raises(
        ExperimentError, match=r"\(Wrapped\) has no layer .*inner: its weight is not a parameter.*own: .*op 'mul'"
    ):
        prepare(experiment(tmp_path, "Wrapped()"))


@pytest.mark.slow
def test_notes_are_printed_once_by_inspect_and_by_a_search(tmp_path):
    preparation = prepare(experiment(tmp_path))
    note = f"note: {tmp_path / 'workload.py'}: model(): the model is float64: converted to float32"
    assert Inspection.of(preparation).to_json()["notes"] == [note.removeprefix("note: ")]
    for show in (
        lambda console: print_inspection(Inspection.of(preparation), console),
        lambda console: Display(console).on_prepared(preparation),
    ):
        console = Console(file=io.StringIO(), width=300)
        show(console)
        assert console.file.getvalue().count(note) == 1
