"""What a training can train: failures and values that are not finite are told with their place."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from palettune.evaluators.fine_tuning.trainee import ModelError, Trainee
from palettune.evaluators.workload.sample_axes import FIRST
from palettune.evaluators.workload.workload import Batch


class Plain(Trainee):
    """A module trained as it is."""

    def __init__(self, module):
        self.module, self.device = module, torch.device("cpu")

    def parameters(self):
        return {}

    def outputs(self, inputs):
        return self.module(*inputs)

    def tensors(self):
        return {}

    def restore(self, tensors):
        pass


def test_a_model_that_fails_on_a_batch_is_told_with_the_reason():
    trainee = Plain(nn.Linear(3, 2))
    loss = SimpleNamespace(axes=FIRST, by_sample=lambda outputs, batch: [0.0])
    for run in (
        lambda: trainee((torch.zeros(1, 4),)),
        lambda: trainee.by_sample(loss, [Batch((torch.zeros(1, 4),), None)]),
    ):
        with pytest.raises(ModelError, match="fails on training data: RuntimeError: mat1 and mat2"):
            run()


def test_values_by_sample_are_taken_without_gradients_and_in_order():
    trainee = Plain(nn.Identity())
    batches = [Batch((torch.tensor([[1.0], [2.0]]),), None), Batch((torch.tensor([[3.0]]),), None)]
    loss = SimpleNamespace(
        axes=FIRST, by_sample=lambda outputs, batch: [float(v) for v in outputs] + [torch.is_grad_enabled()]
    )
    assert trainee.by_sample(loss, batches) == [1.0, 2.0, False, 3.0, False]


def test_the_first_submodule_that_is_not_finite_is_named():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight.data.fill_(float("nan"))
    assert Plain(module).first_non_finite(Batch((torch.ones(1, 2),), None)) == "1"
