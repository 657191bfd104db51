"""What outputs in fp16 are judged by."""

import pytest
import torch

from palettune.device_bench.runtime import check_precision
from tests.device_bench.runtime.support import packages
from tests.device_bench.runtime.support.precision_networks import LOW, _choice, checked


@pytest.mark.slow
def test_an_output_of_integers_is_judged_by_the_floats_behind_it():
    torch.manual_seed(0)
    overflow = checked(_choice(lambda x: (x + 5) * 1e5))
    assert overflow.failed
    assert overflow.cause.overflow
    masked = checked(_choice(lambda x: x.masked_fill(x < 0, LOW)))
    assert not masked.failed, str(masked)
    assert masked.cause is None


def test_a_state_is_judged_as_an_output_is(tmp_path):
    path = packages.counter(tmp_path / "counter.mlpackage")
    assert not check_precision(path, [(torch.tensor([1.0, 2.0]),)]).failed
    check = check_precision(path, [(torch.tensor([4e4, 2.0]),)])
    assert check.failed
    (output,) = [output for output in check.outputs if output.non_finite]
    assert output.name == "twice"
    assert check.cause.module is None
