"""What preparation, inspection and export say of weights that are no layer's: unused, computed with, or of other kinds."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.display.inspection_tables import print_inspection
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import ExperimentError, load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.inspection import Inspection
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.preparation.weight_coverage import uncompressed
from palettune.search.results.export import export, write_manifest
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

_HEAD = """
import torch
from torch import nn
from torch.nn import functional as F

def example_inputs():
    return (torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(1)),)

def evaluation_data():
    generator = torch.Generator().manual_seed(2)
    for _ in range(2):
        yield (torch.randn(1, 6, 32, generator=generator),), None

def model():
    torch.manual_seed(0)
    return Network()

class Network(nn.Module):
"""

UNUSED = """
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 128), nn.Linear(128, 16)
        self.pooler = nn.Linear(128, 256)
        self.cosine = nn.Linear(16, 40, bias=False)

    def forward(self, x):
        x = self.b(torch.relu(self.a(x)))
        return F.linear(x, F.normalize(self.cosine.weight))
"""

ATTENTION = """
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.head = nn.Linear(32, 24)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0])
"""

GRUS = """
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(32, 16, batch_first=True)

    def forward(self, x):
        return self.gru(x)[0]
"""

ALL_COMPUTED = """
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 16), nn.Linear(16, 8)

    def forward(self, x):
        return F.linear(F.linear(x, self.a.weight * 0.5), F.normalize(self.b.weight))
"""

PLAIN = """
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(6, 21, 3, bias=False), nn.Conv1d(21, 7, 3, bias=False)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))
"""


def _prepare(folder: Path, network: str, space: str = "") -> Preparation:
    folder.mkdir(exist_ok=True)
    (folder / "workload.py").write_text(_HEAD + network)
    (folder / "experiment.toml").write_text(
        'name = "case"\nworkload = "workload.py"\ndeployment_target = "iOS18"\n'
        f'[space]\nencodings = ["fp16", "lut4", "int8", "uint8-asym"]\n{space}\n[budget]\ntrials = 4\n'
    )
    return prepare(load_experiment(folder / "experiment.toml"))


def _export(preparation: Preparation, folder: Path, **encodings: str):
    chosen = {layer.name: Encoding.parse(encodings.get(layer.name, "fp16")) for layer in preparation.layers}
    configuration = Configuration(chosen)
    record = Record(
        trial=0,
        origin="test",
        configuration=configuration,
        workflow=Workflow.DATA_FREE,
        values=(0.0,),
        costs=preparation.costs(configuration),
        evaluation=None,
        feasible=True,
        answered_from=None,
        failure=None,
        span=(0.0, 1.0),
        escalated_from=None,
        state=None,
    )
    run = RunFolder(folder / "runs", "case")
    (exported,) = export(preparation, run, [record], folder / "out", Display(Console(quiet=True)))
    return exported


@pytest.fixture(scope="module")
def unused(tmp_path_factory) -> Preparation:
    return _prepare(
        tmp_path_factory.mktemp("unused"), UNUSED, 'keep = ["pooler*"]\ngroups = [["a", "b"], ["pooler", "cosine"]]'
    )


def test_refused_layers_are_no_layers_and_say_why(unused):
    assert [layer.name for layer in unused.layers] == ["a", "b"]
    assert set(unused.space.menus) == {"a", "b"}
    assert unused.space.groups == (("a", "b"),)
    facts = Inspection.of(unused).to_json()
    assert "unused" in facts["kept"]["pooler"]
    assert "(reduce_l2_norm) computes with its weight" in facts["kept"]["cosine"]
    assert unused.identity()["refused"] == ["cosine", "pooler"]
    layers = 64 + 2 * 32 * 128 + 64 + 2 * 128 * 16
    header, biases, cosine = 64, (64 + 256) + (64 + 64) + (64 + 80), 64 + 2 * 16 * 40
    assert unused.reach.largest_bytes == layers + header + biases + cosine


def test_bytes_said_are_those_of_the_package(unused, tmp_path):
    exported = _export(unused, tmp_path, a="lut4", b="lut4")
    assert exported.proven, exported.failures
    assert (
        exported.weight_bytes
        == exported.predicted_weight_bytes
        == unused.costs(exported.record.configuration)["size_mb"] * 1e6
    )
    (entry,) = json.loads(write_manifest([exported], tmp_path / "out").read_text())
    assert entry["proof"]["bytes"] == {
        "passed": True,
        "predicted": exported.weight_bytes,
        "real": exported.weight_bytes,
    }
    assert entry["coverage"] == pytest.approx(12416 / (12416 + 1344))


def test_a_weight_file_of_another_size_than_predicted_fails_the_export(unused, tmp_path):
    wrong = replace(unused, base=replace(unused.base, rest_bytes=unused.base.rest_bytes + 64))
    exported = _export(wrong, tmp_path)
    assert exported.proof.passed
    assert not exported.proven
    assert exported.path.name.endswith(".unproven.mlpackage")
    real = exported.weight_bytes
    assert exported.failures == (
        f"the weight file takes {real} B, {real + 64} B were predicted: off by -64 B (outside the layers)",
    )
    (entry,) = json.loads(write_manifest([exported], tmp_path / "out").read_text())
    assert entry["proof"]["passed"] is False
    assert entry["proof"]["bytes"]["passed"] is False
    assert "off by" in entry["proof"]["failures"][0]


def test_a_file_that_ends_with_a_layer_is_predicted_to_the_byte(tmp_path):
    preparation = _prepare(tmp_path, PLAIN)
    assert preparation.base.ends_with_layer
    for encodings in ({}, {"a": "lut4", "b": "int8"}, {"b": "uint8-asym"}):
        exported = _export(preparation, tmp_path, **encodings)
        assert exported.proven, exported.failures


def test_what_depends_on_the_values_of_a_weight_is_predicted_from_them(tmp_path):
    """coremltools drops zero points that are all zero, and stores zeros in 4 bits."""
    positive = PLAIN.replace(
        "    def forward", "        self.a.weight.data.zero_()\n        self.b.weight.data.abs_()\n\n    def forward"
    )
    preparation = _prepare(tmp_path, positive)
    exported = _export(preparation, tmp_path, a="int8", b="uint8-asym")
    assert exported.weight_file.passed, exported.failures


def test_large_weights_that_stay_fp16_are_named_with_the_way_out(tmp_path):
    preparation = _prepare(tmp_path, ATTENTION)
    file = preparation.weight_bytes(preparation.space.uniform(Encoding.parse("fp16")))
    size = 64 + 3 * 32 * 32 * 2
    lines = uncompressed(preparation)
    share = f"{100 * size / file:.0f} %"
    assert lines[0] == f"stays fp16: attention.in_proj_weight {size / 1e6:.3f} MB ({share} of the file)"
    assert "give the .mlpackage as the model: model() returns its path" in lines[-1]
    assert preparation.coverage < 0.5
    facts = Inspection.of(preparation).to_json()
    assert facts["coverage"] == preparation.coverage
    assert facts["uncompressed"][0] == {"name": "attention.in_proj_weight", "shape": [96, 32], "bytes": size}
    shows = (
        lambda console: print_inspection(Inspection.of(preparation), console),
        lambda console: Display(console).on_prepared(preparation),
    )
    for show in shows:
        text = io.StringIO()
        show(Console(file=text, width=400))
        assert lines[0] in text.getvalue()
        assert lines[-1] in text.getvalue()


def test_full_coverage_needs_no_words(tmp_path):
    preparation = _prepare(tmp_path, PLAIN)
    assert preparation.coverage == 1.0
    assert uncompressed(preparation) == []


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (
            GRUS,
            r"the model \(Network\) has no layer whose weight can be compressed; .*give the \.mlpackage as the model",
        ),
        (
            ALL_COMPUTED,
            r"none of the model's 2 layers can be compressed \(a: op 'mul'.*give the \.mlpackage as the model",
        ),
    ],
)
def test_a_model_without_layers_is_told_the_way_out(network, words, tmp_path):
    with pytest.raises(ExperimentError, match=words):
        _prepare(tmp_path, network)
