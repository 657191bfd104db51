"""Outputs that are one tensor, an input or a constant keep their own names."""

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.runtime import load


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = x * self.scale
        return {"first": y, "second": y, "input": x, "constant": self.scale}


def test_each_output_has_its_own_variable_and_value(tmp_path):
    x = torch.tensor([[1.0, -4.0]])
    convert(Doubled(), (x,), "iOS17").save(str(tmp_path / "net.mlpackage"))
    found = load(tmp_path / "net.mlpackage").run({"x": x})
    assert list(found) == ["first", "second", "input", "constant"]
    assert found["first"].tolist() == found["second"].tolist() == [[2, -12]]
    assert found["input"].tolist() == [[1, -4]]
    assert found["constant"].tolist() == [2, 3]
