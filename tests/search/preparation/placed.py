"""An experiment on a model that adds a table of positions."""

import torch
from torch import Tensor, nn

from palettune.search.experiment.experiment import Experiment


class Placed(nn.Module):
    """Adds positions, then mixes channels."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, 32, 64))
        self.dense = nn.Linear(64, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x + self.positions)


class Workload:
    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Placed()

    def example_inputs(self) -> tuple[Tensor, ...]:
        return (torch.ones(1, 32, 64),)

    def evaluation_data(self):
        torch.manual_seed(1)
        return [((torch.randn(4, 32, 64),), None)]


def placed(trials: int = 4, **space) -> Experiment:
    """The experiment; ``space`` as in its file."""
    space = {"encodings": ("fp16", "lut8", "lut4"), **space}
    return Experiment(name="placed", workload=Workload(), space=space, budget={"trials": trials})
