"""Tables refitted to given indices."""

import torch
from torch import nn

from palettune.evaluators.calibration.compensated_tables import refitted
from palettune.evaluators.calibration.layer_statistics import as_matrices
from palettune.space.encoding import Encoding
from palettune.testing.layer_tasks import task_of


def test_refitted_tables_are_the_least_squares_ones():
    module = nn.Linear(12, 6)
    task = task_of(module, Encoding.parse("lut2"))
    weights = as_matrices(task.weight, task.layer)
    inputs = task.statistics.columns[0]
    indices = torch.randint(0, 4, weights.shape, generator=torch.Generator().manual_seed(1))
    found = refitted(weights, task.statistics.gram, indices, task.start.buffers["lut"], task.layer).flatten()
    design = torch.stack([(indices == entry).float() @ inputs for entry in range(4)], -1)  # (1, R, P, E)
    target = (weights @ inputs).flatten()
    expected = torch.linalg.lstsq(design.reshape(-1, 4), target[:, None]).solution.flatten()
    assert torch.allclose(found, expected, rtol=0.05, atol=0.01)
