"""fp16 beside float32: what cannot be held is found and named, what can be is let through."""

import pytest
import torch
from torch import nn

from palettune.device_bench.runtime import ProgramError, check_precision
from tests.device_bench.runtime.support import packages
from tests.device_bench.runtime.support.precision_networks import (
    LOW,
    Attention,
    Function,
    Network,
    Scaled,
    _attention,
    causal,
    checked,
    filled,
    filled_everywhere,
    inputs,
    masked_twice,
)
from tests.device_bench.runtime.support.random_networks import RandomNetwork, checked_random

FINE = {
    "near the end": lambda: Network(Scaled(nn.Linear(32, 32), 5e4, nn.LayerNorm(32))),
    "a mask of -inf": lambda: Network(Attention(filled(-torch.inf))),
    "a mask of finfo.min": lambda: Network(Attention(filled(LOW))),
    "a causal mask of -inf": lambda: Network(
        Attention(lambda scores, _: scores.masked_fill(causal(1) > 0, -torch.inf))
    ),
    "a causal mask of finfo.min": lambda: Network(Attention(lambda scores, _: scores + causal(LOW))),
    "two masks of -1e4": lambda: Network(Attention(masked_twice(-1e4, False))),
    "an unused constant": lambda: Network(Function(lambda x: x + 0 * torch.tensor(1.0) * (torch.tensor(3e38) > 1))),
    "a clamp at infinity": lambda: Network(Function(lambda x: x.clamp(-3e38, 3e38))),
}


@pytest.mark.slow
@pytest.mark.matrix(4)
@pytest.mark.parametrize("network", FINE)
def test_what_fp16_holds_is_let_through(network):
    check = checked(FINE[network])
    assert not check.failed, str(check)
    assert not check.warned, str(check)
    assert check.cause is None
    assert check.non_finite == 0
    assert 0 < check.loss < 1e-4


def test_the_network_near_the_end_is_near_it():
    network = FINE["near the end"]()
    largest = 0.0

    def note(_module, _inputs, output):
        nonlocal largest
        largest = max(largest, float(output.abs().max()))

    network.body["fault"].layer.register_forward_hook(note)
    for seed in range(3):
        network(*inputs(seed, rows=2))
    assert 3e4 < largest < 65504


def test_what_is_not_finite_in_float32_either_is_no_matter_of_precision():
    check = checked(_attention(filled_everywhere))
    assert torch.isnan(Network(Attention(filled_everywhere))(*inputs())).all()
    assert not check.failed
    assert check.cause is None


def test_no_samples_are_refused(tmp_path):
    path = packages.dense(tmp_path / "dense.mlpackage")
    with pytest.raises(ProgramError, match="no samples"):
        check_precision(path, [])
    with pytest.raises(ProgramError, match="takes 1 inputs"):
        check_precision(path, [(torch.zeros(1, 8), torch.zeros(1))])


@pytest.mark.slow
@pytest.mark.matrix(2)
@pytest.mark.parametrize("seed", range(6))
def test_a_sound_network_is_let_through(seed, tmp_path):
    check = checked_random(RandomNetwork(seed, planted=False).eval(), tmp_path)
    assert not check.failed, str(check)
    assert not check.warned, str(check)
