"""Conversion of an assembled torch module: torch.export first, torch.jit.trace where that fails.

Tracing keeps the control flow of the example: what Python takes out of a tensor there (a branch, a number, a length)
becomes a constant of the program. ``converted`` returns which front end was used, and what was frozen.

The module holds its compressed weights together with coremltools' metadata (``compressed_weight.install``). It is
converted with codes in the place of the tensors that hold them, and each weight that is found in the program is stored as
its metadata says: whatever the encodings, the program around them is the same.
See https://apple.github.io/coremltools/docs-guides/source/convert-pytorch-workflow.html.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import coremltools as ct
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.distinct_outputs import output_names
from palettune.device_bench.conversion.float32_ops import Float32Ops, UnmatchedPatternError
from palettune.device_bench.conversion.front_end import FrontEnd, FrozenValue, data_reads, frozen_values
from palettune.device_bench.conversion.neutral_pipeline import neutral_pipeline
from palettune.device_bench.conversion.ops.decomposed import decomposed
from palettune.device_bench.conversion.ops.failed_op import failure_words
from palettune.device_bench.conversion.ops.registered import register_missing_ops
from palettune.device_bench.conversion.weights.stored_weights import stored_weights
from palettune.device_bench.interface.argument_names import argument_names
from palettune.device_bench.interface.declared_inputs import (
    classifier,
    dynamic_sizes,
    export_example,
    input_types,
    narrowed_sizes,
)
from palettune.device_bench.interface.program_interface import PLAIN, ProgramInterface
from palettune.device_bench.library_internals import (
    FakeTensorMode,
    TracerWarning,
    drop_debug_scopes,
    failing_node,
    mil_program,
    without_validation,
)
from palettune.device_bench.model.outputs import OutputError, Path, identifiers, leaves
from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.device_bench.model.shared_copy import shared_copy
from palettune.device_bench.package.op_modules import mark_exported, marked_traces
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.package_model.package_rewriting import rewrite
from palettune.device_bench.package_model.package_state import CarriedState, check_holdable
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget

__all__ = ["Conversion", "ConversionError", "convert", "converted", "unhindered"]


class ConversionError(UserError):
    """A module that neither front end of coremltools converts; the message names the op."""


@dataclass(frozen=True, eq=False)
class Conversion:
    """A converted module and what read it.

    Attributes:
        model: the ML program, not yet saved.
        front_end: what read the module, and what it froze.
    """

    model: ct.models.MLModel
    front_end: FrontEnd


def convert(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    target: DeploymentTarget,
    *,
    metadata: Mapping[str, str] | None = None,
    pipeline: ct.PassPipeline | None = None,
    float32: Sequence[str] = (),
    state: RecurrentState = NO_STATE,
    interface: ProgramInterface = PLAIN,
) -> ct.models.MLModel:
    """Convert a module and return the model alone; arguments and errors as for ``converted``."""
    return converted(
        module,
        example_inputs,
        target,
        metadata=metadata,
        pipeline=pipeline,
        float32=float32,
        state=state,
        interface=interface,
    ).model


def converted(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    target: DeploymentTarget,
    *,
    metadata: Mapping[str, str] | None = None,
    pipeline: ct.PassPipeline | None = None,
    float32: Sequence[str] = (),
    state: RecurrentState = NO_STATE,
    interface: ProgramInterface = PLAIN,
) -> Conversion:
    """Convert a module with its compressed weights to an ML program that computes in fp16, except for ``float32``.

    Inputs are named after the arguments of ``forward``; outputs after the keys of a returned mapping or dataclass,
    ``output`` for a single tensor, ``output_0``, ``output_1`` ... for a sequence, in the order of ``outputs.flatten``.
    Values that are no tensors are dropped. The module is not changed: a copy that shares its tensors is converted, in
    evaluation mode. A package is not converted but written again with its layers' weights (``package_rewriting``): its
    names, shapes and precision stay.

    Args:
        module: float32, on the CPU; or a ``PackageModule``.
        example_inputs: positional arguments of ``forward``; their shapes become the package's.
        target: decides the opset, hence which encodings the package can hold.
        metadata: written as user-defined metadata.
        pipeline: graph passes; ``neutral_pipeline()`` unless given. A package keeps its graph, whatever they are.
        float32: patterns of modules, ops and types of ops that compute in float32 (``Float32Ops``); none of a package.
        state: what the module's forward passes change, as it is at first; what outputs depend on becomes states of the
            program.
        interface: names, shapes and types of the package's inputs, names of its outputs, labels; as ``check_inputs`` and
            ``check_outputs`` allow them. A package keeps its own.

    Raises:
        PackageStateError: state that the package cannot hold.
        ConversionError: no front end converts the module, or it is not float32 on the CPU.
        UnmatchedPatternError: a pattern of ``float32`` that matches nothing, or any for a package.
        RewritingError: a package that the deployment target cannot hold.
    """
    _check_tensors(module)
    if isinstance(module, PackageModule):
        if float32:
            raise UnmatchedPatternError(
                f"{module.path}: the precision of a package's ops is fixed in the package; leave out the float32 patterns"
            )
        with _quiet():
            return Conversion(_described(rewrite(module, target), metadata), FrontEnd("package"))
    check_holdable(state, module, example_inputs, target)
    with state.around(module), stored_weights(module) as coded:
        passes = pipeline or neutral_pipeline()
        conversion = _converted(coded, example_inputs, target, passes, float32, state, interface)
    return replace(conversion, model=_described(conversion.model, metadata))


def _converted(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    target: DeploymentTarget,
    passes: ct.PassPipeline,
    float32: Sequence[str],
    state: RecurrentState,
    interface: ProgramInterface,
) -> Conversion:
    arguments = _arguments(module, len(example_inputs))
    names = interface.input_names(arguments)
    paths = _output_paths(shared_copy(module).eval(), example_inputs)
    outputs = interface.output_names(identifiers(paths, names))
    carried = CarriedState(state, module, (*names, *outputs)) if state else None
    flat = FlatOutputs(shared_copy(module), paths, carried).eval()
    failures: list[str] = []
    refusal: str | None = None
    register_missing_ops()
    given = export_example(interface, arguments, example_inputs)
    front_ends = (("torch.export", _exported, given), ("torch.jit.trace", _traced, example_inputs))
    for name, front_end, example in front_ends[:1] if state.recurrent else front_ends:  # a trace has no state
        program: Any = None
        with failing_node() as failed:
            try:
                with _quiet(), torch.no_grad(), marked_traces():
                    kept = Float32Ops(float32)
                    program, frozen = front_end(flat, example, dynamic_sizes(interface, arguments, example_inputs))
                    inputs = input_types(interface, arguments, example_inputs, program)
                    model = _to_package(program, inputs, outputs, target, passes, kept, classifier(interface))
            except Exception as error:
                words = failure_words(error, program, failed)
                failures.append(f"{name}: {words}")
                refusal = refusal or words
                continue
        kept.check()
        _check_states(model, carried)
        narrowed = narrowed_sizes(interface, arguments, example_inputs, program)
        return Conversion(model, FrontEnd(name, refusal, frozen, narrowed))
    raise ConversionError(
        f"{type(module).__name__} does not convert to Core ML; rewrite the op that is named here, or wrap the module "
        "in one whose forward avoids it. " + "; ".join(failures)
    )


def _described(model: ct.models.MLModel, metadata: Mapping[str, str] | None) -> ct.models.MLModel:
    model.user_defined_metadata.update({str(key): str(value) for key, value in (metadata or {}).items()})
    return model


def _check_states(model: ct.models.MLModel, carried: CarriedState | None) -> None:
    """Raise ConversionError where the program does not hold the state that was asked for, and no other."""
    found = {item.name for item in model.get_spec().description.state}
    wanted = len(carried.names) if carried is not None else 0
    if len(found) != wanted:
        raise ConversionError(
            f"the converted program has the states {', '.join(sorted(found)) or 'none'}, and the model carries "
            f"{', '.join(carried.names) if carried is not None else 'nothing'} from one input to the next"
        )


class FlatOutputs(nn.Module):
    """A module whose outputs, however nested, are one flat tuple of tensors, followed by its carried state.

    Args:
        paths: places of the tensors in what the module returns, from ``outputs.leaves``: a number is a tensor, too,
            while it is traced.
        carried: put into the module before it runs, and taken out of it after.
    """

    def __init__(self, model: nn.Module, paths: Sequence[Path], carried: CarriedState | None = None) -> None:
        super().__init__()
        self.model = model
        self.paths = frozenset(paths)
        self.state = carried

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the module and flatten what it returns; values that are no tensors are dropped."""
        before = self.state.put(self.model) if self.state is not None else []
        found = [value for path, value in leaves(self.model(*inputs)) if path in self.paths]
        if self.state is not None:
            found = [value.clone() for value in found]
            self.state.take(self.model, before)
        # what no op makes is no output to the front ends: an input, a parameter
        given = [*inputs, *self.model.parameters(), *self.model.buffers()]
        return tuple(v.reshape(v.shape) if any(v is other for other in given) else v for v in found)


def _exported(
    module: nn.Module, inputs: tuple[Tensor, ...], sizes: dict[str, Any] | None = None
) -> tuple[Any, tuple[FrozenValue, ...]]:
    exported = torch.export.export(module, inputs, dynamic_shapes=sizes, strict=False)
    return mark_exported(decomposed(exported)), ()


def _traced(
    module: nn.Module, inputs: tuple[Tensor, ...], sizes: dict[str, Any] | None = None
) -> tuple[Any, tuple[FrozenValue, ...]]:
    """Trace; what of the sizes is flexible is said to coremltools alone."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", TracerWarning)
        traced = torch.jit.trace(module, inputs, check_trace=False)  # type: ignore[no-untyped-call]
    apart = shared_copy(module, {id(buffer): buffer.clone() for buffer in module.buffers()})
    return traced, frozen_values(said, data_reads(apart, inputs))


def _to_package(
    program: Any,
    inputs: list[ct.TensorType | ct.ImageType],
    outputs: tuple[str, ...],
    target: DeploymentTarget,
    pipeline: ct.PassPipeline,
    kept: Float32Ops,
    labels: ct.ClassifierConfig | None,
) -> ct.models.MLModel:
    with output_names(outputs):
        model = ct.convert(
            program,
            source="pytorch",
            inputs=inputs,
            outputs=[ct.TensorType(name=name) for name in outputs],
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, str(target)),
            compute_precision=kept.precision,
            classifier_config=labels,
            pass_pipeline=pipeline,
            skip_model_load=True,
        )
    program = mil_program(model)
    if program is not None:
        drop_debug_scopes(program)
    return model


def _check_tensors(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.device.type != "cpu" or parameter.dtype not in (torch.float32, torch.int32, torch.int64):
            raise ConversionError(
                f"parameter {name!r} is {parameter.dtype} on {parameter.device}; conversion needs float32 on the CPU: "
                "call module.float().cpu() first"
            )


def _arguments(module: nn.Module, count: int) -> tuple[str, ...]:
    names = argument_names(module, count)
    if len(names) < count:
        raise ConversionError(f"{type(module).__name__}.forward takes {len(names)} inputs, {count} were given")
    return names


def _output_paths(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Path]:
    """Places of the tensors that one run of the module returns."""
    try:
        paths = _run_on_shapes(module, inputs)
    except Exception:
        paths = None
    try:
        with torch.no_grad():
            paths = paths or [path for path, _ in leaves(module(*inputs))]
    except OutputError as error:
        raise ConversionError(f"what {type(module).__name__}.forward returns does not convert: {error}") from error
    except Exception as error:
        raise ConversionError(
            f"{type(module).__name__} fails on its example inputs: {_first_lines(error)}; correct the forward pass or the "
            "inputs"
        ) from error
    if not paths:
        raise ConversionError(f"{type(module).__name__}.forward returns no tensor")
    return paths


def _run_on_shapes(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Path]:
    """Places of what the module returns, without computing it; in a copy of its own, for it may keep what it computes."""
    apart = shared_copy(module)  # made here: plain tensors among its attributes cannot be copied within the mode
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        return [path for path, _ in leaves(apart(*(mode.from_tensor(tensor) for tensor in inputs)))]


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:400]}"


@contextlib.contextmanager
def unhindered() -> Iterator[None]:
    """Convert without coremltools' check after each of a hundred passes, and without garbage collection of what is there.

    For conversions that are only read, never kept: half of the time on a small model, a fifth on a large one. What is
    exported is checked.
    """
    collecting, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    if not frozen:
        gc.freeze()  # coremltools ends with a full collection, which looks at every object of every imported library
    try:
        with without_validation():
            yield
    finally:
        if not frozen:
            gc.unfreeze()
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the converters' progress bars and advice; their errors still come as exceptions."""
    loggers = [logging.getLogger(name) for name in ("coremltools", "torch.fx.experimental.symbolic_shapes")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
