"""Private and undocumented names of coremltools and torch that ``device_bench`` needs.

Every use of such a name in this room stands here, with the version that it was tested with;
``tests/device_bench/test_library_internals.py`` fails when a name is gone or behaves otherwise.

Names that are passed on as they are, tested with coremltools 9.0:

* ``AbstractGraphPass``, ``register_pass``: ``coremltools.converters.mil.mil.passes``, ``graph_pass`` and ``pass_registry``
* ``ScopeSource``: ``coremltools.converters.mil.mil.scope``
* ``TranscriptionContext``: ``coremltools.converters.mil.frontend.milproto.load``
* ``is_symbolic``: ``coremltools.converters.mil.mil.types.symbolic``
* ``should_use_weight_file``: ``coremltools.converters.mil.backend.mil.load``
* ``METADATA_VERSION``, ``METADATA_VERSION_BUFFER``, ``STATE_DICT_METADATA_BUFFER_PREFIX``:
  ``coremltools.optimize.torch._utils.metadata_utils``

and with torch 2.13.0:

* ``FakeTensorMode``: ``torch._subclasses.fake_tensor``
* ``TracerWarning``: ``torch.jit._trace``
* ``TorchDispatchMode``: ``torch.utils._python_dispatch``
* ``SUPPORTED_NODES``, ``tree_leaves``: ``torch.utils._pytree``
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.backend.mil.load import should_use_weight_file
from coremltools.converters.mil.converter import mil_convert
from coremltools.converters.mil.frontend.milproto.load import TranscriptionContext, _load_value
from coremltools.converters.mil.frontend.milproto.load import load as load_mil
from coremltools.converters.mil.frontend.torch import ops as torch_front_end
from coremltools.converters.mil.frontend.torch.converter import TorchConverter
from coremltools.converters.mil.frontend.torch.internal_graph import InternalTorchIRNode
from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY
from coremltools.converters.mil.frontend.torch.utils import sanitize_op_kind
from coremltools.converters.mil.mil import Program
from coremltools.converters.mil.mil.block import is_current_opset_version_compatible_with
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry
from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
from coremltools.converters.mil.mil.passes.pass_pipeline import PassPipeline
from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY, register_pass
from coremltools.converters.mil.mil.scope import ScopeSource
from coremltools.converters.mil.mil.types.symbolic import is_symbolic
from coremltools.optimize.torch._utils.metadata_utils import (
    METADATA_VERSION,
    METADATA_VERSION_BUFFER,
    STATE_DICT_METADATA_BUFFER_PREFIX,
)
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.jit._trace import TracerWarning
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import SUPPORTED_NODES, tree_leaves

__all__ = [
    "METADATA_VERSION",
    "METADATA_VERSION_BUFFER",
    "STATE_DICT_METADATA_BUFFER_PREFIX",
    "SUPPORTED_NODES",
    "AbstractGraphPass",
    "FakeTensorMode",
    "ScopeSource",
    "TorchDispatchMode",
    "TracerWarning",
    "TranscriptionContext",
    "WeightEncoder",
    "buffer_slots",
    "copy_scope",
    "drop_debug_scopes",
    "failing_node",
    "front_end_dtype",
    "front_end_inputs",
    "front_end_pass",
    "is_convertible",
    "is_symbolic",
    "known_ops",
    "load_mil_program",
    "mil_program",
    "opset_has",
    "post_hooks",
    "pre_hooks",
    "read_constant",
    "register_pass",
    "register_quantized_ops",
    "run_pass",
    "should_use_weight_file",
    "torch_converter",
    "traced_nodes_changed",
    "tree_leaves",
    "without_validation",
    "write_mil_program",
]

_FRONT_END = "frontend_pytorch"


def buffer_slots(module: nn.Module) -> dict[str, Tensor | None]:
    """Return the live mapping of a module's own buffers, those registered as ``None`` included.

    torch 2.13.0: ``nn.Module._buffers``.
    """
    return module._buffers


def pre_hooks(module: nn.Module) -> dict[int, Callable[..., Any]]:
    """Return the live mapping of the hooks that run before a module's forward pass.

    torch 2.13.0: ``nn.Module._forward_pre_hooks``.
    """
    return module._forward_pre_hooks


def post_hooks(module: nn.Module) -> MutableMapping[int, Callable[..., Any]]:
    """Return the live mapping of the hooks that run after a module's forward pass.

    torch 2.13.0: ``nn.Module._forward_hooks``.
    """
    return module._forward_hooks


def register_quantized_ops() -> None:
    """Register ``torch.ops.quantized_decomposed``, the operations of PyTorch's quantized export.

    torch 2.13.0: importing ``torch.ao.quantization.fx._decomposed`` registers them.
    """
    importlib.import_module("torch.ao.quantization.fx._decomposed")


def mil_program(model: ct.models.MLModel) -> Program | None:
    """Return the MIL program of a model just converted; ``None`` for a model that was opened from disk.

    coremltools 9.0: ``MLModel._mil_program``.
    """
    return getattr(model, "_mil_program", None)


def drop_debug_scopes(program: Program) -> None:
    """Keep ``MLModel.save`` from adding a debugging file to the package.

    coremltools 9.0: ``Function._essential_scope_sources``.
    """
    for function in program.functions.values():
        function._essential_scope_sources = [
            source for source in function._essential_scope_sources if source is not ScopeSource.EXIR_DEBUG_HANDLE
        ]


def copy_scope(function: Any, source: Any, target: Any) -> None:
    """Give the op of a variable the scope of another variable's op, which coremltools demands of every new op.

    coremltools 9.0: ``Block._copy_scope_info``.
    """
    function._copy_scope_info(source, target)


@contextlib.contextmanager
def without_validation() -> Iterator[None]:
    """Skip coremltools' check of the whole program after each graph pass.

    coremltools 9.0: ``Program.validate`` is called by the pass manager.
    """
    validate = Program.validate
    Program.validate = lambda *_, **__: None
    try:
        yield
    finally:
        Program.validate = validate


@contextlib.contextmanager
def front_end_pass(name: str) -> Iterator[None]:
    """Run a registered graph pass ahead of the passes of the torch front end, which a pipeline cannot change.

    coremltools 9.0: ``PassPipeline._PIPELINE_NAME_TO_PASSES["frontend_pytorch"]``.
    """
    passes = PassPipeline._PIPELINE_NAME_TO_PASSES
    before = passes[_FRONT_END]
    passes[_FRONT_END] = [name, *before]
    try:
        yield
    finally:
        passes[_FRONT_END] = before


def run_pass(name: str, program: Program) -> None:
    """Run a registered graph pass on a program.

    coremltools 9.0: ``mil.passes.pass_registry.PASS_REGISTRY``.
    """
    PASS_REGISTRY[name](program)


def front_end_inputs(context: Any, node: Any) -> list[Any]:
    """Return the arguments of a node that the torch front end converts: variables, or lists of variables.

    coremltools 9.0: ``frontend.torch.ops._get_inputs``.

    Args:
        context: what the front end has made so far.
        node: the node, as a function registered with ``register_torch_op`` gets it.
    """
    inputs: list[Any] = torch_front_end._get_inputs(context, node)
    return inputs


def front_end_dtype(context: Any, node: Any, position: int) -> str | None:
    """Return the ``dtype`` that a node is given, as MIL spells it; ``None`` without one.

    coremltools 9.0: ``frontend.torch.ops._get_kwinputs`` and ``NUM_TO_DTYPE_STRING``.

    Args:
        position: of the argument where it is not given by name.
    """
    inputs = torch_front_end._get_inputs(context, node)
    default = inputs[position] if len(inputs) > position else None
    (number,) = torch_front_end._get_kwinputs(context, node, "dtype", default=[default])
    return None if number is None else str(torch_front_end.NUM_TO_DTYPE_STRING[number.val])


def is_convertible(node: Any) -> bool:
    """Return whether the torch front end has a conversion of an op of an exported graph.

    coremltools 9.0: ``torch_op_registry._TORCH_OPS_REGISTRY`` by ``utils.sanitize_op_kind``, as
    ``InternalTorchIRNode.from_exir_node`` looks them up. What coremltools documents for this fails on ``__and__``.

    Args:
        node: of kind ``call_function``.
    """
    target = node.target
    kind = target.name() if hasattr(target, "name") else target.__name__
    return sanitize_op_kind(kind) in _TORCH_OPS_REGISTRY.name_to_func_mapping


def torch_converter(kind: str) -> Callable[[Any, Any], None]:
    """Return the function that converts an operation of torch, such as ``mul`` or ``squeeze.dim``.

    coremltools 9.0: ``torch_op_registry._TORCH_OPS_REGISTRY.name_to_func_mapping``.

    Raises:
        KeyError: there is none.
    """
    function: Callable[[Any, Any], None] = _TORCH_OPS_REGISTRY.name_to_func_mapping[kind]
    return function


@contextlib.contextmanager
def failing_node() -> Iterator[list[Any]]:
    """Yield a list that gets the node at which the torch front end fails, if it does at one.

    coremltools 9.0: ``frontend.torch.ops.convert_single_node``, called by ``convert_nodes`` in the same module.
    """
    convert, failed = torch_front_end.convert_single_node, list[Any]()

    def noting(context: Any, node: Any) -> None:
        try:
            convert(context, node)
        except Exception:
            failed.append(node)
            raise

    torch_front_end.convert_single_node = noting
    try:
        yield failed
    finally:
        torch_front_end.convert_single_node = convert


def opset_has(target: Any) -> bool:
    """Return whether the function that is being built has the ops of a target, such as ``ct.target.iOS18``.

    coremltools 9.0: ``mil.block.is_current_opset_version_compatible_with``.
    """
    return bool(is_current_opset_version_compatible_with(target))


@contextlib.contextmanager
def traced_nodes_changed(change: Callable[[Any, Any], None]) -> Iterator[None]:
    """Call ``change(node, made)`` for each node of a TorchScript graph and what the front end makes of it.

    coremltools 9.0: ``InternalTorchIRNode.from_torchscript_node``; what is made has a ``model_hierarchy``.
    """
    read = InternalTorchIRNode.from_torchscript_node

    def changed(cls: Any, node: Any, parent: Any) -> Any:
        made = read(node, parent)
        change(node, made)
        return made

    InternalTorchIRNode.from_torchscript_node = classmethod(changed)
    try:
        yield
    finally:
        InternalTorchIRNode.from_torchscript_node = read


def known_ops() -> Collection[str]:
    """Return the types of all ops of the MIL op set; those that begin with an underscore reach no package.

    coremltools 9.0: ``SSAOpRegistry.core_ops``.
    """
    ops: Collection[str] = SSAOpRegistry.core_ops.keys()
    return ops


def read_constant(context: TranscriptionContext, value: Any) -> Any:
    """Return the array, scalar or string of a serialized MIL value.

    coremltools 9.0: ``frontend.milproto.load._load_value``.

    Args:
        context: made with the folder of the weight files.
        value: a ``MIL_pb2.Value``.

    Raises:
        NotImplementedError: a list, or another value that is no tensor.
        RuntimeError, ValueError: a damaged weight file.
    """
    return _load_value(context, value)


def load_mil_program(spec: Any, version: int, weights: str | Path) -> Program:
    """Return the MIL program of an ML Program.

    coremltools 9.0: ``frontend.milproto.load.load``.

    Args:
        spec: the package's ``Model`` message.
        version: the specification version to read it in, that of the spec or later.
        weights: folder of the weight files.
    """
    return load_mil(spec, version, str(weights))


def write_mil_program(program: Program, version: int, description: Any, pipeline: PassPipeline) -> ct.models.MLModel:
    """Return the ML Program of a MIL program, unloaded.

    coremltools 9.0: ``mil.converter.mil_convert`` from ``milinternal``.

    Args:
        program: the program.
        version: specification version of the package.
        description: the ``ModelDescription`` message that the package gets.
        pipeline: graph passes to run.
    """
    return mil_convert(
        program,
        convert_from="milinternal",
        convert_to="mlprogram",
        compute_units=ct.ComputeUnit.ALL,
        specification_version=version,
        model_description=description,
        pass_pipeline=pipeline,
        skip_model_load=True,
    )


class WeightEncoder:
    """The part of coremltools' torch front end that makes ops of a weight and its metadata buffers.

    coremltools 9.0: ``TorchConverter._construct_compression_info`` and ``_construct_compression_op``, which reads
    ``param_to_compression_info``.

    Args:
        state: the ``state_dict`` of a module, metadata buffers included.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self._converter = TorchConverter.__new__(TorchConverter)
        self._converter.param_to_compression_info = TorchConverter._construct_compression_info(state)

    def is_compressed(self, parameter: str) -> bool:
        """Return whether a parameter has metadata buffers."""
        return parameter in self._converter.param_to_compression_info

    def variable(self, values: np.ndarray[Any, Any], parameter: str) -> Any:
        """Add the ops that decode a parameter to the function that is being built; return their output variable."""
        return self._converter._construct_compression_op(values, parameter)
