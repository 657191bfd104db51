"""Core ML programs as torch modules, so that a package can be handled like a torch model.

The program runs in the reference runtime. Each op with a compressible weight is a submodule with a parameter
``weight``, called in place of the op: hooks see the op's inputs and outputs, and can replace them. A constant that an op
takes as it is, such as a table that is added, is a submodule, too, which is never called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palettune.device_bench.package_model.package_layers import PackageWeightUse, uncompressed_reasons, weight_uses
from palettune.device_bench.runtime.errors import ProgramError
from palettune.device_bench.runtime.ops.padding import spatial_padding, torch_padding
from palettune.device_bench.runtime.plan import plan_function
from palettune.device_bench.runtime.program import Program
from palettune.device_bench.runtime.program_file import ProgramFile, read_program_file
from palettune.device_bench.runtime.registry import find
from palettune.device_bench.runtime.steps import OpCall
from palettune.device_bench.runtime.values import ComputePrecision
from palettune.space.layer import LayerKind

__all__ = ["PackageLayer", "PackageModule", "RecurrentOp"]

_RECURRENT = LayerKind.RECURRENT
#: In the place of an operand that an op does not have.
_NONE = -1
Kernel = Callable[..., Any]


class PackageLayer(nn.Module):
    """An op with a weight, or one weight of a recurrent op.

    Attributes:
        constant: name of the weight in the program.
        layer_kind: what the op does with the weight.
        groups: of a convolution.
        float_bits: of the floats that the program computes with.
        activation_name: the op's parameter that takes what the weight works on; empty for an operand taken as it is.
    """

    weight: nn.Parameter

    def __init__(self, weight: nn.Parameter, use: PackageWeightUse, operand: int, activation: int) -> None:
        nn.Module.__init__(self)  # subclasses are torch's layers too, whose own would make another weight
        self.weight = weight
        self.constant, self.layer_kind, self.float_bits = use.constant, use.kind, use.float_bits
        groups = use.op.inputs.get("groups")
        self.groups = 1 if groups is None else int(groups.val)
        self.operand, self.activation, self.activation_name = operand, activation, use.activation

    def forward(self, x: Tensor, *, kernel: Kernel, tensors: list[Any], attributes: Mapping[str, Any]) -> Any:
        """Return the op's outputs for the tensor that its weight works on; other operands come by keyword."""
        tensors[self.activation], tensors[self.operand] = x, self.weight
        return kernel(*tensors, **attributes)

    def call(self, kernel: Kernel, tensors: list[Any], attributes: Mapping[str, Any]) -> Any:
        """Run the layer in place of its op, as the runtime calls it."""
        return self(tensors[self.activation], kernel=kernel, tensors=tensors, attributes=attributes)

    def extra_repr(self) -> str:
        """Return kind and shape."""
        return f"{self.layer_kind}, {tuple(self.weight.shape)}"


class PackageLinear(PackageLayer, nn.Linear):  # type: ignore[misc]  # it is called with the op's operands
    """A linear op as torch's own layer class, for code that looks for that class; the bias stays the op's."""

    def __init__(self, weight: nn.Parameter, use: PackageWeightUse, operand: int, activation: int) -> None:
        super().__init__(weight, use, operand, activation)
        self.out_features, self.in_features = weight.shape
        self.register_parameter("bias", None)


class _PackageConv(PackageLayer):
    """A convolution whose padding is known; see ``PackageLinear``."""

    def __init__(self, weight: nn.Parameter, use: PackageWeightUse, operand: int, activation: int) -> None:
        super().__init__(weight, use, operand, activation)
        self.out_channels, self.in_channels = weight.shape[0], weight.shape[1] * self.groups
        self.kernel_size = tuple(weight.shape[2:])
        self.stride, self.dilation = (tuple(map(int, use.op.inputs[name].val)) for name in ("strides", "dilations"))
        amounts = _padding(use.op, self.kernel_size)
        assert amounts is not None
        self.padding, self.padding_mode, self.transposed = tuple(first for first, _ in amounts), "zeros", False
        self._reversed_padding_repeated_twice = torch_padding(amounts)
        self.output_padding = (0,) * len(self.kernel_size)
        self.register_parameter("bias", None)


class PackageConv1d(_PackageConv, nn.Conv1d):  # type: ignore[misc]  # it is called with the op's operands
    """A one-dimensional convolution as torch's own layer class; see ``PackageLinear``."""


class PackageConv2d(_PackageConv, nn.Conv2d):  # type: ignore[misc]  # it is called with the op's operands
    """A two-dimensional convolution as torch's own layer class; see ``PackageLinear``."""


def _layer_class(use: PackageWeightUse) -> type[PackageLayer]:
    """Torch's layer where the op does just what that does with its first input."""
    if use.kind is LayerKind.LINEAR and use.activation == "x":
        return PackageLinear
    found = {LayerKind.CONV1D: PackageConv1d, LayerKind.CONV2D: PackageConv2d}.get(use.kind)
    known = found is not None and _padding(use.op, use.op.inputs[use.operand].shape[2:]) is not None
    return found if found is not None and known else PackageLayer


def _padding(op: Any, kernel: Sequence[int]) -> list[tuple[int, int]] | None:
    """What a convolution puts before and after each dimension; None where that depends on a size that is not fixed."""
    values = {name: op.inputs[name].val for name in ("pad_type", "pad", "strides", "dilations")}
    kind, sizes = str(values["pad_type"]), list(op.inputs["x"].shape[2:])
    strides, dilations = ([int(step) for step in values[name]] for name in ("strides", "dilations"))
    if kind.startswith("same"):
        # With steps of one the size does not matter.
        sizes = [0 if stride == 1 else size for size, stride in zip(sizes, strides, strict=True)]
        if not all(isinstance(size, (int, np.integer)) for size in sizes):
            return None
    return spatial_padding(kind, [int(size) for size in values["pad"]], sizes, kernel, strides, dilations)


class RecurrentOp(nn.Module):
    """A recurrent op; its weights are submodules, which are never called."""

    def forward(self, x: Tensor, *, kernel: Kernel, tensors: list[Any], attributes: Mapping[str, Any]) -> Any:
        """Return the op's outputs for a sequence."""
        tensors[0] = x
        for layer in self.children():
            assert isinstance(layer, PackageLayer)
            tensors[layer.operand] = layer.weight
        return kernel(*tensors, **attributes)

    def call(self, kernel: Kernel, tensors: list[Any], attributes: Mapping[str, Any]) -> Any:
        """Run the module in place of its op, as the runtime calls it."""
        return self(tensors[0], kernel=kernel, tensors=tensors, attributes=attributes)


@dataclass(frozen=True)
class _Taken:
    """A layer's weight that an op takes as it is: as which of its tensors, and where among several values of that."""

    layer: str
    operand: int
    positions: tuple[int, ...]


class PackageModule(nn.Module):
    """A Core ML program as a torch module: its weights are parameters, computed with in float32.

    Its states are buffers, carried on from one call to the next as in a session of Core ML.
    It takes the program's inputs in their order, trailing ones with a default may be left out, and gives its outputs by
    name: tensors, and for a classifier's table of probabilities a tensor of them.

    Attributes:
        path: the package.
        program: it runs; shared by all copies.
        kept: why the constants that are no layer stay as they are, by name.
        calls: names of the submodules by the first output of the op that they stand for.
        operands: the constants that ops take as they are, by the first output of the op.
        content: digest of everything in the package, as bytes.
    """

    content: Tensor

    def __init__(self, path: str | Path, operands: bool = True) -> None:
        """Load a package.

        Args:
            path: of the ``.mlpackage``.
            operands: whether large constants that ops take as they are, such as a table that is added, are layers.

        Raises:
            ProgramError: not an ML Program of one function, or damaged.
            UnsupportedOpError: an op that the runtime lacks.
        """
        super().__init__()
        self.path = Path(path)
        file = read_program_file(self.path)
        if len(file.functions) > 1:
            raise ProgramError(
                f"{self.path}: has the functions {', '.join(sorted(file.functions))}, and a model is one function; save the "
                "one that you want alone (coremltools.utils.MultiFunctionDescriptor, save_multifunction)"
            )
        cpu = torch.device("cpu")
        self.program = Program(file, plan_function(file, ComputePrecision.FP32, cpu), ComputePrecision.FP32, cpu)
        self.kept = uncompressed_reasons(file.function, operands)
        self.calls: dict[str, str] = {}
        self.operands: dict[str, list[_Taken]] = {}
        for uses in weight_uses(file.function, operands).values():
            self._add(uses, file)
        self._states = dict(
            zip(self.program.states, (f"state_{i}" for i in range(len(self.program.states))), strict=True)
        )
        for name, value in self.program.new_state().items():
            self.register_buffer(self._states[name], value, persistent=False)
        self.register_buffer("content", _digest(self.path))
        self.eval()

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Run the program."""
        names = list(self.program.inputs)
        if len(inputs) > len(names):
            raise ProgramError(f"{self.path}: takes {len(names)} inputs ({', '.join(names)}), {len(inputs)} were given")
        calls: dict[str, OpCall] = {}
        for output, name in self.calls.items():
            module = self.get_submodule(name)
            assert isinstance(module, (PackageLayer, RecurrentOp))
            calls[output] = module.call
        for output, taken in self.operands.items():
            calls[output] = partial(self._with_operands, taken)
        state = {name: self.get_buffer(buffer).clone() for name, buffer in self._states.items()}
        outputs = self.program.run_tensors(dict(zip(names, inputs, strict=False)), calls=calls, state=state)
        for name, buffer in self._states.items():
            self.get_buffer(buffer).copy_(state[name].detach())
        return outputs

    def _with_operands(
        self, taken: Sequence[_Taken], kernel: Kernel, tensors: list[Any], attributes: Mapping[str, Any]
    ) -> Any:
        """Run an op with the weights of layers in the place of its constant operands."""
        for one in taken:
            weight = self.get_submodule(one.layer).get_parameter("weight")
            given = tensors[one.operand]
            several = (
                [weight if i in one.positions else item for i, item in enumerate(given)] if one.positions else weight
            )
            tensors[one.operand] = several
        return kernel(*tensors, **attributes)

    def constants(self) -> dict[str, str]:
        """Return layer names by the name of the constant that holds each layer's weight."""
        found: dict[str, str] = {}
        for name, module in self.named_modules():
            if isinstance(module, PackageLayer):
                found.setdefault(module.constant, name)
        return found

    def _add(self, uses: tuple[PackageWeightUse, ...], file: ProgramFile) -> None:
        weight = nn.Parameter(self.program.weights[uses[0].constant].tensor, requires_grad=False)
        held = ""
        for use in uses:
            kernel = find(use.op.op_type, file.function.opset_version)
            assert kernel is not None  # or else the program would not have been prepared
            operand = kernel.tensors.index(use.operand)
            output = use.op.outputs[0].name
            if use.kind is LayerKind.OPERAND:
                held = held or _attach(self, use.constant, PackageLayer(weight, use, operand, _NONE))
                self.operands.setdefault(output, []).append(_Taken(held, operand, use.positions))
                continue
            layer = _layer_class(use)(weight, use, operand, kernel.tensors.index(use.activation))
            if use.kind is _RECURRENT:
                if output not in self.calls:
                    self.calls[output] = _attach(self, use.op.name, RecurrentOp())
                _attach(self.get_submodule(self.calls[output]), use.constant, layer)
            else:
                self.calls[output] = _attach(self, use.constant, layer)


def _attach(parent: nn.Module, name: str, module: nn.Module) -> str:
    """Make a submodule of nearly this name, which is given back."""
    spelled = name.replace(".", "_")
    number = 2
    unique = spelled
    while hasattr(parent, unique):
        unique, number = f"{spelled}_{number}", number + 1
    parent.add_module(unique, module)
    return unique


def _digest(path: Path) -> Tensor:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.name != "Manifest.json":  # which has identifiers of its own at every saving
            digest.update(f"{file.relative_to(path)}".encode())
            digest.update(hashlib.blake2b(file.read_bytes()).digest())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)
