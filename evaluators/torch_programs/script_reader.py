"""TorchScript, scripted or traced, as a module that runs its graph step by step.

Calls of submodules are inlined. The parameters of a frozen program, which are constants of its graph, become parameters
again, by the names that freezing leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from palettune.evaluators.library_internals import argument_types
from palettune.evaluators.torch_programs.operators import DTYPES, TorchProgramError, is_known
from palettune.evaluators.torch_programs.program import (
    Block,
    Branch,
    CallStep,
    Held,
    Loop,
    Read,
    Step,
    Unpack,
    ValueSlot,
    Write,
)
from palettune.evaluators.torch_programs.program_module import Argument, ProgramModule

__all__ = ["module_of_script"]

_CPU = torch.device("cpu")
_FORMATS = (torch.contiguous_format, torch.preserve_format, torch.channels_last, torch.channels_last_3d)
_AS_MODULE = "return the torch.nn.Module that the program was made from"


def module_of_script(script: torch.jit.ScriptModule) -> ProgramModule:
    """Return a module that computes what a TorchScript module does, with parameters of the same dotted names.

    Raises:
        TorchProgramError: an op that does not run outside of TorchScript, or quantized weights.
    """
    graph = script.inlined_graph
    reader = _Reader(script)
    block = reader.block(graph, list(graph.inputs())[1:])
    schema = script.forward.schema  # type: ignore[attr-defined]
    results = block.results if len(block.results) == 1 else (tuple(block.results),)
    return reader.module.runs(
        Block(block.inputs, block.steps, results), [_argument(one) for one in schema.arguments[1:]]
    )


def _argument(argument: Any) -> Argument:
    if argument.has_default_value():
        return Argument(argument.name, default=argument.default_value)
    return Argument(argument.name)


class _Reader:
    """Reads a graph into steps, and what it uses into a module."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        self._parts = dict(script.named_modules(remove_duplicate=False))
        self.module = ProgramModule("TorchScript")
        self._known: dict[str, Any] = {}  # slots, constants and tuples of them, by the name of a value
        self._paths: dict[str, str] = {next(iter(script.inlined_graph.inputs())).debugName(): ""}
        self._count = 0
        self._steps: list[Step] = []
        for path, part in self._parts.items():
            for name, tensor in part.named_parameters(recurse=False, remove_duplicate=False):
                self.module.hold(path, name, tensor, trainable=True)
            for name, tensor in part.named_buffers(recurse=False):
                self.module.hold(path, name, tensor)

    def block(self, graph: Any, inputs: Iterable[Any]) -> Block:
        """Read a block: the values of ``inputs`` get its inputs."""
        before, self._steps = self._steps, []
        numbers = tuple(self._new(value).number for value in inputs)
        for node in graph.nodes():
            self._read(node)
        results = tuple(self._arg(value) for value in graph.outputs())
        steps, self._steps = tuple(self._steps), before
        return Block(numbers, steps, results)

    def _read(self, node: Any) -> None:
        reader = _READERS.get(node.kind())
        if reader is not None:
            reader(self, node)
        else:
            self._call(node)

    def _fresh(self) -> int:
        self._count += 1
        return self._count

    def _new(self, value: Any) -> ValueSlot:
        slot = self._known[value.debugName()] = ValueSlot(self._fresh())
        return slot

    def _arg(self, value: Any) -> Any:
        if value.debugName() in self._paths:
            raise TorchProgramError(f"TorchScript hands a module on as a value ({value.type()}); {_AS_MODULE}")
        return self._known[value.debugName()]

    def _args(self, node: Any) -> list[Any]:
        return [self._arg(value) for value in node.inputs()]

    def _call(self, node: Any) -> None:
        name = str(node.schema()).split("(", 1)[0]
        name = name if name.startswith(node.kind()) else node.kind()
        if not is_known(name):
            raise TorchProgramError(f"TorchScript's op {name!r} does not run outside of TorchScript; {_AS_MODULE}")
        args, kwargs = self._args(node), {}
        types = argument_types(name)
        if types is not None:
            args = [_plain(arg, types[i][1] if i < len(types) else "") for i, arg in enumerate(args)]
            kwargs = {types[i][0]: arg for i, arg in enumerate(args) if i < len(types) and types[i][2]}
            args = args[: len(args) - len(kwargs)]
        outputs = list(node.outputs())
        result = self._new(outputs[0]).number if len(outputs) == 1 else self._fresh()
        self._steps.append(CallStep(name, tuple(args), kwargs, result))
        if len(outputs) > 1:
            self._steps.append(Unpack(ValueSlot(result), tuple(self._new(output).number for output in outputs)))

    def _constant(self, node: Any) -> None:
        (output,) = node.outputs()
        if output.type().kind() == "FunctionType":
            self._known[output.debugName()] = None
            return
        value = output.toIValue()
        if isinstance(value, Tensor) and value.ndim:
            place = self._frozen(output.debugName(), value)
            self._steps.append(Read(place, self._new(output).number))
            return
        if isinstance(value, list) and any(isinstance(item, Tensor) for item in value):
            places = [self._frozen(f"{output.debugName()}_{i}", item) for i, item in enumerate(value)]
            self._steps += [Read(place, self._fresh()) for place in places]
            items = [ValueSlot(self._count - len(places) + 1 + i) for i in range(len(places))]
            self._steps.append(CallStep("prim::list", (items,), {}, self._new(output).number))
            return
        value = value.item() if isinstance(value, Tensor) else value
        self._known[output.debugName()] = _CPU if isinstance(value, torch.device) else value

    def _frozen(self, name: str, value: Tensor) -> Held:
        """A tensor among the constants: ``self.0.weight`` of a frozen program, or a number."""
        words = re.sub(r"^self\.", "", name).split(".")
        if not name.startswith("self.") or words[-1].isdigit():
            words = [f"constant_{re.sub(r'[^A-Za-z0-9]', '_', name)}"]
        return self.module.hold(".".join(words[:-1]), words[-1], value, trainable=value.is_floating_point())

    def _attribute(self, node: Any) -> None:
        (owner,), (output,) = node.inputs(), node.outputs()
        path, name = self._paths.get(owner.debugName()), node.s("name")
        if path is None:
            raise TorchProgramError(f"TorchScript reads {name!r} of an object ({owner.type()}); {_AS_MODULE}")
        inside = f"{path}.{name}".strip(".")
        if inside in self._parts:
            self._paths[output.debugName()] = inside
            return
        self._steps.append(Read(self._hold(path, name, output), self._new(output).number))

    def _hold(self, path: str, name: str, output: Any) -> Held:
        part = self._parts[path]
        held = {key for key, _ in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))}
        if name in held or name == "training":
            return Held(path, name)
        value = getattr(part, name)
        if isinstance(value, torch.ScriptObject):
            raise TorchProgramError(
                f"{path or 'the program'} holds {name!r} as a {output.type()}: quantized already, or an object of a library; "
                "return the float model"
            )
        return self.module.hold(path, name, value)

    def _assign(self, node: Any) -> None:
        owner, value = node.inputs()
        path, name = self._paths[owner.debugName()], node.s("name")
        self._steps.append(Write(self._hold(path, name, value), self._arg(value)))

    def _list(self, node: Any) -> None:
        (output,) = node.outputs()
        items = self._args(node)
        self._steps.append(CallStep("prim::list", (items,), {}, self._new(output).number))

    def _dict(self, node: Any) -> None:
        (output,) = node.outputs()
        args = self._args(node)
        pairs = [(key, value) for key, value in zip(args[::2], args[1::2], strict=True)]
        self._steps.append(CallStep("prim::dict", (pairs,), {}, self._new(output).number))

    def _tuple(self, node: Any) -> None:
        (output,) = node.outputs()
        self._known[output.debugName()] = tuple(self._args(node))

    def _unpack(self, node: Any) -> None:
        (value,) = self._args(node)
        outputs = list(node.outputs())
        if isinstance(value, tuple):
            self._known.update(zip((output.debugName() for output in outputs), value, strict=True))
        else:
            self._steps.append(Unpack(value, tuple(self._new(output).number for output in outputs)))

    def _item(self, node: Any) -> None:
        (output,), (value, index) = node.outputs(), self._args(node)
        if isinstance(value, tuple) and isinstance(index, int):
            self._known[output.debugName()] = value[index]
        else:
            self._steps.append(CallStep("aten::__getitem__", (value, index), {}, self._new(output).number))

    def _part_of_tuple(self, node: Any) -> None:
        (output,), (value,) = node.outputs(), self._args(node)
        part = slice(node.i("beg"), node.i("end"))
        self._steps.append(CallStep("aten::__getitem__", (value, part), {}, self._new(output).number))

    def _same(self, node: Any) -> None:
        (output,), (value,) = node.outputs(), node.inputs()
        if value.debugName() in self._paths:
            self._paths[output.debugName()] = self._paths[value.debugName()]
        else:
            self._known[output.debugName()] = self._arg(value)

    def _branch(self, node: Any) -> None:
        (condition,) = self._args(node)
        first, second = (self.block(block, block.inputs()) for block in node.blocks())
        self._steps.append(Branch(condition, (first, second), tuple(self._new(o).number for o in node.outputs())))

    def _loop(self, node: Any) -> None:
        most, condition, *carried = self._args(node)
        (body,) = node.blocks()
        block = self.block(body, body.inputs())
        results = tuple(self._new(output).number for output in node.outputs())
        self._steps.append(Loop(most, condition, tuple(carried), block, results))


_READERS: dict[str, Callable[[_Reader, Any], None]] = {
    "prim::Constant": _Reader._constant,
    "prim::GetAttr": _Reader._attribute,
    "prim::SetAttr": _Reader._assign,
    "prim::ListConstruct": _Reader._list,
    "prim::DictConstruct": _Reader._dict,
    "prim::TupleConstruct": _Reader._tuple,
    "prim::TupleUnpack": _Reader._unpack,
    "prim::ListUnpack": _Reader._unpack,
    "prim::TupleIndex": _Reader._item,
    "prim::TupleSlice": _Reader._part_of_tuple,
    "prim::unchecked_cast": _Reader._same,
    "prim::If": _Reader._branch,
    "prim::Loop": _Reader._loop,
}


def _plain(arg: Any, kind: str) -> Any:
    """A constant as torch has it in Python, where TorchScript has a number."""
    if not isinstance(arg, int) or isinstance(arg, bool):
        return arg
    if "ScalarType" in kind:
        return DTYPES[arg]
    if "MemoryFormat" in kind:
        return _FORMATS[arg]
    return torch.strided if "Layout" in kind else arg
