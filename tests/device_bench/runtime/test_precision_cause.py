"""The op to blame: found with its module, masks told apart."""

import pytest
import torch
from torch import nn

from tests.device_bench.runtime.support.precision_networks import (
    LOW,
    Convolution,
    Function,
    Scaled,
    _attention,
    _network,
    added,
    cancelled,
    checked,
    filled,
    handmade_norm,
    inputs,
    lost,
    masked_twice,
)
from tests.device_bench.runtime.support.random_networks import PLANTED, RandomNetwork, checked_random

FAULTS = {
    "linear": (lambda: Scaled(nn.Linear(32, 32), 3e5, nn.LayerNorm(32)), "linear", "body.fault.layer"),
    "conv": (lambda: Convolution(nn.Conv1d(1, 1, 3, padding=1), 2e6, nn.LayerNorm(32)), "conv", "body.fault.layer"),
    "squared norm": (
        lambda: Function(lambda x: x * 400 / ((x * 400) ** 2).sum(-1, keepdim=True).sqrt()),
        ("mul", "square", "pow", "reduce_sum", "reduce_l2_norm", "reduce_sum_square"),
        "body.fault",
    ),
    "exp": (
        lambda: Function(lambda x: (x * 30).exp() / (x * 30).exp().sum(-1, keepdim=True)),
        "exp",
        "body.fault",
    ),
    "variance": (lambda: Function(handmade_norm), ("pow", "square", "mul", "reduce_mean"), "body.fault"),
    "sum": (
        lambda: Function(lambda x: 300 * (300 * x / (x.abs() * 0 + 3e3).sum(-1, keepdim=True))),
        "reduce_sum",
        "body.fault",
    ),
    "product": (lambda: Function(lambda x: (x * 3e4) * (x.abs() + 9) / 1e5), "mul", "body.fault"),
    "division": (lambda: Function(lambda x: x / (x.abs() * 0 + 1e-6) * 1e-6), "real_div", "body.fault"),
}


@pytest.mark.matrix(6)
@pytest.mark.parametrize("traced", [False, True], ids=["exported", "traced"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_overflow_is_found_with_its_op_and_module(fault, traced):
    make, kind, module = FAULTS[fault]
    check = checked(_network(make), traced)
    assert check.failed
    assert not check.warned
    assert check.samples == 6
    assert check.cause.overflow
    assert not check.cause.mask
    assert check.cause.op_type in kind
    assert check.cause.module == module
    assert check.cause.largest > 65504
    assert "space.float32" in str(check)
    assert repr(module) in str(check)
    assert check.cause.op in str(check)


MASKS = {
    "product with zero": added(LOW),  # 0 * -inf
    "product with -1e9": lambda scores, present: scores + (2.0 - present) * -1e9,
    "sum of two": masked_twice(LOW / 2, True),
    "sum of two in half": masked_twice(-65504.0, True),
    "subtracted": lambda scores, present: scores - (2.0 - present) * 1e30,
    "filled": lambda scores, present: scores.masked_fill(present < 2, LOW),  # every position
}


@pytest.mark.matrix(3)
@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_beyond_fp16_is_told_apart_from_activations(mask):
    check = checked(_attention(MASKS[mask]))
    assert check.failed
    assert check.cause.mask
    assert "-1e4" in check.cause.mend
    assert "space.float32" not in str(check)
    assert check.cause.module in ("body.fault", "body.fault.mask")


def test_scores_that_overflow_beside_a_harmless_mask_are_no_fault_of_the_mask():
    check = checked(_attention(filled(LOW), 1e7))
    assert check.failed
    assert not check.cause.mask
    assert check.cause.op_type in ("mul", "matmul")


def test_a_mask_that_the_converter_makes_nan_of_is_found():
    """coremltools folds ``triu`` of minus infinity to zero times infinity, in float32 too."""
    check = checked(lost)
    assert torch.isfinite(lost()(*inputs())).all()
    assert check.failed
    assert check.cause.mask
    assert check.cause.module == "body.fault"
    assert "is NaN" in str(check)


def test_lost_precision_is_a_warning_that_names_the_op():
    check = checked(cancelled)
    assert check.warned
    assert not check.failed
    assert check.cause.op_type in ("add", "sub")
    assert not check.cause.overflow
    assert check.cause.module == "body.fault"
    assert "loses" in str(check)
    assert 'space.float32 = ["body.fault"]' in str(check)


@pytest.mark.matrix(2)
@pytest.mark.parametrize("seed", range(6))
def test_a_planted_fault_is_named(seed, tmp_path):
    module = RandomNetwork(seed, planted=True).eval()
    check = checked_random(module, tmp_path)
    kinds, where, mask = PLANTED[module.fault]
    assert check.failed, str(check)
    assert check.cause.module == f"blocks.{module.place}{where}", str(check)
    assert check.cause.op_type in kinds.split(), str(check)
    assert check.cause.mask is mask, str(check)
