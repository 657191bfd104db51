"""Placement of models on a device. Data are moved to the model's device, and results are moved back to the CPU."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.outputs import OutputError, map_tensors
from palettune.space.errors import UserError

__all__ = ["CPU", "WorkerDeviceError", "copied", "device_of", "moved", "on", "placed", "worker_device"]

CPU = torch.device("cpu")
# what torch moves itself, the list in which a recurrent module holds its parameters once more among it
_OWN = frozenset(vars(nn.Module())) | {name for name in vars(nn.RNN(1, 1)) if name.startswith("_")}


class WorkerDeviceError(UserError):
    """Error for a worker that is given a GPU where torch finds none."""


def worker_device(gpus: float) -> torch.device:
    """Return the device of a worker: a CUDA GPU for any share of a GPU above 0, otherwise the CPU.

    For a GPU this also turns TF32 off for convolutions in the whole process: TF32, torch's default for them, has 10 bits
    of mantissa, too few for the differences that a search has to tell apart.

    Args:
        gpus: the share of a GPU that the worker is given.

    Raises:
        WorkerDeviceError: a share of a GPU was given, and torch finds none.
    """
    if not gpus:
        return CPU
    if not torch.cuda.is_available():
        raise WorkerDeviceError(
            f"resources: a worker was given gpus = {gpus:g}, and torch {torch.__version__} sees no CUDA GPU there; install "
            "a CUDA build of torch and its driver on that machine, or set gpus = 0"
        )
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's first parameter or buffer; the CPU for a module that has none."""
    first = next(itertools.chain(module.parameters(), module.buffers()), None)
    return CPU if first is None else first.device


def on(values: Any, device: torch.device) -> Any:
    """Move tensors, in any nested structure, to a device; the same object is returned if they are all there already."""
    return map_tensors(lambda value: value.to(device), values)


def moved(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model from the CPU to a device in place, with the tensors that are plain attributes of its modules."""
    if device == CPU:  # where every loaded model is
        return model
    model.to(device)
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if name not in _OWN and isinstance(value, (Tensor, list, tuple, dict)):
                try:
                    vars(module)[name] = on(value, device)
                except OutputError:  # a type that cannot be built again stays as it is
                    continue
    return model


def copied(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy of a model on a device."""
    return moved(copy.deepcopy(model), device)


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model itself for the CPU, where every loaded model is; for another device a copy of the model on it."""
    return model if device == CPU else copied(model, device)
