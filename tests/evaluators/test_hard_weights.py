"""Weights that coremltools' algorithms stumble over, through a real package: the decoded values are still ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from experiments.benchmarks.random_layers import layer_of, package
from palettune.device_bench.proof.package_encoding import differences
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.compression.lut import palettize
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.target import DeploymentTarget

SPELLINGS = (
    *("lut1-scaled", "lut4-g8in", "lut3-v2", "lut2-v4in", "lut4-g8-int8", "uint8", "int8-tensor", "int4-asym-b8"),
    *("lut4", "lut4-g8", "lut2-scaled", "lut4-int8", "lut2-uint8", "int8", "int4-asym", "uint8-asym-b8", "int4-tensor"),
    *("sparse50", "sparse50+lut2", "sparse50+lut4-scaled", "sparse75+uint8-asym", "sparse50+int4-b8"),
)


def dead_channels(values: torch.Tensor) -> torch.Tensor:
    values[::3] = 0
    return values


def dead(*where: slice) -> Callable[[torch.Tensor], torch.Tensor]:
    """A way to set a part of a weight to zeros."""

    def zeroed(values: torch.Tensor) -> torch.Tensor:
        values[where] = 0
        return values

    return zeroed


def outlier(values: torch.Tensor) -> torch.Tensor:
    values[0, 0] = 500
    return values


HARD = {
    "dead channels": dead_channels,
    "dead inputs": dead(slice(None), slice(None, None, 3)),
    "a dead group": dead(slice(8, 16)),
    "a dead block": dead(slice(0, 4), slice(0, 8)),
    "one value": lambda values: values * 0 + 0.3,
    "one negative value": lambda values: values * 0 - 0.3,
    "channels of many sizes": lambda values: values * torch.logspace(-7, 4, 24)[:, None],
    "dead and tiny": lambda values: dead_channels(values * 1e-6),
    "dead but one": lambda values: torch.zeros_like(values).index_put(
        (torch.tensor(3), torch.tensor(4)), torch.tensor(1.5)
    ),
    "an outlier": outlier,
    "tiny": lambda values: values * 1e-5,
    "near 2^-10": lambda values: values.sign() * (2**-10 + values * 1e-5),
    "large": lambda values: values * 5e3,
    "three values": lambda values: values.sign() * (values.abs() > 0.5),
    "positive": lambda values: values.abs(),
}


@pytest.mark.slow
@pytest.mark.matrix(4)
@pytest.mark.parametrize("hard", HARD)
def test_package_holds_what_was_compressed(hard: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    modules = [nn.Linear(16, 24) for _ in SPELLINGS]
    for module in modules:
        module.weight.data.copy_(HARD[hard](torch.randn(24, 16)))
    encodings = [Encoding.parse(spelling) for spelling in SPELLINGS]
    made = [compress(module.weight, layer_of(module), e) for module, e in zip(modules, encodings, strict=True)]
    found = package(modules, made, DeploymentTarget.IOS18)
    for module, encoding, one, weight in zip(modules, encodings, made, found.weights, strict=True):
        assert list(differences(weight, layer_of(module), encoding)) == [], str(encoding)
        np.testing.assert_allclose(weight.value, one.weight.numpy(), rtol=2**-10, atol=2**-24, err_msg=str(encoding))
        predicted = layer_bytes(
            layer_of(module), encoding, DeploymentTarget.IOS18, nonzero=int(one.weight.count_nonzero())
        )
        offsets = one.buffers.get("zero_point")
        if (
            encoding.sparsity is None and offsets is not None and not offsets.any()
        ):  # the converter leaves out zero points that are all zero
            assert weight.bytes < predicted, str(encoding)
        else:
            assert weight.bytes == predicted, str(encoding)


@pytest.mark.parametrize(
    "spelling", ["lut4-scaled", "lut1-scaled", "int8", "int4-b4", "sparse50+lut4-scaled", "lut4-g1"]
)
@pytest.mark.parametrize("kind", ["linear", "conv", "transposed"])
def test_channels_of_zeros_stay_zeros_where_they_have_scales_or_tables_of_their_own(spelling: str, kind: str) -> None:
    made = {
        "linear": lambda: nn.Linear(16, 24),
        "conv": lambda: nn.Conv2d(16, 24, 3),
        "transposed": lambda: nn.ConvTranspose2d(16, 24, 3),
    }
    module = made[kind]()
    weight = module.weight.data.transpose(0, 1) if kind == "transposed" else module.weight.data
    weight[::3] = 0
    weight[1] = weight[1].abs() + 0.5  # no entry near zero is needed for what is left
    for importance in (None, torch.rand_like(module.weight) + 0.01):
        encoding, layer = Encoding.parse(spelling), layer_of(module)
        if importance is not None and (encoding.table is None or encoding.sparsity is not None):
            continue
        if importance is None:
            found = compress(module.weight, layer, encoding)
        else:
            found = palettize(Carrier(layer, encoding), module.weight.data, encoding.table, importance)
        decoded = found.weight.transpose(0, 1) if kind == "transposed" else found.weight
        assert not decoded[::3].any()
        assert decoded[1].any()


@pytest.mark.parametrize("spelling", ["lut6", "lut4-scaled", "int8", "lut8-int8", "int8-b8"])
@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 1e3])
def test_error_does_not_depend_on_the_size_of_the_weights(spelling: str, scale: float) -> None:
    torch.manual_seed(0)
    module = nn.Linear(64, 64)
    module.weight.data.copy_(torch.randn(64, 64) * scale)
    made = compress(module.weight, layer_of(module), Encoding.parse(spelling))
    error = (made.weight - module.weight).norm() / module.weight.norm()
    assert error < {"lut6": 0.03, "lut4-scaled": 0.11, "int8": 0.01, "lut8-int8": 0.02, "int8-b8": 0.01}[spelling]


@pytest.mark.slow
def test_a_weight_of_zeros_is_stored_as_asked() -> None:
    spellings = ("lut4", "lut4-g8", "lut4-scaled", "lut4-int8", "lut4-g8-int8", "lut2-uint8", "lut2-v2", "uint8")
    spellings += ("int8-asym", "uint8-asym-b8", "int4", "int4-b8", "int4-asym-b8", "int8", "int8-tensor", "int8-b8")
    modules = [nn.Linear(16, 24) for _ in spellings]
    for module in modules:
        module.weight.data.zero_()
    encodings = [Encoding.parse(spelling) for spelling in spellings]
    made = [compress(module.weight, layer_of(module), e) for module, e in zip(modules, encodings, strict=True)]
    found = package(modules, made, DeploymentTarget.IOS18)
    for module, encoding, weight in zip(modules, encodings, found.weights, strict=True):
        assert list(differences(weight, layer_of(module), encoding)) == [], str(encoding)
        assert not weight.value.any()


def test_a_weight_of_zeros_stays_one() -> None:
    module = nn.Conv2d(8, 8, 3)
    module.weight.data.zero_()
    for spelling in ("lut4", "lut4-g4", "lut4-scaled", "lut4-int8", "int8", "uint4-asym-b4", "int8-tensor"):
        made = compress(module.weight, layer_of(module), Encoding.parse(spelling))
        assert not made.weight.any(), spelling
