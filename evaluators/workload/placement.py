"""Placement: the device that a model is run on. Data follow the model there, and results come back to the CPU."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.outputs import OutputError, mapped
from palettune.space.errors import UserError

__all__ = ["CPU", "DeviceError", "copied", "device_of", "moved", "on", "placed", "worker_device"]

CPU = torch.device("cpu")
_OWN = frozenset(vars(nn.Module()))


class DeviceError(UserError):
    """A device that was asked for is not there."""


def worker_device(gpus: float) -> torch.device:
    """The device of a worker that was given so many GPUs: a CUDA GPU for any share of one, else the CPU.

    On a GPU, convolutions compute in float32 from then on, in the whole process: torch's default there is TF32, whose
    10 bits of mantissa are fewer than the differences that a search has to tell apart.

    Raises:
        DeviceError: a share of a GPU was given, and torch sees none.
    """
    if not gpus:
        return CPU
    if not torch.cuda.is_available():
        raise DeviceError(
            f"resources: a worker was given gpus = {gpus:g}, and torch {torch.__version__} sees no CUDA GPU there; install "
            "a CUDA build of torch and its driver on that machine, or set gpus = 0"
        )
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def device_of(module: nn.Module) -> torch.device:
    """Where a module's first parameter or buffer is; the CPU where it has none."""
    first = next(itertools.chain(module.parameters(), module.buffers()), None)
    return CPU if first is None else first.device


def on(values: Any, device: torch.device) -> Any:
    """Tensors, however nested, on a device; the same object where they are there already."""
    return mapped(lambda value: value.to(device), values)


def moved(model: nn.Module, device: torch.device) -> nn.Module:
    """A model taken from the CPU to a device in place, with the tensors that are plain attributes of its modules."""
    if device == CPU:  # where every loaded model is
        return model
    model.to(device)
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if name not in _OWN and isinstance(value, (Tensor, list, tuple, dict)):
                try:
                    vars(module)[name] = on(value, device)
                except OutputError:  # a type that cannot be made again stays as it is
                    continue
    return model


def copied(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy of a model, on a device."""
    return moved(copy.deepcopy(model), device)


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model itself on the CPU, where every loaded model is; a copy of it on another device."""
    return model if device == CPU else copied(model, device)
