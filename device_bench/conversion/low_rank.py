"""Low-rank branches beside layers: two small weights whose product is added to the layer's output.

``y = layer(x) + up(down(x))`` (Hu et al. 2022, "LoRA", https://arxiv.org/abs/2106.09685). The layer keeps its name and
its compressed weight; the branch becomes two more linear or conv operations of the package, with weights in fp16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from palettune.device_bench.library_internals import post_hooks
from palettune.space.blob import Blob

__all__ = ["LowRank", "add_low_rank"]

_NAMES = ("low_rank_down", "low_rank_up")
_CONVOLUTIONS: dict[type[nn.Module], type[nn.Module]] = {kind: kind for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d)}


@dataclass(frozen=True)
class LowRank:
    """Weights of a low-rank branch.

    Attributes:
        down: (rank, inputs) or, beside a convolution, (rank, inputs, *kernel).
        up: (outputs, rank) or (outputs, rank, 1 ...).
    """

    down: Tensor
    up: Tensor

    def scaled(self, factors: Tensor) -> LowRank:
        """Return the branch with each output multiplied by its factor, (outputs,)."""
        return LowRank(self.down, self.up * factors.reshape(-1, *[1] * (self.up.ndim - 1)))

    @property
    def bytes(self) -> int:
        """Bytes in the package's weight file, with records and alignment; exact but for the end of the file.

        A linear operation without a bias is written with a bias of zeros (coremltools 9.0), a convolution is not.
        """
        weights = (self.down, self.up)
        biases = [Blob(weight.shape[0], 16) for weight in weights if weight.ndim == 2]
        return sum(blob.bytes for blob in (*(Blob(weight.numel(), 16) for weight in weights), *biases))


def add_low_rank(root: nn.Module, layer_name: str, branch: LowRank) -> None:
    """Attach a low-rank branch to the submodule ``layer_name`` of ``root``, replacing an earlier one.

    Raises:
        ValueError: the layer is of a kind that has no branch, or the weights do not fit it.
    """
    layer = root.get_submodule(layer_name)
    down, up = _modules(layer, layer_name, branch)
    hooks = post_hooks(layer)
    for key in [key for key, hook in hooks.items() if hook is _added]:
        del hooks[key]
    for name, module, weight in zip(_NAMES, (down, up), (branch.down, branch.up), strict=True):
        held = module.get_parameter("weight")
        if held.shape != weight.shape:
            raise ValueError(f"layer {layer_name!r}: {name} is {tuple(weight.shape)}, expected {tuple(held.shape)}")
        held.requires_grad_(False).copy_(weight)
        layer.add_module(name, module)
    layer.register_forward_hook(_added)


def _modules(layer: nn.Module, layer_name: str, branch: LowRank) -> tuple[nn.Module, nn.Module]:
    rank = branch.down.shape[0]
    if isinstance(layer, nn.Linear):
        down: nn.Module = nn.Linear(layer.in_features, rank, bias=False)
        return down.eval(), nn.Linear(rank, layer.out_features, bias=False).eval()
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.groups == 1:
        kind = next(kind for kind in _CONVOLUTIONS if isinstance(layer, kind))
        down = kind(
            layer.in_channels,
            rank,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            bias=False,
            padding_mode=layer.padding_mode,
        )
        return down.eval(), kind(rank, layer.out_channels, 1, bias=False).eval()
    raise ValueError(f"layer {layer_name!r}: a {type(layer).__name__} cannot have a low-rank branch")


def _added(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    down, up = (getattr(layer, name) for name in _NAMES)
    return output + up(down(inputs[0]))
