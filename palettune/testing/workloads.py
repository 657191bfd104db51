"""Small workloads for tests of workflows: four networks, each with every function that a workflow may need."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from pathlib import Path

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence import detect_kind
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.normalizations import with_normalizations
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.workload import Split, Workload, load_workload
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

__all__ = ["NETWORKS", "parse_configuration", "setting_of", "write_workload"]

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F

def _data(seed, count, batch=8):
    network = model().eval()
    for index in range(count):
        inputs = example(torch.Generator().manual_seed(1000 * seed + index), batch)
        with torch.no_grad():
            yield inputs, targets_of(network(*inputs))

def example_inputs():
    return example(torch.Generator().manual_seed(0), 1)

def evaluation_data():
    return _data(1, 2)

def calibration_data():
    return _data(2, 4)

def confirmation_data():
    return _data(3, 2)

def training_data():
    return _data(4, 4)

def loss(outputs, targets):
    classes = outputs.ndim == 2 and not targets.is_floating_point()
    return F.cross_entropy(outputs, targets) if classes else F.mse_loss(outputs, targets)

def targets_of(outputs):
    return outputs.argmax(1)
"""

CONVOLUTIONS = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.norm2 = nn.BatchNorm2d(16)
        self.project = nn.Conv2d(16, 32, 1)
        self.classes = nn.Linear(32, 10)

    def forward(self, pixels):
        x = F.relu6(self.norm(self.stem(pixels)))
        x = F.relu6(self.norm2(self.depthwise(x)))
        return self.classes(F.relu(self.project(x)).mean((2, 3)))

def model():
    torch.manual_seed(0)
    network = Network()
    for norm in (network.norm, network.norm2):
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.3, 2)
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(0.3, 0.3)
    network.classes.weight.data *= 8
    return network

def example(generator, batch):
    return (torch.randn(batch, 3, 10, 10, generator=generator) + 0.3,)
"""

TRANSFORMER = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(50, 32)
        self.query, self.key, self.value, self.out = (nn.Linear(32, 32, bias=i > 0) for i in range(4))
        self.norm, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, words):
        x = self.tokens(words)
        attention = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2) / 32 ** 0.5, -1)
        x = self.norm(x + self.out(attention @ self.value(x)))
        return self.norm2(x + self.down(F.gelu(self.up(x)))).mean(1)

def model():
    torch.manual_seed(0)
    return Network()

def example(generator, batch):
    return (torch.randint(0, 50, (batch, 12), generator=generator),)

def targets_of(outputs):
    return outputs
"""

RECURRENT = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(8, 24)
        self.cell = nn.GRU(24, 24, batch_first=True)
        self.outside = nn.Linear(24, 6)

    def forward(self, steps):
        hidden, _ = self.cell(torch.tanh(self.inside(steps)))
        return self.outside(hidden[:, -1])

def model():
    torch.manual_seed(0)
    network = Network()
    network.outside.weight.data *= 5
    return network

def example(generator, batch):
    return (torch.randn(batch, 9, 8, generator=generator),)
"""

AUDIO = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 16, 9, stride=2, padding=4)
        self.second = nn.Conv1d(16, 24, 5, stride=2)
        self.back = nn.ConvTranspose1d(24, 16, 4, stride=2)
        self.last = nn.Conv1d(16, 1, 3, bias=False)

    def forward(self, wave):
        return self.last(F.elu(self.back(F.elu(self.second(F.elu(self.first(wave)))))))

def model():
    torch.manual_seed(0)
    return Network()

def example(generator, batch):
    return (torch.randn(batch, 1, 64, generator=generator),)

def targets_of(outputs):
    return outputs
"""

NETWORKS = {"convolutions": CONVOLUTIONS, "transformer": TRANSFORMER, "recurrent": RECURRENT, "audio": AUDIO}


def write_workload(folder: Path, network: str, without: Collection[str] = ()) -> Workload:
    """Write a workload file of one network into ``folder`` and load it.

    Args:
        network: a key of ``NETWORKS``, or source text like theirs.
        without: functions that the file shall not define.
    """
    text = HEAD + textwrap.dedent(NETWORKS.get(network, network))
    text += "".join(f"\ndel {name}\n" for name in without)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "workload.py"
    path.write_text(text)
    return load_workload(path)


def setting_of(folder: Path, network: str = "convolutions", without: Collection[str] = ()) -> WorkflowSetting:
    """Return a workflow's setting on one of the small workloads; file and weight bank lie in ``folder``."""
    workload = write_workload(folder, network, without)
    outputs, targets = workload.check(), workload.batches(Split.EVALUATION)[0].targets
    run = lambda model: model(*workload.example_inputs)  # noqa: E731
    layers = with_normalizations(workload.model, layers_of(workload.model), run)
    weights = LayerWeights(workload.model, layers, WeightBank(folder / "bank"))
    return WorkflowSetting(workload, weights, detect_kind(outputs, targets))


def parse_configuration(setting: WorkflowSetting, spelling: str, **others: str) -> Configuration:
    """Return a configuration with every layer in one encoding but ``others``: layer name (``_`` for ``.``) = encoding."""
    names = {name: others.get(name.replace(".", "_"), spelling) for name in setting.weights.layers}
    return Configuration({name: Encoding.parse(encoding) for name, encoding in names.items()})
