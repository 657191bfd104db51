"""A converted module executed by the reference runtime, beside the module itself."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import converted
from palettune.device_bench.runtime import compare, load
from palettune.space.target import DeploymentTarget


class Function(nn.Module):
    """A module of one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *x: Tensor):
        return self.function(*x)


def check(module, inputs: tuple[Tensor, ...], folder: Path, *, least_db: float = 50, target="iOS18") -> dict[str, str]:
    """Convert by torch.export, compare on the inputs and on others, and return the kinds of the program's ops by name."""
    module = module if isinstance(module, nn.Module) else Function(module)
    made = converted(module.eval(), inputs, DeploymentTarget(target))
    assert made.front_end.name == "torch.export", made.front_end.refusal
    path = folder / "twin.mlpackage"
    made.model.save(str(path))
    others = tuple(torch.randn_like(x) if x.is_floating_point() else x.flip(0) for x in inputs)
    comparison = compare(path, module, [inputs, others])
    assert comparison.snr_db > least_db, str(comparison)
    return load(path).op_types
