"""Packages verified on data of varying shape, in both precisions, and against their own record."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import coremltools as ct
import pytest
import torch
from rich.console import Console
from torch import nn

from palettune.search.experiment.experiment import load_experiment
from palettune.search.results.packages.package_record import PackageRecord
from palettune.search.results.verification import Verification, verify
from palettune.space.errors import UserError
from tests.search.exporting import exported, write_case
from tests.search.test_packages import command

PLAIN = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))

def example_inputs():
    return (torch.zeros(1, 16),)

def evaluation_data():
    g = torch.Generator().manual_seed(2)
    return [((torch.randn(4, 16, generator=g),), None) for _ in range(3)]

def metrics(outputs, targets):
    return {"mean": float(outputs.mean())}
"""

CONV = """
import torch
from torch import nn

def model():
    {model}

def example_inputs():
    return ({example},)

def evaluation_data():
    g = torch.Generator().manual_seed(2)
    return [((torch.randn({batch}, 8, length, generator=g),{more}), None) for length in {lengths}]

def metrics(outputs, targets):
    outputs = list(outputs.values())[0] if isinstance(outputs, dict) else outputs
    return {{"count": sum(len(part) for part in outputs) if isinstance(outputs, list) else len(outputs)}}
"""
NETWORK = "torch.manual_seed(0); return nn.Sequential(nn.Conv1d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv1d(16, 4, 1))"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    toml = write_case(tmp_path_factory.mktemp("plain"), PLAIN)
    return toml, exported(toml)


def copied(plain, folder):
    """A copy of a workload and its package, to be changed."""
    toml, item = plain
    for file in (toml, toml.parent / "workload.py"):
        shutil.copy(file, folder / file.name)
    shutil.copytree(item.path, folder / item.path.name)
    return folder / toml.name, folder / item.path.name


def weight_file(package):
    return package / "Data/com.apple.CoreML/weights/weight.bin"


def test_a_package_is_what_its_record_says_in_both_precisions(plain):
    toml, item = plain
    found = verify(item.path, load_experiment(toml))
    assert found.passed, found.problems
    assert found.divergence == pytest.approx(item.record.evaluation.divergence, rel=0.05)
    assert found.divergence_fp16 == pytest.approx(found.divergence, rel=0.1)
    assert found.divergence_fp16 != found.divergence
    assert found.metrics.keys() == found.metrics_fp16.keys() == {"mean"}
    assert found.samples == found.total == 12
    assert found.notes == ()
    record = PackageRecord.read(item.path)
    assert record.divergence == found.claimed
    assert None not in (record.kind, record.data, record.model, record.weights)


def test_the_command_prints_both_and_fails_by_its_exit_code(monkeypatch, capsys, plain, tmp_path):
    toml, package = copied(plain, tmp_path)
    code, shown, _ = command(monkeypatch, capsys, "verify", package, "--against", toml)
    assert code == 0
    for words in ("in float32", "in fp16", "its record", "12 samples", "mean"):
        assert words in shown
    stages = ("reading the package", "checking the workload", "running the float model", "running the package in fp16")
    assert [words for words in stages if f"{words}: " not in shown] == []
    last = shown.splitlines()[-1]
    assert last.startswith("passed: it agrees with its record, ")
    assert last.endswith("on 12 samples")
    data = bytearray(weight_file(package).read_bytes())
    data[200] ^= 0x40
    weight_file(package).write_bytes(data)
    code, shown, _ = command(monkeypatch, capsys, "verify", package, "--against", toml)
    assert code == 1
    assert "weight file is not the one that was exported" in shown.replace("\n", " ")
    assert shown.splitlines()[-1].startswith("NOT passed: ")
    code, shown, _ = command(monkeypatch, capsys, "verify", package, "--against", toml, "--json")
    assert code == 1
    assert '"passed": false' in shown
    assert json.loads(shown)["verdict"].startswith("NOT passed")  # and nothing beside the JSON


def verification(**changes):
    plain = Verification(0.1331, None, False, {}, {}, 8, 8, 0.133, 0.0133, (), ())
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "passed: it agrees with its record, 0.1331 beside 0.1330 (at most 0.0133 apart), on 8 samples"),
        (
            {"tolerance": None, "samples": 3},
            "passed: nothing is wrong with it on 3 of 8 samples, but there is no record of these data to compare with",
        ),
        ({"problems": ("its outputs are not finite",)}, "NOT passed: 1 problem, said above"),
        ({"problems": ("one", "two")}, "NOT passed: 2 problems, said above"),
    ],
)
def test_the_verdict_is_the_last_line_in_words(changes, words):
    found = verification(**changes)
    assert found.verdict == words
    console = Console(file=io.StringIO(), width=300)
    for line in found.lines(Path("x[1].mlpackage")):
        console.print(line, highlight=False)
    assert console.file.getvalue().splitlines()[-1] == words


def test_a_record_that_the_package_does_not_keep_fails(plain, tmp_path):
    toml, package = copied(plain, tmp_path)
    for key, value, words in (
        ("divergence", "1.4e-07", "its own record says 1.4e-07"),
        ("divergence", "0.5", "its own record says 0.5"),
        ("weights", "", "its own record says 0.5"),
    ):
        model = ct.utils.load_spec(str(package))
        model.description.metadata.userDefined[f"palettune.{key}"] = value
        (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(model.SerializeToString())
        found = verify(package, load_experiment(toml))
        assert not found.passed
        assert words in found.problems[0]


@pytest.mark.parametrize("where", [0.3, 0.6, 0.95])
def test_one_changed_weight_fails_even_without_the_digest(plain, where, tmp_path):
    toml, package = copied(plain, tmp_path)
    spec = ct.utils.load_spec(str(package))
    del spec.description.metadata.userDefined["palettune.weights"]
    (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(spec.SerializeToString())
    assert verify(package, load_experiment(toml)).passed
    data = bytearray(weight_file(package).read_bytes())
    data[64 + 64 + int(where * 16 * 32)] ^= 0x80  # the sign of an 8-bit weight, or nearly
    weight_file(package).write_bytes(data)
    found = verify(package, load_experiment(toml))
    assert not found.passed
    assert "its own record says" in found.problems[0]


def test_other_data_than_the_records_are_said(plain, tmp_path):
    toml, package = copied(plain, tmp_path)
    text = (tmp_path / "workload.py").read_text()
    (tmp_path / "workload.py").write_text(
        text.replace("manual_seed(2)", "manual_seed(3)").replace("torch.randn(4", "5 * torch.randn(4")
    )
    found = verify(package, load_experiment(toml))
    assert found.passed
    assert "other data" in found.notes[0]


def test_another_model_than_the_exported_one_fails_and_says_so(plain, tmp_path):
    toml, package = copied(plain, tmp_path)
    text = (tmp_path / "workload.py").read_text()
    (tmp_path / "workload.py").write_text(text.replace("manual_seed(0)", "manual_seed(7)"))
    found = verify(package, load_experiment(toml))
    assert not found.passed
    assert "model() gives other weights" in found.problems[0]


def test_a_package_without_a_record_is_run_and_passes(plain, tmp_path):
    toml, package = copied(plain, tmp_path)
    spec = ct.utils.load_spec(str(package))
    spec.description.metadata.userDefined.clear()
    (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(spec.SerializeToString())
    found = verify(package, load_experiment(toml))
    assert found.passed
    assert found.claimed is None
    assert "no record" in found.notes[0]
    assert found.lines(package)[-2].startswith("[yellow]note:")


OVERFLOWING = PLAIN.replace(
    "return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))",
    "n = nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 32), nn.LayerNorm(32), nn.Linear(32, 4)); "
    "n[0].weight.data *= 2000; n[1].weight.data *= 2000; return n",
)


@pytest.mark.slow
def test_a_package_that_overflows_in_fp16_is_not_proven_and_fails(tmp_path):
    toml = write_case(tmp_path, OVERFLOWING)
    item = exported(toml)
    assert not item.proven
    assert item.path.name.endswith(".unproven.mlpackage")
    found = verify(item.path, load_experiment(toml))
    assert found.divergence < 1e-3
    assert found.divergence_fp16 is None
    assert not found.metrics_fp16
    assert found.problems == ("its outputs are not finite in fp16, in which it computes",)


def flexible(path, inputs, module=None):
    torch.manual_seed(0)
    module = module or nn.Sequential(nn.Conv1d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv1d(16, 4, 1))
    examples = tuple(torch.randn(1, 8, 24) for _ in inputs)
    ct.convert(
        torch.jit.trace(module.eval(), examples),
        inputs=inputs,
        minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
    ).save(str(path))


RANGE = ct.Shape((1, 8, ct.RangeDim(4, 64, 24)))
ENUMERATED = ct.EnumeratedShapes([(1, 8, 16), (1, 8, 24), (1, 8, 32)], default=(1, 8, 24))


def package_case(folder, shape, lengths, batch=1, target="iOS18"):
    flexible(folder / "theirs.mlpackage", [ct.TensorType(name="x", shape=shape)])
    text = CONV.format(
        model='return "theirs.mlpackage"', example="torch.randn(1, 8, 24)", lengths=lengths, batch=batch, more=""
    )
    return write_case(folder, text, target=target)


@pytest.mark.parametrize(
    ("shape", "lengths", "batch"),
    [
        (RANGE, [10, 14, 24, 38], 1),
        (RANGE, [38, 10], 3),
        (ENUMERATED, [16, 24, 32, 16], 1),
        (ENUMERATED, [32, 16], 2),
    ],
)
def test_each_batch_is_compared_with_the_outputs_for_its_own_shape(shape, lengths, batch, tmp_path):
    toml = package_case(tmp_path, shape, lengths, batch)
    itself = verify(tmp_path / "theirs.mlpackage", load_experiment(toml))
    assert itself.divergence == 0
    assert itself.samples == itself.total == batch * len(lengths)
    assert itself.metrics["count"] == batch * len(lengths)
    item = exported(toml)
    assert item.proven, item.failures
    assert item.execution.fitting == item.execution.total == batch * len(lengths)
    found = verify(item.path, load_experiment(toml))
    assert found.passed, found.problems
    assert found.claimed == pytest.approx(item.record.evaluation.divergence, rel=1e-4)


def test_several_inputs_of_which_one_is_flexible(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.style = nn.Conv1d(8, 16, 3, padding=1), nn.Linear(24, 16)

        def forward(self, x, code):
            return self.conv(x) * self.style(code.mean(1))[:, :, None]

    fixed = ct.Shape((1, 8, 24))
    inputs = [ct.TensorType(name="x", shape=RANGE), ct.TensorType(name="code", shape=fixed)]
    flexible(tmp_path / "theirs.mlpackage", inputs, Two())
    text = CONV.format(
        model='return "theirs.mlpackage"',
        example="torch.randn(1, 8, 24), torch.randn(1, 8, 24)",
        lengths=[9, 24, 30],
        batch=1,
        more=" torch.ones(1, 8, 24)",
    )
    toml = write_case(tmp_path, text)
    item = exported(toml)
    assert item.proven, item.failures
    assert item.execution.fitting == 3
    assert verify(item.path, load_experiment(toml)).passed


def torch_case(folder, lengths, batch=1):
    text = CONV.format(model=NETWORK, example="torch.randn(1, 8, 24)", lengths=lengths, batch=batch, more="")
    return write_case(folder, text)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
def test_of_data_that_do_not_all_fit_the_rest_is_run_and_counted(batch, tmp_path, capsys, monkeypatch):
    toml = torch_case(tmp_path, [9, 24, 31, 24, 24], batch)
    item = exported(toml)
    assert item.proven, item.failures
    assert (item.execution.fitting, item.execution.total) == (3 * batch, 5 * batch)
    assert item.to_json(item.path.parent)["proof"]["execution"]["samples_fitting"] == 3 * batch
    found = verify(item.path, load_experiment(toml))
    assert found.passed, found.problems
    assert (found.samples, found.total) == (3 * batch, 5 * batch)
    assert found.claimed == PackageRecord.read(item.path).fitting
    assert found.claimed != pytest.approx(item.record.evaluation.divergence, rel=1e-3)
    code, shown, _ = command(monkeypatch, capsys, "verify", item.path, "--against", toml)
    assert code == 0
    assert f"{3 * batch} of {5 * batch} samples fit" in shown.replace("\n", " ")


@pytest.mark.slow
def test_data_of_which_nothing_fits_are_refused_with_what_to_do(tmp_path, capsys, monkeypatch):
    toml = torch_case(tmp_path, [9, 31, 10, 11, 12])
    item = exported(toml, console=Console(quiet=True))
    assert item.proven
    assert "the example was run instead" in item.warnings[0]
    with pytest.raises(
        UserError, match=r"takes none of evaluation_data\(\).*\(1, 8, 9\); .*and 1 more.*example_inputs"
    ):
        verify(item.path, load_experiment(toml))
    code, _, err = command(monkeypatch, capsys, "verify", item.path, "--against", toml)
    assert code == 2
    assert "input 'input' has shape (1, 8, 9); (1, 8, 24) is expected" in err
