"""Channel moments: mean and variance of each channel of a module's output, per sample."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from palettune.evaluators.library_internals import BATCH_NORM, CONVOLUTION
from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.samples import Inputs

__all__ = ["ChannelMoments", "channel_axis", "channel_moments", "observed", "record_moments"]

_CHANNEL_FIRST = (
    BATCH_NORM,
    nn.GroupNorm,
    CONVOLUTION,
)
_CHANNEL_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True)
class ChannelMoments:
    """Moments of one module's output, for N samples and C channels.

    Attributes:
        means: (N, C) float64, over all positions of a sample.
        variances: (N, C) float64, over all positions of a sample, about the sample's own mean.
    """

    means: Tensor
    variances: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean over all samples: (C,)."""
        return self.means.mean(0)

    @property
    def squares(self) -> Tensor:
        """Mean square distance of each sample's values from the mean of all samples: (N, C)."""
        return self.variances + (self.means - self.mean).square()

    @property
    def deviation(self) -> Tensor:
        """Standard deviation over all positions of all samples: (C,)."""
        return self.squares.mean(0).sqrt()


def channel_axis(module: nn.Module) -> int | None:
    """Return the axis of a module's output along which its per-channel parameters run; ``None`` without such parameters."""
    if isinstance(module, _CHANNEL_FIRST):
        return 1
    if isinstance(module, _CHANNEL_LAST):
        shape = getattr(module, "normalized_shape", (1,))
        return -1 if len(shape) == 1 else None
    return None


def channel_moments(output: Tensor, axis: int, samples: int, along: int = 0) -> ChannelMoments:
    """Compute the moments of an output that holds ``samples`` samples one after another along its first axis.

    Args:
        axis: the axis of the channels.
        along: the axis along which the model takes its samples; used where the output has that many entries there.

    Raises:
        ValueError: the length of the first axis is no multiple of ``samples``.
    """
    if along and axis == -1 and output.ndim > along + 1 and output.shape[along] == samples:
        output = output.movedim(along, 0)
    if output.shape[0] % samples:
        raise ValueError(
            f"an output of shape {tuple(output.shape)} does not hold {samples} samples along its first axis"
        )
    values = output.float().movedim(axis, 1)
    values = values.reshape(values.shape[0], values.shape[1], -1)
    if values.shape[0] != samples:
        values = values.reshape(samples, -1, *values.shape[1:]).transpose(1, 2).flatten(2)
    variances, means = torch.var_mean(values, dim=2, correction=0)
    return ChannelMoments(means.double(), variances.double())


@contextlib.contextmanager
def observed(
    modules: Mapping[str, nn.Module], see: Callable[[str, nn.Module, Tensor], Tensor | None]
) -> Iterator[None]:
    """Pass every output of some modules to ``see``, inside the context; a tensor that it returns replaces the output."""

    def hook(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def shown(module: nn.Module, _inputs: Any, output: Any) -> Any:
            return see(name, module, output) if isinstance(output, Tensor) else None

        return shown

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def record_moments(
    model: nn.Module, modules: Mapping[str, nn.Module], inputs: Inputs | Course, samples: int
) -> dict[str, ChannelMoments]:
    """Run a model and return the channel moments by module name, in the order of the calls.

    Modules that are called more than once in a pass, or whose output has no such channels, are left out.

    Args:
        inputs: of one forward pass, or a course of several.
        samples: number of samples in each forward pass.
    """
    course = inputs if isinstance(inputs, Course) else Course.of([inputs])
    found: dict[str, list[ChannelMoments]] = {}
    seen: set[str] = set()
    often: set[str] = set()

    def see(name: str, module: nn.Module, output: Tensor) -> None:
        output, axis = batched(module, output), channel_axis(module)
        if name in seen or axis is None or output.ndim < 2 or output.shape[0] % samples:
            often.add(name)
            return
        seen.add(name)
        found.setdefault(name, []).append(channel_moments(output, axis, samples, course.axes.main))

    passes = 0
    with torch.inference_mode():
        for _ in course.outputs(model, lambda: observed(modules, see)):
            seen.clear()
            passes += 1
    return {name: _together(m) for name, m in found.items() if name not in often and len(m) == passes}


def batched(module: nn.Module, output: Tensor) -> Tensor:
    """Add a first axis of length 1 to the output of a convolution that was called without one."""
    if isinstance(module, CONVOLUTION) and output.ndim == len(module.kernel_size) + 1:
        return output.unsqueeze(0)
    return output


def _together(parts: Sequence[ChannelMoments]) -> ChannelMoments:
    if len(parts) == 1:
        return parts[0]
    return ChannelMoments(torch.cat([part.means for part in parts]), torch.cat([part.variances for part in parts]))
