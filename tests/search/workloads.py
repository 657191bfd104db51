"""Workloads of functions in memory: a linear layer and a few inputs."""

import torch
from torch import nn

from palettune.evaluators.workload.workload import Workload, load_workload
from palettune.evaluators.workload.workload_object import WorkloadObject


class Functions:
    """A workload whose evaluation data have inputs of two lengths."""

    def model(self):
        """Four inputs, two outputs."""
        torch.manual_seed(0)
        return nn.Linear(4, 2)

    def example_inputs(self):
        """One input of length 3."""
        return (torch.ones(1, 3, 4),)

    def evaluation_data(self):
        """Two inputs of length 3 and two of length 5."""
        return [((torch.ones(2, 3, 4),), None), ((torch.ones(2, 5, 4),), None)]


def workload_of(*more: str) -> Workload:
    """The workload, with further functions that give the evaluation data as well."""
    functions = Functions()
    for name in more:
        setattr(functions, name, functions.evaluation_data)
    return load_workload(WorkloadObject.of(functions))
