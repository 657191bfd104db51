"""A small experiment on real Ray, a real journal and a real MLflow store."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import ray

WORKLOAD = """
import os
import time

import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.mix = nn.Conv2d(16, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.head = nn.Linear(32 * 16, 64)
        self.classes = nn.Linear(64, 10)

    def forward(self, x):
        time.sleep(float(os.environ.get("TINY_WORKLOAD_SLOW", "0")))
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.depthwise(torch.relu(self.mix(x))))
        x = nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)
        return self.classes(torch.relu(self.head(x)))

def model():
    torch.manual_seed(0)
    network = Network()
    network.norm.running_mean.normal_()
    network.norm.running_var.uniform_(0.5, 2)
    return network

def _images(seed, count):
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed))

def example_inputs():
    return (_images(0, 1),)

def evaluation_data():
    network = model().eval()
    for seed in (1, 2):
        images = _images(seed, 8)
        with torch.no_grad():
            yield (images,), network(images).argmax(1)

def calibration_data():
    return [((_images(seed, 8),), None) for seed in (3, 4)]

def metrics(outputs, targets):
    return {"top1_agreement": float((outputs.argmax(1) == targets).float().mean())}
"""

EXPERIMENT = """
name = "tiny"
workload = "workload.py"
deployment_target = "iOS18"

[space]
encodings = ["fp16", "lut8", "lut4", "lut2", "int8"]

[search]
solved_trials = 4
score_samples = 12

[budget]
trials = 14

[resources.data_free]
workers = 1
"""


class Project:
    """A folder with a workload, an experiment, and a place for runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.experiment = folder / "experiment.toml"
        self.root = folder / "runs"
        self.write()

    def write(self, experiment: str = EXPERIMENT, workload: str = WORKLOAD):
        (self.folder / "workload.py").write_text(textwrap.dedent(workload))
        self.experiment.write_text(experiment)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from palettune.search.command_line.cli import main; main()", *arguments]

    def run(self, command: str, *arguments: str, **options) -> subprocess.CompletedProcess:
        """The command line in a process of its own, as a user runs it."""
        words = [command, str(self.experiment), *arguments]
        if command != "inspect":
            words += ["--root", str(self.root)]
        return self.run_raw(*words, **options)

    def run_raw(self, *words: str, **options) -> subprocess.CompletedProcess:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, env=environment, timeout=300, check=False, **options
        )


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command line in this process: the exit code, and what is printed."""

    def run(*words):
        from palettune.search.command_line.cli import main

        monkeypatch.setattr(sys, "argv", ["palettune", *map(str, words)])
        with pytest.raises(SystemExit) as ending:
            main()
        captured = capsys.readouterr()
        return ending.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def unused(tmp_path_factory):
    """A prepared experiment of two layers, grouped, beside one that no output needs and one that is computed with."""
    from tests.search.odd_weights import UNUSED, prepared

    space = 'keep = ["pooler*"]\ngroups = [["a", "b"], ["pooler", "cosine"]]'
    return prepared(tmp_path_factory.mktemp("unused"), UNUSED, space)


@pytest.fixture(scope="session")
def cluster():
    """One Ray cluster for all in-process searches."""
    from palettune.search.workers.ray_evaluations import connect_to_ray

    connect_to_ray(None)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A real MLflow server; who kills it starts it again."""
    from tests.search.mlflow_server import Server

    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A prepared experiment of two layers, and its run folder."""
    from tests.search.small_experiment import small_preparation

    return small_preparation(tmp_path_factory.mktemp("small"))
