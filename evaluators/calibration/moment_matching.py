"""Moment matching: restore each channel's mean and standard deviation to those of the float model.

Compression shifts and scales a layer's outputs. The weight and bias of each normalization, and elsewhere the layer's own
bias, correct this without an additional byte or operation. Matching the mean alone is bias correction (Nagel et al.,
"Data-free quantization through weight equalization and bias correction", 2019); mean and deviation together are batch
normalization tuning (Sun et al., "Hybrid 8-bit floating point training", 2019). Modules are corrected front to back in
one pass over all samples, so each one receives the outputs of the corrected modules before it. Estimates from few
samples are shrunk by their standard errors (``shrinkage``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from palettune.evaluators.calibration.channel_moments import (
    ChannelMoments,
    channel_axis,
    channel_moments,
    observed,
    record_moments,
)
from palettune.evaluators.calibration.shrinkage import shrunk
from palettune.evaluators.placement import device_of, on
from palettune.evaluators.quality.left_out import left_out
from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.halving import with_room
from palettune.evaluators.workload.samples import Inputs

__all__ = ["Correction", "MomentMatching", "correction"]

_LARGEST_SCALING = 4.0
_FEWEST = 8
_MOST_PASSES = 2048  # of samples that cannot be joined, for one configuration


@dataclass(frozen=True)
class Correction:
    """Correction of each channel: ``scale * value + shift``, both (C,)."""

    scale: Tensor
    shift: Tensor


def correction(wanted: ChannelMoments, found: ChannelMoments, *, scaling: bool, strength: float = 1.0) -> Correction:
    """Compute the correction of one module, shrunk by its estimation error.

    Means and mean squares are compared sample by sample, which removes the variation between samples from the estimated
    error. A channel that is constant in either model is not scaled.

    Args:
        scaling: whether the module has a weight per channel; if not, only the mean is matched.
        strength: share of the correction to apply, 0 to 1.
    """
    unit = wanted.deviation.clamp_min(1e-12)
    samples = len(wanted.means)
    scale = torch.ones_like(unit)
    if scaling:
        ratio = torch.log(wanted.deviation / found.deviation)
        parts = 0.5 * (wanted.squares / wanted.deviation.square() - found.squares / found.deviation.square())
        error = parts.std(0) / samples**0.5
        log_scale = strength * shrunk(ratio, torch.where(torch.isfinite(ratio), error, torch.inf))
        scale = log_scale.exp().clamp(1 / _LARGEST_SCALING, _LARGEST_SCALING)
    difference = (wanted.means - found.means) / unit
    error = difference.std(0) / samples**0.5
    mean_shift = strength * unit * shrunk(difference.mean(0), error)
    return Correction(scale, found.mean * (1 - scale) + mean_shift)


class MomentMatching:
    """Moment matching of compressed copies of one float model, on the same samples.

    Args:
        model: the float model.
        samples: inputs of one sample each, of equal shapes, or a course over them.
        most: largest number of samples, run as one batch if memory allows. Samples that cannot be joined take one pass
            for each module, and fewer of them are used.
        memory_bytes: bound on the largest single output of a module.
    """

    name = "moment_matching"

    def __init__(
        self,
        model: nn.Module,
        samples: Sequence[Inputs] | Course,
        most: int = 64,
        memory_bytes: int = 512 * 1024**2,
    ) -> None:
        modules = {name: module for name, module in model.named_modules() if correctable(module)}
        course = Course.of(samples)
        largest = _largest_output(model, course.first(1))
        count = max(2, min(most, len(course.inputs), memory_bytes // max(largest, 1)))
        self.wanted: Mapping[str, ChannelMoments] = with_room(lambda n: self._record(model, modules, course, n), count)
        self._biases = [name for name, parameter in model.named_parameters() if _is_bias(name, parameter)]

    @property
    def notes(self) -> tuple[str, ...]:
        """Biases that stay as they are, in words: no output of a module shows what they are added to."""
        matched = {f"{name}.bias" if name else "bias" for name in self.wanted}
        reason = "it is not the bias of a module that each pass calls once"
        return left_out("moments are not matched by", {name: reason for name in self._biases if name not in matched})

    def _record(
        self, model: nn.Module, modules: Mapping[str, nn.Module], course: Course, count: int
    ) -> dict[str, ChannelMoments]:
        """Record the float model's moments on the first ``count`` samples, which every correction then uses."""
        self.count = count
        self._course = course.first(self.count).together(self.count)
        self._inputs = self._course.inputs[0]
        self._at_once = len(self._course.steps) == 1
        if not self._at_once:
            self.count = min(self.count, max(_FEWEST, _MOST_PASSES // max(len(modules), 1)))
            self._course = course.first(self.count)
        return record_moments(model, modules, self._course, self.count if self._at_once else 1)

    def apply(self, module: nn.Module, strength: float = 1.0) -> dict[str, Tensor]:
        """Correct a compressed copy in place and return the changed tensors by their names in ``state_dict``.

        The copy may be on any device; the tensors returned are on the CPU.
        """
        if not self._at_once:
            return self._one_by_one(module, strength)
        changed: dict[str, Tensor] = {}

        def see(name: str, part: nn.Module, output: Tensor) -> Tensor:
            axis = channel_axis(part)
            assert axis is not None
            found = channel_moments(output, axis, self.count, self._course.axes.main)
            made = correction(self.wanted[name], found, scaling=scales(part), strength=strength)
            scale, shift = made.scale.float(), made.shift.float()
            for key, parameter in _corrected(part, scale, shift).items():
                part.get_parameter(key).data.copy_(parameter)
                changed[f"{name}.{key}"] = parameter.cpu()
            shape = [1] * output.ndim
            shape[axis] = -1
            return output * scale.reshape(shape) + shift.reshape(shape)

        with torch.inference_mode(), observed({name: module.get_submodule(name) for name in self.wanted}, see):
            module(*on(self._inputs, device_of(module)))
        return changed

    def _one_by_one(self, module: nn.Module, strength: float) -> dict[str, Tensor]:
        """Correct with samples that cannot be joined: one pass over them for each module, front to back."""
        changed: dict[str, Tensor] = {}
        for name, wanted in self.wanted.items():
            part = module.get_submodule(name)
            found = record_moments(module, {name: part}, self._course, 1)[name]
            made = correction(wanted, found, scaling=scales(part), strength=strength)
            for key, parameter in _corrected(part, made.scale.float(), made.shift.float()).items():
                part.get_parameter(key).data.copy_(parameter)
                changed[f"{name}.{key}"] = parameter.cpu()
        return changed


def correctable(module: nn.Module) -> bool:
    """Return whether a module has a bias along the channels of its output."""
    return channel_axis(module) is not None and isinstance(getattr(module, "bias", None), Tensor)


def _is_bias(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 1 and "bias" in name.rpartition(".")[2]


def scales(module: nn.Module) -> bool:
    """Return whether a module has a weight with one number per channel, as normalizations have."""
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    return isinstance(weight, Tensor) and isinstance(bias, Tensor) and weight.shape == bias.shape


def _corrected(module: nn.Module, scale: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """The module's parameters after ``scale * output + shift``."""
    bias = module.get_parameter("bias").detach()
    if not scales(module):
        return {"bias": bias + shift}
    return {"weight": module.get_parameter("weight").detach() * scale, "bias": bias * scale + shift}


def _largest_output(model: nn.Module, course: Course) -> int:
    """Bytes of the largest output of any module for one sample."""
    largest = 0

    def see(_name: str, _module: nn.Module, output: Tensor) -> None:
        nonlocal largest
        largest = max(largest, output.nbytes)

    with torch.inference_mode():
        for _ in course.outputs(model, lambda: observed(dict(model.named_modules()), see)):
            pass
    return largest
