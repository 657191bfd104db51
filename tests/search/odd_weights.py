"""Networks with weights that are no layer's (unused, computed with, or of other kinds), and one without, prepared and exported."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.results.packages.export import Exported, export
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
        self.cosine = nn.Linear(16, 6, bias=False)

    def forward(self, x):
        x = self.b(torch.relu(self.a(x)))
        return x + self.cosine.weight
"""

MODULATED = """
    def __init__(self):
        super().__init__()
        self.style = nn.Linear(32, 24)
        self.kernel = nn.Parameter(torch.randn(24, 24, 3))

    def forward(self, x):
        style = self.style(x).mean(1)
        return F.conv1d(self.style(x).transpose(1, 2), self.kernel * style.reshape(1, 24, 1))
"""

GRUS = """
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(32, 16, batch_first=True)

    def forward(self, x):
        return self.gru(x)[0]
"""

NO_WEIGHT = """
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(6, 32))

    def forward(self, x):
        return x * self.scale
"""

PLAIN = """
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(6, 21, 3, bias=False), nn.Conv1d(21, 7, 3, bias=False)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))
"""


def prepared(folder: Path, network: str, space: str = "", *, head: str = _HEAD, target: str = "iOS18") -> Preparation:
    """A workload of one network, or of what is written without the common head, prepared."""
    folder.mkdir(exist_ok=True)
    (folder / "workload.py").write_text(head + network)
    (folder / "experiment.toml").write_text(
        f'name = "case"\nworkload = "workload.py"\ndeployment_target = "{target}"\n'
        f'[space]\nencodings = ["fp16", "lut4", "int8", "uint8-asym"]\n{space}\n[budget]\ntrials = 4\n'
    )
    return prepare(load_experiment(folder / "experiment.toml"))


def exported_of(preparation: Preparation, folder: Path, **encodings: str) -> Exported:
    """A configuration, fp16 where nothing else is said, exported without an evaluation."""
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
