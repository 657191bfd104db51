"""Small models whose samples lie along other axes than the first, or along none, as workload files."""

HEAD = """
import torch
from torch import nn

def _items(seed, count=12):
    generator = torch.Generator().manual_seed(seed)
    return [(inputs(generator), None) for _ in range(count)]

def model():
    torch.manual_seed(0)
    return Network()

def example_inputs():
    return _items(1)[0][0]

def evaluation_data():
    return _items(2)

def calibration_data():
    return _items(3)

def randn(generator, *shape):
    return torch.randn(*shape, generator=generator)
"""

FIRST = """
class Network(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))

def inputs(generator):
    return (randn(generator, BATCH, 3, 6, 6),)
"""

RECURRENT_TIME_FIRST = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside, self.cell, self.outside = nn.Linear(4, 8), nn.GRU(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.outside(self.cell(torch.relu(self.inside(x)))[0])

def inputs(generator):
    return (randn(generator, 7, BATCH, 4),)
"""

TRANSFORMER_TIME_FIRST = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.block(x))

def inputs(generator):
    return (randn(generator, 6, BATCH, 8),)
"""

HIDDEN_OUT = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside, self.cell, self.outside = nn.Linear(4, 8), nn.GRU(8, 8), nn.Linear(8, 3)

    def forward(self, x, hidden):
        steps, last = self.cell(self.inside(x), hidden)
        return self.outside(steps[-1]), last

def inputs(generator):
    return randn(generator, 7, BATCH, 4), randn(generator, 1, BATCH, 8)
"""

PAIR = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.bias = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(2, 6)

    def forward(self, x, mask, style):  # (batch, time, features), (time, time), (time, batch, features)
        scores = self.body(x) @ x.transpose(1, 2) + mask
        return self.head(scores.softmax(-1) @ x + self.bias(style.transpose(0, 1)))

def inputs(generator):
    return randn(generator, BATCH, 5, 6), torch.triu(torch.full((5, 5), -1e4), 1), randn(generator, 5, BATCH, 2)
"""

ONE_SAMPLE = """
class Network(nn.Module):  # a vision transformer as it is written for one image
    def __init__(self):
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 2, stride=2), nn.LayerNorm(8)
        self.mix, self.head = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        tokens = self.norm(self.patches(x).reshape(1, 8, 9).transpose(1, 2))
        scores = (self.mix(tokens) @ tokens.transpose(1, 2)).softmax(-1)
        return self.head((scores @ tokens).mean(1))

def inputs(generator):
    return (randn(generator, 1, 3, 6, 6),)
"""

NO_BATCH = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

    def forward(self, x):
        return self.last(torch.relu(self.body(x)))

def inputs(generator):
    return (randn(generator, 3, 8, 8),)
"""

NO_BATCH_STEPS = """
class Network(nn.Module):  # attention over the rows of a matrix
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head((self.body(x) @ x.T).softmax(-1) @ x)

def inputs(generator):
    return (randn(generator, 5, 6),)
"""

CONTRAST = """
class Network(nn.Module):  # every sample beside every other one
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 8), nn.Linear(4, 8)

    def forward(self, x, y):
        return torch.log_softmax((self.left(x) @ self.right(y).T).flatten(), 0).reshape(len(x), len(y))

def inputs(generator):
    return randn(generator, 3, 6), randn(generator, 3, 4)
"""

SHARED_OUTPUT = """
class Network(nn.Module):  # a table that all samples share goes out beside what each one gives
    def __init__(self):
        super().__init__()
        self.body, self.table = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.body(x), self.table.weight * 2

def inputs(generator):
    return (randn(generator, BATCH, 6),)
"""


def case(text, batch=1):
    """The file's text, with so many samples in each item."""
    return f"BATCH = {batch}\n" + HEAD + text
