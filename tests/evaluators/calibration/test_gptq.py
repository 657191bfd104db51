"""The scales that GPTQ rounds to."""

import torch
from torch import nn

from palettune.evaluators.calibration.gptq import GPTQMethod, Grid
from palettune.space.encoding import Encoding
from palettune.testing.layer_tasks import task_of


def test_scales_are_given_block_after_block():
    grid = Grid(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[8.0, 7.0, 6.0]]), 4)
    assert grid.ready()
    assert (float(grid.scale), float(grid.zero_point), int(grid.max_q)) == (1, 8, 15)
    given = []
    for _ in range(3):
        grid.find_params(torch.zeros(1, 1), weight=True)
        given.append((float(grid.scale), float(grid.zero_point)))
    assert given == [(1, 8), (2, 7), (3, 6)]


def test_weights_stay_on_the_scales_of_the_data_free_weight_whatever_the_blocks():
    for spelling in ("int8", "int4-b8", "uint4-asym-b8", "int4-tensor"):
        task = task_of(nn.Linear(32, 24), Encoding.parse(spelling))
        found = GPTQMethod.find(task)
        assert torch.equal(found.buffers["quantization_scale"], task.start.buffers["quantization_scale"])
        scale = found.buffers["quantization_scale"]
        wide = scale.repeat_interleave(24 // scale.shape[0], 0).repeat_interleave(32 // scale.shape[1], 1)
        steps = found.weight / wide
        assert (steps - steps.round()).abs().max() < 0.1
        assert steps.abs().max() <= 2 ** int(found.buffers["quantization_n_bits"])
