"""Tasks of single layers: the statistics are those of the inputs that errors are measured on."""

import pytest
import torch

from palettune.space.encoding import Encoding
from palettune.testing.layer_tasks import LAYERS, task_of


@pytest.mark.parametrize("kind", LAYERS)
def test_a_task_is_the_same_each_time_and_its_start_errs(kind):
    torch.manual_seed(0)
    module = LAYERS[kind]()
    first, second = (task_of(module, Encoding.parse("int4")) for _ in range(2))
    assert torch.equal(first.statistics.gram, second.statistics.gram)
    assert first.importance("0").shape == module.weight.shape
    assert min(first.statistics.errors(first.start.weight - first.weight, first.layer)) > 0
    assert sum(first.statistics.errors(torch.zeros_like(first.weight), first.layer)) == 0
