"""Requirements of a workflow, and the test of whether a workload meets them."""

from __future__ import annotations

import copy
from enum import StrEnum

import torch

from palettune.evaluators.sensitivity.gradients import NO_GRADIENT
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.workload import Split, Workload

__all__ = ["Requirement", "unmet"]


class Requirement(StrEnum):
    """A function that a workload has to define (by its name), or gradients of its model."""

    CALIBRATION_DATA = "calibration_data"
    TRAINING_DATA = "training_data"
    LOSS = "loss"
    GRADIENTS = "gradients"


def unmet(requirement: Requirement, workload: Workload) -> str | None:
    """Say what a workload lacks for a requirement, to be read after "needs"; ``None`` where it is met.

    For ``GRADIENTS`` the model runs forwards and backwards on the first evaluation batch, on a copy.
    """
    if requirement is not Requirement.GRADIENTS:
        return None if workload.offers(requirement.value) else f"the function {requirement.value}(); define it"
    reason = _why_no_gradients(workload)
    return None if reason is None else f"a model with gradients, and {reason}"


def _why_no_gradients(workload: Workload) -> str | None:
    """Why no output has a gradient with respect to any parameter, tried on one batch; ``None`` where one has."""
    model = copy.deepcopy(workload.model)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    try:
        with torch.enable_grad():
            outputs = floating_outputs(model(*workload.batches(Split.EVALUATION)[0].inputs))
            reached = [value.float().sum() for _, value in outputs if value.requires_grad]
            if not reached:
                return f"no gradient reaches any parameter: {NO_GRADIENT}"
            torch.stack(reached).sum().backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return f"torch refuses its gradients: {str(error).strip().splitlines()[0]}"
    return None
