"""Small models that carry state from one input to the next, as workload files, and one that only seems to."""

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.data_options import DataOptions
from palettune.evaluators.workload.workload import load_workload

HEAD = """
import torch
from torch import nn

WIDTH = 8

def _items(seed, count=12):
    generator = torch.Generator().manual_seed(seed)
    return [((torch.randn(SHAPE, generator=generator),), None) for _ in range(count)]

SHAPE = (1, WIDTH)

def model():
    torch.manual_seed(0)
    return Network()

def example_inputs():
    return _items(1)[0][0]

def evaluation_data():
    return _items(2)

def calibration_data():
    return _items(3)
"""

# one buffer for all layers, written in slices between reads: the vendor's own pattern for language models
CACHE = """
class Network(nn.Module):
    def __init__(self, layers=2, length=4):
        super().__init__()
        self.keys = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(layers))
        self.values = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(layers))
        self.head = nn.Linear(WIDTH, 5)
        self.register_buffer("k_cache", torch.zeros(layers, 1, length, WIDTH))
        self.register_buffer("v_cache", torch.zeros(layers, 1, length, WIDTH))

    def forward(self, x):
        for index, (key, value) in enumerate(zip(self.keys, self.values)):
            for cache, new in ((self.k_cache, key(x)), (self.v_cache, value(x))):
                cache[index] = torch.cat([cache[index][:, 1:], new[:, None]], 1)
            scores = (x[:, None] @ self.k_cache[index].transpose(1, 2)).softmax(-1)
            x = x + (scores @ self.v_cache[index])[:, 0]
        return self.head(x)
"""

HIDDEN = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.Linear(2 * WIDTH, 2 * WIDTH), nn.Linear(WIDTH, 5)
        self.hidden = torch.zeros(1, WIDTH)

    def forward(self, x):
        gate, new = self.cell(torch.cat([x, self.hidden], 1)).chunk(2, 1)
        self.hidden = self.hidden + gate.sigmoid() * (new.tanh() - self.hidden)
        return self.head(self.hidden)
"""

COUNTER = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)
        self.position = 0

    def forward(self, x):
        self.position += 1
        return self.head(torch.relu(self.body(x)) + 0.1 * self.position)
"""

AVERAGE = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)
        self.register_buffer("scale", torch.ones(WIDTH))

    def forward(self, x):
        x = self.body(x)
        self.scale = 0.8 * self.scale + 0.2 * x.abs().mean(0)
        return self.head(x / self.scale)
"""

STREAM = """
SHAPE = (1, 3, 4)

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv1d(3, WIDTH, 3), nn.Conv1d(WIDTH, 5, 2)
        self.register_buffer("before_first", torch.zeros(1, 3, 2))
        self.register_buffer("before_head", torch.zeros(1, WIDTH, 1))

    def forward(self, x):
        x = torch.cat([self.before_first, x], 2)
        self.before_first.copy_(x[..., -2:])
        x = torch.cat([self.before_head, torch.relu(self.first(x))], 2)
        self.before_head.copy_(x[..., -1:])
        return self.head(x)
"""

TWO_KINDS = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)
        self.register_buffer("ring", torch.zeros(1, 3, WIDTH))
        self.register_buffer("at", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        x = self.body(x)
        self.ring[:, int(self.at)] = x
        self.at.add_(1).remainder_(3)
        return self.head(self.ring.mean(1))
"""

LIST = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)
        self.past = []

    def forward(self, x):
        self.past.append(torch.relu(self.body(x)))
        return self.head(torch.stack(self.past).mean(0))
"""

OBJECT = """
class Memory:
    def __init__(self):
        self.last, self.count = None, 0

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)
        self.memory = Memory()

    def forward(self, x):
        x = self.body(x) if self.memory.last is None else self.body(x) + self.memory.last
        self.memory.last, self.memory.count = x, self.memory.count + 1
        return self.head(torch.relu(x))
"""

# maps to be looked at, a count of calls, a table made at the first call, normalization: nothing that outputs depend on
SEEMING = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, 5)
        self.calls, self.table = 0, None
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        if self.table is None:
            self.table = torch.linspace(1, 2, WIDTH)
        self.calls += 1
        self.seen += 1
        x = self.norm(self.body(x)) * self.table
        self.attention_map = x.softmax(-1)
        return self.head(x)
"""

STATEFUL = {
    "cache": (CACHE, {"k_cache", "v_cache"}),
    "hidden": (HIDDEN, {"hidden"}),
    "counter": (COUNTER, {"position"}),
    "average": (AVERAGE, {"scale"}),
    "stream": (STREAM, {"before_first", "before_head"}),
    "two_kinds": (TWO_KINDS, {"ring", "at"}),
    "list": (LIST, {"past"}),
    "object": (OBJECT, {"memory"}),
}
GRADIENTS = ("cache", "hidden", "average", "stream", "list", "object")


def stateful_workload(folder, text, **options):
    """A workload of one of the models above."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "workload.py"
    path.write_text(HEAD + text)
    return load_workload(path, DataOptions(**options))


def stateful_setting(folder, text, **options):
    """A workflow's setting on one of them."""
    workload = stateful_workload(folder, text, **options)
    weights = LayerWeights(workload.model, layers_of(workload.model), WeightBank(folder / "bank"))
    return WorkflowSetting(workload, weights, DivergenceKind.SQUARED_ERROR)


def fresh(text):
    """The model as the file makes it, apart from any workload."""
    names = {}
    exec(HEAD + text, names)
    return names["model"]().eval().requires_grad_(False)
