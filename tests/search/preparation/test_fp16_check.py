"""The float model in fp16 before anything is compressed, and ops that an experiment keeps in float32."""

import io
import json
import textwrap

import pytest
from rich.console import Console

from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package.package_archive import unpack
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import check_precision
from palettune.evaluators.workload.workload import Split
from palettune.search.command_line.cli import app
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import ExperimentError, load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.session import Places, run_session
from palettune.search.preparation.fp16_check import SAMPLES, Fp16Error, check_before_search, fp16_json, run_in_fp16
from palettune.search.preparation.preparation import prepare
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.device_bench.runtime.support.packages import dense

WORKLOAD = """
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.wide, self.last = nn.Linear(32, 48), nn.Linear(48, 64), nn.Linear(64, 16)
            self.norm = nn.LayerNorm(64)
            with torch.no_grad():
                self.wide.weight.mul_(GAIN)
                self.wide.bias.fill_(BIAS)

        def forward(self, x):
            return self.last(self.norm(self.wide(torch.relu(self.first(x)))))

    def model():
        torch.manual_seed(0)
        return Network()

    def example_inputs():
        return (torch.randn(1, 32),)

    def evaluation_data():
        generator = torch.Generator().manual_seed(1)
        for number in range(10):
            size = 1 if number < 8 else SIZE
            yield (torch.randn(4, 32, generator=generator) * size,), torch.zeros(4, dtype=torch.long)
"""

EXPERIMENT = """
    name = "tiny"
    workload = "workload.py"
    deployment_target = "iOS18"

    [space]
    encodings = ["fp16", "lut4", "int8"]
    {more}

    [budget]
    trials = 4
"""


def experiment(project, gain=1.0, size=1.0, bias=0.0, more=""):
    text = WORKLOAD.replace("GAIN", repr(gain)).replace("SIZE", repr(size)).replace("BIAS", repr(bias))
    project.write(textwrap.dedent(EXPERIMENT).format(more=more), text)
    return load_experiment(project.experiment)


def display():
    stream = io.StringIO()
    return Display(Console(file=stream, width=400)), stream


@pytest.mark.slow
def test_a_search_of_a_model_that_overflows_ends_before_anything_is_compressed(project, monkeypatch):
    monkeypatch.setattr("palettune.search.workers.start.connect_to_ray", lambda *_: pytest.fail("Ray was started"))
    with pytest.raises(
        Fp16Error, match=r"op 'linear_1' \(linear\) in module 'wide'.*space.float32 = \[\"wide\", \"norm\"\]"
    ):
        run_session(experiment(project, gain=4e5), Places(project.root), [display()[0]])
    assert not (project.root / "tiny" / "weight_bank").exists()
    assert not RunFolder(project.root, "tiny").fp16_check.exists()


@pytest.mark.slow
def test_samples_from_the_end_of_the_data_are_run(project):
    preparation = prepare(experiment(project, size=4e5))
    run = run_in_fp16(preparation)
    assert run.check.failed
    assert run.check.samples == SAMPLES
    assert sum(len(batch.inputs[0]) for batch in preparation.workload.batches(Split.EVALUATION)) > 2 * SAMPLES
    assert run.seconds > 0


@pytest.mark.slow
def test_a_model_that_fp16_holds_is_run_once_for_each_identity(project, monkeypatch):
    preparation = prepare(experiment(project))
    folder = RunFolder(project.root, "tiny")
    folder.create()
    shown, stream = display()
    check_before_search(preparation, folder, preparation.identity(), shown)
    assert "running the model in fp16" in stream.getvalue()
    run = run_in_fp16(preparation)
    monkeypatch.setattr("palettune.search.preparation.fp16_check.run_in_fp16", lambda _: run)
    shown, stream = display()
    check_before_search(preparation, folder, preparation.identity(), shown)
    assert not stream.getvalue()
    check_before_search(preparation, folder, preparation.identity() | {"seed": 1}, shown)
    assert "running the model in fp16" in stream.getvalue()


@pytest.mark.slow
def test_a_loss_of_precision_is_said_and_the_search_goes_on(project):
    preparation = prepare(experiment(project, bias=2000.0))
    folder = RunFolder(project.root, "tiny")
    folder.create()
    shown, stream = display()
    check_before_search(preparation, folder, preparation.identity(), shown)
    said = stream.getvalue()
    assert "loses precision in fp16" in said
    assert "module 'wide'" in said or "module 'norm'" in said
    assert folder.fp16_check.exists()


def inspected(project, *arguments):
    from typer.testing import CliRunner

    return CliRunner().invoke(app, ["inspect", str(project.experiment), *arguments])


@pytest.mark.slow
def test_inspect_runs_it_where_asked(project):
    experiment(project)
    assert "fp16" not in json.loads(inspected(project, "--json").stdout)
    found = json.loads(inspected(project, "--json", "--run").stdout)["fp16"]
    assert found["passed"]
    assert found["cause"] is None
    assert found["outputs"]["output"]["loss"] < 1e-4
    assert "fp16 loses" in inspected(project, "--run").stdout
    experiment(project, gain=4e5)
    result = inspected(project, "--json", "--run")
    found = json.loads(result.stdout)["fp16"]
    assert not found["passed"]
    assert found["cause"]["module"] == "wide"
    assert found["outputs"]["output"] == {"elements": 256, "not_finite": 256, "loss": None}
    assert isinstance(result.exception, Fp16Error)


@pytest.mark.slow
def test_ops_kept_in_float32_reach_search_space_and_workers(project):
    loaded = experiment(project, gain=4e5, more='float32 = ["wide", "norm"]')
    preparation = prepare(loaded)
    assert not run_in_fp16(preparation).check.failed
    assert {layer.name: layer.float_bits for layer in preparation.layers} == {"first": 16, "wide": 32, "last": 16}
    plain = prepare(experiment(project, gain=4e5))
    configuration = Configuration(
        dict(zip(("first", "wide", "last"), map(Encoding.parse, ("int8", "lut4", "fp16")), strict=True))
    )
    assert preparation.weight_bytes(configuration) > plain.weight_bytes(configuration)
    assert preparation.identity() != plain.identity()
    experiment(project, gain=4e5, more='float32 = ["wide", "norm"]')
    folder = RunFolder(project.root, "tiny")
    folder.create()
    worker = Worker(worker_settings(preparation, folder, loaded.needs))
    for layer in preparation.layers:
        assert not worker.compress(layer.name, (Encoding.parse("lut4"), Encoding.parse("int8")))
    path = project.folder / "made.mlpackage"
    unpack(worker.convert(configuration, loaded.deployment_target), path)
    assert weight_bytes(path) == preparation.weight_bytes(configuration)
    module = worker.assembler.with_metadata(configuration)
    proof = prove(
        path, module, preparation.workload.example_inputs, configuration, preparation.layers, loaded.deployment_target,
        base=preparation.base,
    )  # fmt: skip
    assert proof.passed, proof.failures
    samples = [batch.inputs for batch in preparation.workload.batches(Split.EVALUATION)]
    assert not check_precision(path, samples, reference=module).failed


@pytest.mark.slow
def test_a_pattern_that_matches_nothing_and_any_for_a_package_are_refused(project):
    with pytest.raises(ExperimentError, match=r"space.float32: 'wode' matches no module.*first, wide.*'wide'"):
        prepare(experiment(project, more='float32 = ["wode"]'))
    loaded = experiment(project, more='float32 = ["wide"]')
    dense(project.folder / "dense.mlpackage")
    workload = """
        import torch

        def model():
            return "dense.mlpackage"

        def example_inputs():
            return (torch.randn(1, 8),)

        def evaluation_data():
            yield (torch.randn(4, 8),), None
    """
    (project.folder / "workload.py").write_text(textwrap.dedent(workload))
    with pytest.raises(ExperimentError, match=r"space\.float32: the model is a package"):
        prepare(loaded)
    run = run_in_fp16(prepare(experiment_without(project)))
    assert not run.check.failed
    assert fp16_json(run)["passed"]
    assert run.check.loss == 0  # it computes in float32


def experiment_without(project):
    project.experiment.write_text(textwrap.dedent(EXPERIMENT).format(more=""))
    return load_experiment(project.experiment)


def test_the_identity_of_searches_without_the_key_is_as_before(project):
    assert "float32" not in experiment(project).identity()["space"]
    assert experiment(project, more='float32 = ["wide"]').identity()["space"]["float32"] == ["wide"]
