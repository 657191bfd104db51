"""Combinations that have no spelling, because coremltools does not convert them; its converter is asked here."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.benchmarks.random_layers import layer_of, package
from palettune.device_bench.conversion.conversion import ConversionError
from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.compression import compress
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget

#: Of the table's rank, as coremltools' palettizer leaves them, and of the weight's.
SHAPES = ((1, 1, 1, 1), (1, 1))


def scales(shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {"quantization_n_bits": torch.tensor(8), "quantization_scale": torch.full(shape, 2.0**-9)}


def compressed(module: nn.Module, spelling: str, **more: torch.Tensor) -> CompressedWeight:
    made = compress(module.weight, layer_of(module), Encoding.parse(spelling))
    return CompressedWeight(made.weight, {**made.buffers, **more})


def chain(module: nn.Module, made: CompressedWeight) -> list[str]:
    (weight,) = package([module], [made], DeploymentTarget.IOS18).weights
    return [op.removeprefix("constexpr_") for op in weight.chain]


def test_vectors_with_8_bit_entries() -> None:
    module = nn.Linear(32, 32)
    made = compressed(module, "lut2-v2", **scales(SHAPES[0]), compression_type=torch.tensor([2, 3]))
    with pytest.raises(ConversionError, match="vector_axis"):
        chain(module, made)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("spelling", "kinds"), [("lut4-scaled", [2, 3]), ("sparse50+lut4", [1, 2, 3])])
def test_scales_or_zeros_with_8_bit_entries(spelling: str, kinds: list[int], shape: tuple[int, ...]) -> None:
    module = nn.Linear(32, 32)
    made = compressed(module, spelling, **scales(shape), compression_type=torch.tensor(kinds))
    with pytest.raises(
        ValueError, match=r"same rank|Unsupported joint|cannot assign 1024 input values to the 512"
    ):  # or damaged
        chain(module, made)


def test_zeros_with_vectors() -> None:
    module = nn.Linear(32, 32)
    module.weight.data[::2] = 0
    vectors = compressed(module, "lut2-v2in")
    made = CompressedWeight(vectors.weight, {**vectors.buffers, "compression_type": torch.tensor([1, 2])})
    with pytest.raises(ConversionError):
        chain(module, made)
