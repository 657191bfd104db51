"""Declared inputs, outputs and labels, from the experiment file to the verified package."""

import json
import textwrap

import pytest
from typer.testing import CliRunner

import palettune as pt
from palettune.device_bench.cost.program_ops import ops_of_package
from palettune.device_bench.package.package_archive import unpack
from palettune.device_bench.runtime import load
from palettune.search.command_line.cli import app
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.fp16_check import run_in_fp16
from palettune.search.preparation.preparation import prepare
from palettune.search.preparation.program_check import ProgramCheckError
from palettune.search.results.packages.manifest import write_manifest
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.target import DeploymentTarget
from tests.search.exporting import exported, write_case

TOKENS = """
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.query, self.head = nn.Embedding(64, 32), nn.Linear(32, 32), nn.Linear(32, 16)

        def forward(self, tokens, mask):
            x = self.embed(tokens) * mask[..., None].float()
            return {"scores": self.head(torch.softmax(self.query(x) @ x.transpose(1, 2), -1) @ x)}

    def model():
        torch.manual_seed(0)
        return Network()

    def _inputs(length, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 64, (1, length), generator=generator), torch.ones(1, length, dtype=torch.int32)

    def example_inputs():
        return _inputs(24)

    def evaluation_data():
        return [(_inputs(length, length), None) for length in (5, 9, 24, 40)]
"""

LENGTHS = """
[inputs]
tokens = { shape = [1, "1..48"] }
mask = { shape = [1, "1..48"], name = "attention" }

[outputs]
scores = "logits"
"""

PICTURES = """
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 32, 3, padding=1), nn.Linear(32, 4)

        def forward(self, image):
            return self.head(torch.relu(self.stem(image)).mean((2, 3)))

    def model():
        torch.manual_seed(0)
        return Network()

    def _pictures(count, seed):
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (count, 3, 16, 16), generator=generator) / 255
        return ((pixels - 0.45) / 0.225,)

    def example_inputs():
        return _pictures(1, 0)

    def evaluation_data():
        return [(_pictures(8, seed), None) for seed in (1, 2)]
"""

IMAGE = """
[inputs.image]
shapes = [[1, 3, 16, 16], [1, 3, 24, 32]]
image = { colour = "RGB", scale = 0.0174291938997821, bias = -2.0 }

[labels]
names = ["cat", "dog", "emu", "fox"]
"""

FROZEN = """
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(32, 16)

        def forward(self, x):
            return self.head(x) * (2.0 if x.shape[1] > 20 else 1.0)

    def model():
        torch.manual_seed(0)
        return Network()

    def example_inputs():
        return (torch.ones(1, 24, 32),)

    def evaluation_data():
        return [((torch.randn(1, 24, 32, generator=torch.Generator().manual_seed(seed)),), None) for seed in (1, 2)]
"""


def case(folder, workload, more):
    toml = write_case(folder, workload)
    toml.write_text(textwrap.dedent(toml.read_text()) + more)
    return toml


def entry(item):
    (found,) = json.loads(write_manifest([item], item.path.parent).read_text())
    return found


@pytest.mark.slow
def test_a_range_of_lengths_is_exported_proven_at_its_ends_and_verified(tmp_path):
    toml = case(tmp_path, TOKENS, LENGTHS)
    item = exported(toml, "lut4")
    assert item.proven, item.failures
    assert item.predicted_weight_bytes == item.weight_bytes
    assert item.execution.fitting == item.execution.total == 4
    shapes = entry(item)["proof"]["shapes"]
    assert [shape["shapes"] for shape in shapes] == [f"tokens (1, {n}), attention (1, {n})" for n in (1, 24, 48)]
    assert all(shape["passed"] and (shape["snr_db"] or 99) > 40 and shape["fp16"]["passed"] for shape in shapes)
    program = load(item.path)
    assert (list(program.inputs), list(program.outputs)) == (["tokens", "attention"], ["logits"])
    verification = pt.verify(item.path, toml)
    assert verification.passed, verification
    assert verification.samples == verification.total == 4


@pytest.mark.slow
def test_pictures_go_through_an_image_input_of_two_sizes_to_labels(tmp_path):
    toml = case(tmp_path, PICTURES, IMAGE)
    item = exported(toml, "int8")
    assert item.proven, item.failures
    assert item.predicted_weight_bytes == item.weight_bytes
    assert [check.shapes for check in item.shapes] == ["image (1, 3, 16, 16)", "image (1, 3, 24, 32)"]
    assert list(load(item.path).outputs) == ["classLabel", "classLabel_probs"]
    verification = pt.verify(item.path, toml)
    assert verification.passed, verification
    assert verification.samples == 16


@pytest.mark.slow
def test_verify_finds_a_package_whose_image_has_another_scale(tmp_path):
    toml = case(tmp_path, PICTURES, IMAGE)
    item = exported(toml, "int8")
    toml.write_text(toml.read_text().replace("scale = 0.0174291938997821", "scale = 0.019"))
    assert not pt.verify(item.path, toml).passed


@pytest.mark.slow
def test_verify_says_what_a_package_declares_otherwise(tmp_path):
    toml = case(tmp_path, TOKENS, LENGTHS)
    item = exported(toml, "int8")
    toml.write_text(toml.read_text().replace("attention", "mask"))
    verification = pt.verify(item.path, toml)
    assert verification.passed
    assert "its inputs are tokens, attention, declared are tokens, mask" in verification.notes


@pytest.mark.slow
def test_a_size_that_the_model_freezes_ends_it_before_a_search_with_the_line(tmp_path):
    toml = case(tmp_path, FROZEN, '[inputs]\nx = { shape = [1, "8..48", 32] }\n')
    with pytest.raises(ProgramCheckError) as error:
        run_in_fp16(prepare(load_experiment(toml)))
    assert "[inputs] allows x (1, 8, 32)" in str(error.value)
    assert "one course alone: sizes from 21 on along dimension 1 of x" in str(error.value)


@pytest.mark.slow
def test_inspect_shows_what_is_declared_and_errors_name_the_key(tmp_path):
    toml = case(tmp_path, TOKENS, LENGTHS)
    shown = CliRunner().invoke(app, ["inspect", str(toml)])
    assert shown.exit_code == 0, shown.output
    assert "input mask: named attention, (1, 1..48)" in shown.output
    assert "output scores: named logits" in shown.output
    assert pt.inspect(toml).to_json()["interface"][0] == "input tokens: (1, 1..48)"
    toml.write_text(toml.read_text().replace("tokens = {", "token = {"))
    refused = CliRunner().invoke(app, ["inspect", str(toml)])
    assert isinstance(refused.exception, pt.UserError)
    assert "inputs.token: the model has no such input; did you mean 'tokens'" in str(refused.exception)


@pytest.mark.slow
def test_latency_and_measured_packages_are_of_the_examples_shape(tmp_path):
    toml = case(tmp_path, TOKENS, LENGTHS + '[device]\nname = "iPhone 15 Pro"\n')
    preparation = prepare(load_experiment(toml))
    fixed = prepare(load_experiment(case(tmp_path, TOKENS, '[device]\nname = "iPhone 15 Pro"\n')))
    uniform = preparation.space.uniform(pt.Encoding.parse("int8"))
    assert preparation.costs(uniform)["latency_ms"] == fixed.costs(uniform)["latency_ms"]
    folder = RunFolder(tmp_path / "runs", "case")
    folder.create()
    worker = Worker(worker_settings(preparation, folder, preparation.experiment.needs))
    for name in uniform.encodings:
        worker.compress(name, (pt.Encoding.parse("int8"),))
    path = unpack(worker.convert(uniform, DeploymentTarget("iOS18")), tmp_path / "measured")
    assert ops_of_package(path).ops
    assert load(path).inputs["attention"].expected() == "(1, 24)"


@pytest.mark.slow
def test_a_search_from_python_ends_in_packages_of_what_is_declared(tmp_path, monkeypatch):
    case(tmp_path, PICTURES, IMAGE)
    monkeypatch.chdir(tmp_path)
    experiment = pt.Experiment(
        name="declared",
        workload="workload.py",
        space={"encodings": ["fp16", "lut4", "int8"]},
        budget={"trials": 6},
        search={"solved_trials": 2, "score_samples": 4},
        inputs={"image": {"shapes": [[1, 3, 16, 16], [1, 3, 24, 32]], "image": {"scale": 1 / 57.375, "bias": -2.0}}},
        outputs={"output": "scores"},
    )
    run = pt.run_search(experiment, root="runs", inline=True)
    result = run.export(["knee"], "exported")
    (item,) = result.packages
    assert item.proven, item.failures
    assert pt.verify(item.path, experiment).passed
