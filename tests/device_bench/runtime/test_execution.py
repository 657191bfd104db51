"""A package in both precisions beside its module."""

import copy

import coremltools as ct
import pytest
import torch
from torch import nn

from palettune.device_bench.runtime import as_stored, execute, in_precisions
from palettune.device_bench.runtime.execution import takes, within
from tests.device_bench.runtime.support.architectures import save_module

HALF = ct.precision.FLOAT16


class Scaled(nn.Module):
    """Two layers; between them the values are ``by`` times as large."""

    def __init__(self, by, offset=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.by, self.offset = nn.Linear(8, 16), nn.Linear(16, 4), by, offset

    def forward(self, x):
        y = torch.relu(self.first(x)) * self.by + self.offset
        return self.last((y - self.offset) / self.by)


def samples(count=3):
    return [(torch.randn(1, 8, generator=torch.Generator().manual_seed(seed)),) for seed in range(count)]


def run(module, folder, precision=HALF, others=None):
    path = save_module(module.eval(), samples(1)[0][0], folder / "net.mlpackage", precision=precision)
    return execute(path, as_stored(module), others or samples())


def test_a_right_package_passes_in_both_precisions(tmp_path):
    found = run(Scaled(2.0), tmp_path)
    assert found.passed
    assert found.failures == found.warnings == ()
    assert found.float32.snr_db > 100
    assert 50 < found.fp16.snr_db < 90
    assert found.fp16.samples == found.float32.samples == 3
    assert "in float32" in found.figures
    assert "in fp16" in found.figures


@pytest.mark.parametrize("by", [2e5, 6e4])
def test_an_overflow_that_only_fp16_has_fails_with_its_op(by, tmp_path):
    found = run(Scaled(by), tmp_path)
    assert found.float32.passed
    assert not found.finite
    assert not found.passed
    (words,) = found.failures
    assert "in fp16" in words
    assert "op 'mul' (mul) is the first whose output fp16 cannot hold" in words
    assert "65504" in words


def test_one_sample_of_many_that_overflows_is_enough(tmp_path):
    quiet = [(sample[0] / 100,) for sample in samples(15)]
    loud = [(50 * samples(1)[0][0],)]
    assert run(Scaled(3000.0), tmp_path, others=quiet).passed
    found = run(Scaled(3000.0), tmp_path, others=[*quiet[:7], *loud, *quiet[7:]])
    assert not found.passed
    assert found.float32.passed


def test_what_fp16_rounds_away_is_a_warning(tmp_path):
    found = run(Scaled(1.0, offset=1000.0), tmp_path)
    assert found.passed
    (words,) = found.warnings
    assert found.loss > 1e-3
    assert "computing in fp16 loses" in words


def test_a_program_of_float32_is_run_once(tmp_path):
    found = run(Scaled(1e6), tmp_path, ct.precision.FLOAT32)
    assert found.fp16 is None
    assert found.passed
    assert "computes in float32" in found.figures


def test_one_wrong_sample_is_not_hidden_by_many_right_ones(tmp_path):
    class Threshold(nn.Module):
        def forward(self, x):
            return x * 30 if x.max() < 1e-3 else x  # traced, only small inputs are wrong, and small they stay

    module, others = Threshold(), [(sample[0].abs() + 1,) for sample in samples(20)]
    path = save_module(module, samples(1)[0][0], tmp_path / "net.mlpackage", precision=HALF, traced=True)
    assert execute(path, module, others).passed
    found = execute(path, module, [*others[:9], (torch.full((1, 8), 9e-4),), *others[9:]])
    assert found.float32.snr_db > 40
    assert not found.passed
    assert "on one of 21 samples" in found.failures[0]


def test_samples_left_out_are_said(tmp_path):
    path = save_module(Scaled(2.0).eval(), samples(1)[0][0], tmp_path / "net.mlpackage", precision=HALF)
    found = execute(path, as_stored(Scaled(2.0).eval()), samples(), fitting=3, total=8)
    assert found.passed
    assert found.warnings == ("3 of 8 samples fit the package's shapes; the others were left out",)


SHAPES = {
    "range": (ct.Shape((1, ct.RangeDim(4, 12, 8))), {4: True, 12: True, 13: False}),
    "enumerated": (ct.EnumeratedShapes([(1, 8), (1, 16)], default=(1, 8)), {8: True, 16: True, 12: False}),
    "fixed": (ct.Shape((1, 8)), {8: True, 12: False}),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_which_shapes_a_package_takes(kind, tmp_path):
    shape, lengths = SHAPES[kind]
    module = nn.Sequential(nn.ReLU()).eval()
    options = {"inputs": [ct.TensorType(name="x", shape=shape)]}
    path = save_module(module, torch.zeros(1, 8), tmp_path / "net.mlpackage", precision=HALF, traced=True, **options)
    program = in_precisions(path).float32
    for length, taken in lengths.items():
        assert takes(program, (torch.zeros(1, length),)) is taken
        assert takes(program, (torch.zeros(3, length),)) is taken  # several samples
    assert not takes(program, (torch.zeros(1, 8), torch.zeros(1, 8)))
    assert not takes(program, (torch.zeros(8),))


def test_time_ends_the_samples_but_for_the_first_few():
    assert len(list(within(samples(10), 0.0))) == 4
    assert len(list(within(samples(10), 1e9))) == 10


def test_the_module_is_not_changed(tmp_path):
    module = Scaled(2.0).eval()
    before = copy.deepcopy(module.state_dict())
    run(module, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
