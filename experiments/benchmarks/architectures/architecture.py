"""One architecture of the benchmark: how it is built, with random weights, and what it is called with."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from experiments.benchmarks.architectures.packages import make_importable

Built = tuple[nn.Module, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Architecture:
    """An architecture in a small configuration.

    Attributes:
        name: of the architecture, of the function that builds it, and of its result.
        families: what it is; the first is the one it stands under in the table.
        module: of this folder, with the function that makes the float module and its example inputs, batch 1.
    """

    name: str
    families: tuple[str, ...]
    module: str

    @property
    def package(self) -> str:
        """The public package that it is from."""
        return self.module.partition("_")[0]

    def built(self) -> Built:
        """The module in evaluation mode and its inputs, the same ones each time."""
        make_importable()
        build = getattr(importlib.import_module(f"experiments.benchmarks.architectures.{self.module}"), self.name)
        torch.manual_seed(0)
        module, inputs = build()
        for parameter in module.parameters():
            if parameter.ndim > 1 and not parameter.any():  # heads that training begins from zeros: nothing to compare
                nn.init.normal_(parameter, std=0.02)
        return module.eval().requires_grad_(False), inputs


class Called(nn.Module):
    """A model that is called with keyword arguments, of which some outputs are returned by name."""

    def __init__(self, model: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...], **fixed: Any) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs, self.fixed = model, inputs, outputs, fixed

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        found = self.model(**dict(zip(self.inputs, inputs, strict=True)), **self.fixed)
        return {name: found[name] for name in self.outputs}


def image(*size: int) -> tuple[Tensor]:
    """A random image of (1, 3, height, width)."""
    height, width = size if len(size) == 2 else size * 2
    return (torch.rand(1, 3, height, width),)


def tokens(count: int, vocabulary: int = 200) -> tuple[Tensor]:
    """Random token numbers of (1, count)."""
    return (torch.randint(3, vocabulary, (1, count)),)
