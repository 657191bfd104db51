"""Exported programs (``torch.export``) as modules that run their graph step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from palettune.evaluators.torch_programs.operators import TorchProgramError, is_known
from palettune.evaluators.torch_programs.program import Block, CallStep, Held, Nested, Read, Step, ValueSlot
from palettune.evaluators.torch_programs.program_module import Argument, ProgramModule

__all__ = ["module_of_export"]

_NO_GRADIENTS = "wrap_with_set_grad_enabled"


def module_of_export(program: torch.export.ExportedProgram) -> ProgramModule:
    """Return a module that computes what an exported program does, with parameters of the same dotted names.

    It takes the tensors of the program's inputs in order, of the shapes that it was exported for.

    Raises:
        TorchProgramError: an op that does not run outside of the program.
    """
    graph_module = program.module(check_guards=False)
    reader = _Reader(graph_module)
    block = reader.block(graph_module)
    arguments = [_argument(node) for node in graph_module.graph.nodes if node.op == "placeholder"]
    return reader.module.runs(block, arguments, program.call_spec.out_spec)


def _argument(node: fx.Node) -> Argument:
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return Argument(node.name, default=value)
    return Argument(node.name, tuple(size if isinstance(size, int) else None for size in value.shape))


class _Reader:
    """Reads graphs into steps, and the tensors that they use into a module."""

    def __init__(self, root: fx.GraphModule) -> None:
        self.module = ProgramModule("exported program")
        self._count = 0
        for path, part in root.named_modules():
            for name, tensor in part.named_parameters(recurse=False, remove_duplicate=False):
                self.module.hold(path, name, tensor, trainable=True)
            for name, tensor in part.named_buffers(recurse=False, remove_duplicate=False):
                self.module.hold(path, name, tensor)

    def block(self, graph_module: nn.Module) -> Block:
        """Read one graph."""
        graph: fx.Graph = graph_module.graph  # type: ignore[assignment]
        slots: dict[fx.Node, ValueSlot] = {}
        steps: list[Step] = []
        for node in graph.nodes:
            if node.op == "output":
                results = node.args[0]
                flat = results if isinstance(results, (list, tuple)) else (results,)
                inputs = tuple(slots[one].number for one in graph.nodes if one.op == "placeholder")
                return Block(inputs, tuple(steps), _mapped(tuple(flat), slots))
            self._count += 1
            slots[node] = ValueSlot(self._count)
            if node.op != "placeholder":
                steps += self._steps(graph_module, node, slots)
        raise TorchProgramError("the exported program has no output")

    def _steps(self, owner: nn.Module, node: fx.Node, slots: dict[fx.Node, ValueSlot]) -> list[Step]:
        number = slots[node].number
        if node.op == "get_attr":
            value = _attribute(owner, str(node.target))
            return [Read(self._held(str(node.target), value), number)] if isinstance(value, Tensor) else []
        if getattr(node.target, "__name__", "") == _NO_GRADIENTS:
            return [self._nested(owner, node, slots)]
        if node.op != "call_function":
            raise TorchProgramError(f"the exported program calls {node.target!r} ({node.op}), which is not supported")
        name = _name(node)
        args = _mapped(tuple(node.args), slots)
        kwargs = _mapped(dict(node.kwargs), slots)
        return [CallStep(name, args, kwargs, number)]

    def _nested(self, owner: nn.Module, node: fx.Node, slots: dict[fx.Node, ValueSlot]) -> Nested:
        enabled, inside, *inputs = node.args
        assert isinstance(inside, fx.Node)
        block = self.block(_attribute(owner, str(inside.target)))
        given = _mapped(tuple(inputs), slots)
        return Nested(bool(enabled), block, given, slots[node].number)

    def _held(self, target: str, value: Tensor) -> Held:
        """The place of a tensor; a constant of the program, which is an attribute, becomes a buffer."""
        module, _, name = target.rpartition(".")
        try:
            known = self.module.get_submodule(module)
            if name in dict(known.named_parameters(recurse=False)) or name in dict(known.named_buffers(recurse=False)):
                return Held(module, name)
        except AttributeError:
            pass
        return self.module.hold(module, name, value)


def _attribute(owner: nn.Module, target: str) -> Any:
    found: Any = owner
    for word in target.split("."):
        found = getattr(found, word)
    return found


def _name(node: fx.Node) -> str:
    target: Any = node.target
    space = getattr(target, "__module__", "") or ""
    if space in ("_operator", "math", "torch"):
        name = f"{'python' if space == '_operator' else space}::{target.__name__}"
    else:
        name = str(target).replace(".", "::", 1)
    if not is_known(name):
        raise TorchProgramError(
            f"the exported program calls {name!r}, which does not run outside of it (control flow, or an op of a library): "
            "return the torch.nn.Module that it was made from"
        )
    return name


def _mapped(value: Any, slots: dict[fx.Node, ValueSlot]) -> Any:
    """Arguments of a node with slots for other nodes, and every device the CPU."""
    if isinstance(value, fx.Node):
        return slots[value]
    if isinstance(value, torch.device):
        return torch.device("cpu")
    if isinstance(value, (list, tuple)):
        kind = list if isinstance(value, list) else tuple
        return kind(_mapped(item, slots) for item in value)
    if isinstance(value, dict):
        return {key: _mapped(item, slots) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(_mapped(item, slots) for item in (value.start, value.stop, value.step)))
    return value
