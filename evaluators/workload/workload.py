"""Workloads: the user's model, data and metrics, from one Python file of plain functions."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.module_layers import weightless
from palettune.device_bench.model.outputs import OutputError, map_tensors
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.evaluators.computed_weights.computed_folding import fold_computed
from palettune.evaluators.torch_programs.operators import TorchProgramError
from palettune.evaluators.torch_programs.torch_programs import as_module, is_program_file, read_program, without_scripts
from palettune.evaluators.weights.content_hash import tensors_digest
from palettune.evaluators.workload.axes_search import find_axes
from palettune.evaluators.workload.data_options import DataOptions
from palettune.evaluators.workload.float_model import (
    LoadingError,
    check_loadable,
    held_alike,
    same_memory,
    take_to_float32,
    to_float32,
    untangle,
)
from palettune.evaluators.workload.folding import fold
from palettune.evaluators.workload.outputs import (
    concatenate,
    first_non_finite_module,
    flatten,
    floating_outputs,
    joined_outputs,
)
from palettune.evaluators.workload.sample_axes import WHOLE
from palettune.evaluators.workload.sample_groups import SampleGroupsError, as_groups
from palettune.evaluators.workload.sampling import Sampling
from palettune.evaluators.workload.state_check import StateCheckError, close, find_state, floats, seeded
from palettune.evaluators.workload.torch_defaults import TorchDefaults
from palettune.evaluators.workload.workload_imports import import_beside, import_workload, importable
from palettune.evaluators.workload.workload_object import (
    WorkloadError,
    WorkloadObject,
    WorkloadSource,
    detached_copy,
    require_functions,
    require_workload_file,
)
from palettune.space.errors import UserError

__all__ = ["Batch", "Split", "Workload", "WorkloadError", "load_workload"]


class Split(StrEnum):
    """Part of the workload's data; the value is the name of the function that returns it."""

    EVALUATION = "evaluation_data"
    CALIBRATION = "calibration_data"
    CONFIRMATION = "confirmation_data"
    TRAINING = "training_data"


@dataclass(frozen=True)
class Batch:
    """Inputs for one forward pass and their targets (``None`` without labels)."""

    inputs: tuple[Tensor, ...]
    targets: Any


class Workload:
    """The functions of one workload, each called once, checked and kept.

    Args:
        source: the file, or the module or object that has the functions.
        functions: the imported file; the module or object itself.
        options: what the experiment says of the data.
        operands: whether large tensors that ops take as they are, such as a table that is added, are layers, too: those
            that are computed from the model's own become parameters.

    Attributes:
        path: of the file; the name of a module or object, for messages.
        notes: what the user should know of how the model or the data were taken, in words; each once.
    """

    def __init__(
        self,
        source: WorkloadSource,
        functions: object,
        options: DataOptions = DataOptions(),  # noqa: B008 (frozen)
        defaults: TorchDefaults | None = None,
        *,
        operands: bool = True,
    ) -> None:
        self.path = Path(str(source))
        self.source = source
        self.options = options
        self._operands = operands
        self._own = defaults or TorchDefaults.now()
        self.notes: list[str] = []
        self._functions = functions
        self._changes = ""  # what was done to the model's types and place, in words
        self._batches: dict[Split, tuple[Batch, ...]] = {}

    @property
    def scoring_split(self) -> Split:
        """Data that scores are taken on: calibration data where there are some, so that evaluation data stay unseen."""
        return Split.CALIBRATION if self.offers(Split.CALIBRATION.value) else Split.EVALUATION

    def offers(self, function: str) -> bool:
        """Return whether an optional function is defined."""
        return callable(getattr(self._functions, function, None))

    def note(self, words: str) -> None:
        """Add a note for the user, once."""
        if words not in self.notes:
            self.notes.append(words)

    @cached_property
    def model(self) -> nn.Module:
        """Float model in evaluation mode, without gradients; a package is run by the reference runtime."""
        with torch.inference_mode(False):  # whoever asks first may be in it
            model = self._call("model")
        if isinstance(model, (str, Path)) and not is_program_file(model):
            return self._package(model)
        try:
            with torch.inference_mode(False):
                model = read_program(self._folder / model) if isinstance(model, (str, Path)) else as_module(model)
            check_loadable(model)
            if isinstance(self.source, WorkloadObject):  # its owner goes on with the model as it is
                model = detached_copy(model)
            with torch.inference_mode(False):
                self._take(model)
        except LoadingError as error:
            raise self._error("model", str(error)) from error
        except TorchProgramError as error:
            raise self._error("model", f"returned a program of torch that cannot be used: {error}") from error
        return model  # type: ignore[no-any-return]

    def _take(self, model: nn.Module) -> None:
        """Convert a module to float32 on the CPU, with every layer's weight a plain parameter."""
        without_scripts(model)
        model.eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        tied = held_alike(model)
        changes = take_to_float32(model)
        self._changes = "; ".join(changes)
        for words in changes:
            self.note(f"{self.path}: model(): {words}")
        with contextlib.suppress(
            WorkloadError
        ):  # made before a run is recorded, lest they count as the model's own tensors
            _ = self.example_inputs
        run = lambda: self._run("example_inputs", self.example_inputs, model)  # noqa: E731
        fold(model, run)
        unfolded = fold_computed(model, run, lambda: self._run_twofold(model), operands=self._operands)
        if unfolded is not None:
            self.note(f"{self.path}: model(): {unfolded}")
        same_memory(tied)
        untangle(model)

    @property
    def kept(self) -> Mapping[str, str]:
        """Reasons why constants of a package, or modules of a torch model, are no layers, by name."""
        return self.model.kept if isinstance(self.model, PackageModule) else weightless(self.model)

    def _package(self, path: str | Path) -> PackageModule:
        try:
            return PackageModule(self._folder / path, self._operands)
        except UserError as error:
            raise self._error(
                "model",
                "returned a path; expected a torch.nn.Module, a program of torch (.pt, .pth, .pt2), or the path of an "
                f".mlpackage with one ML Program that can be read: {error}",
            ) from error

    @property
    def _folder(self) -> Path:
        return self.source.folder if isinstance(self.source, WorkloadObject) else self.source.parent

    @cached_property
    def example_inputs(self) -> tuple[Tensor, ...]:
        """Example inputs of batch 1, with which the model is converted."""
        inputs = self._call("example_inputs")
        if isinstance(inputs, Tensor):
            raise self._error("example_inputs", "returned a tensor; expected a tuple of tensors: `return (tensor,)`")
        self._check_inputs("example_inputs", inputs, "its result")
        return self._taken("example_inputs", inputs)

    def batches(self, split: Split) -> tuple[Batch, ...]:
        """Return all batches of one split, read once and kept in memory."""
        if split not in self._batches:
            # whoever asks first may be in inference mode, whose tensors no training can use
            with torch.inference_mode(False):
                self._batches[split] = tuple(self._read(split))
        return self._batches[split]

    def stream(self, split: Split) -> Iterator[Batch]:
        """Iterate over the batches of a split, read anew and not kept in memory."""
        return iter(self._read(split))

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """Compute the user's training loss: a tensor of one number, differentiable where the outputs are.

        Raises:
            WorkloadError: ``loss`` is not defined, fails, or returns something else.
        """
        if not self.offers("loss"):
            raise self._error("loss", "is not defined")
        value = self._call("loss", outputs, targets)
        if not isinstance(value, Tensor) or value.numel() != 1:
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise self._error("loss", f"returned {found}; expected a tensor of one number")
        if torch.is_grad_enabled() and not value.requires_grad:
            raise self._error(
                "loss", "returned a tensor without gradient; compute it from the outputs without detach()"
            )
        return value.reshape(())

    def class_labels(self, function: str) -> Sequence[Any]:
        """Return what a function of the workload's own gives as the labels of the classes: a list or a tuple.

        Raises:
            WorkloadError: there is no such function, it fails, or it returns something else.
        """
        if not self.offers(function):
            raise self._error(function, "is not defined; `labels.function` names a function of the workload")
        labels = self._call(function)
        if not isinstance(labels, (list, tuple)):
            raise self._error(function, f"returned a {type(labels).__name__}; expected a list of labels")
        return labels

    def groups(self, split: Split, samples: int) -> tuple[int, ...]:
        """Return the group number of each sample of a split; empty where every sample is a source of its own.

        Args:
            samples: how many the split has.

        Raises:
            WorkloadError: there is no such function, it fails, or it returns something else.
        """
        name = self.options.groups
        if name is None:
            return ()
        try:
            with self._defaults():
                returned = self._function(name)(split.value, samples)
            return as_groups(returned, samples)
        except SampleGroupsError as error:
            raise self._error(name, f"{error} (of {split.value})") from None
        except Exception as error:
            raise self._error(name, f"failed: {type(error).__name__}: {error} (`data.groups` names it)") from error

    def _function(self, name: str) -> Any:
        """A function of the workload, or of a module beside its file."""
        module, _, function = name.rpartition(".")
        if module and isinstance(self.source, Path):
            return getattr(import_beside(self.source, module), function)
        found: Any = self._functions
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def digest(self, split: Split) -> str:
        """Return the content hash of the inputs of one split."""
        return tensors_digest(value for batch in self.batches(split) for value in batch.inputs)

    def targets_digest(self, split: Split) -> str:
        """Return the content hash of the targets of one split; values that are no tensors count as they print."""
        targets = [batch.targets for batch in self.batches(split)]
        printed = repr(map_tensors(lambda value: tensors_digest([value]), targets))
        text = re.sub(r" at 0x[0-9a-f]+", "", printed)  # an object that prints its address is the same elsewhere
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def metrics(
        self, outputs: list[Any], split: Split = Split.EVALUATION, batches: Sequence[Batch] | None = None
    ) -> dict[str, float]:
        """Compute the user's metrics over all batches of a split; empty if the file defines none.

        Args:
            outputs: the model's outputs by batch, in the order of ``batches(split)``.
            split: the data.
            batches: the batches that the outputs belong to, if not all of the split.
        """
        if not self.offers("metrics"):
            return {}
        targets = concatenate([batch.targets for batch in batches or self.batches(split)], self._along)
        try:
            joined = joined_outputs(outputs, self._along)
        except OutputError as error:
            raise self._error("model", f"returned what metrics() cannot be given over all batches: {error}") from error
        result = self._call("metrics", joined, targets)
        if not isinstance(result, Mapping) or not all(isinstance(key, str) for key in result):
            raise self._error("metrics", f"returned {type(result).__name__}; expected a dict of floats by name")
        values = {}
        for key, value in result.items():
            try:
                values[key] = float(value)
            except (TypeError, ValueError):
                raise self._error("metrics", f"gave {key!r} = {value!r}; expected a float") from None
            if not math.isfinite(values[key]):
                raise self._error("metrics", f"gave {key!r} = {values[key]}; expected a finite number")
        return values

    @property
    def _along(self) -> int | None:
        """The axis that outputs of several batches are joined along; ``None`` where batches are samples."""
        sampling = self.sampling
        return None if sampling.axes.whole and not sampling.recurrent else sampling.axes.main

    def check(self) -> Any:
        """Run the model on the example and the first evaluation batches; return the outputs for the first batch.

        Raises:
            WorkloadError: a forward pass fails, an output is missing or not finite (the layer is named), or the model
                keeps state that cannot be restored.
        """
        return self._looked[1]

    @property
    def sampling(self) -> Sampling:
        """Axes of samples and state of the model, found by running it on the example and the first evaluation batches.

        Raises:
            WorkloadError: as for ``check``.
        """
        return self._looked[0]

    @cached_property
    def _looked(self) -> tuple[Sampling, Any]:
        example = self.example_inputs

        def run(inputs: tuple[Tensor, ...]) -> Any:
            with seeded():
                return self._forward("example_inputs" if inputs is example else "evaluation_data", inputs)

        items = [batch.inputs for batch in self.batches(Split.EVALUATION)[:4]]
        try:
            state, outputs = find_state(self.model, run, example, items[:2], self.options.sequence)
        except StateCheckError as error:
            raise self._error("model", f"gives a model that cannot be evaluated again and again: {error}") from error
        if state.recurrent:
            return Sampling(WHOLE, state, self.options.sequence), outputs

        def quietly(inputs: tuple[Tensor, ...], seed: int = 0) -> list[Tensor]:
            with seeded(seed), torch.inference_mode(), state.around(self.model):
                return floats(self.model(*inputs))

        def random() -> bool:
            return not close(quietly(items[0], 1), quietly(items[0], 2), 0.0)

        axes = find_axes(quietly, items, floats(outputs), self.options.batch_axis, random)
        return Sampling(axes, state, self.options.sequence), outputs

    def _forward(self, function: str, inputs: tuple[Tensor, ...]) -> Any:
        model = self.model
        with torch.inference_mode():
            outputs = self._run(function, inputs, model)
        try:
            named = flatten(outputs)
        except OutputError as error:
            raise self._error("model", f"gives outputs that cannot be compared: {error}") from error
        for name, value in named:
            if value.is_complex():
                raise self._error("model", f"gave complex numbers at {name}; return torch.view_as_real(...) of them")
        if not floating_outputs(outputs):
            raise self._error("model", "gave no floating-point output; a divergence needs one")
        for name, value in named:
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                layer = first_non_finite_module(self.model, inputs)
                where = f"; the first layer to give one is {layer!r}" if layer else ""
                raise self._error("model", f"{name} of the float model is not finite (NaN or infinite){where}")
        return outputs

    def _run(self, function: str, inputs: tuple[Tensor, ...], model: nn.Module) -> Any:
        try:
            return model(*inputs)
        except Exception as error:
            shapes = ", ".join(f"{value.dtype}{tuple(value.shape)}" for value in inputs)
            why = f"gave inputs ({shapes}) on which the model fails: {type(error).__name__}: {error}"
            if self._changes:
                why += (
                    f" ({self._changes}; if something in its forward names a type or a device, such as .half(), "
                    ".to(torch.bfloat16) or .cuda(), take that of its input or weight there, x.to(self.weight.dtype))"
                )
            raise self._error(function, why) from error

    def _run_twofold(self, model: nn.Module) -> Any:
        return model(*(torch.cat([value, value]) for value in self.example_inputs))

    def _read(self, split: Split) -> Iterable[Batch]:
        if not self.offers(split.value):
            raise self._error(split.value, "is not defined; define it, or leave out what needs it")
        data = self._call(split.value)
        count = 0
        try:
            iterator = iter(data)
        except TypeError:
            raise self._error(
                split.value, f"returned a {type(data).__name__}; expected an iterable of (inputs_tuple, targets)"
            ) from None
        while True:
            try:
                with self._defaults():
                    item = next(iterator)
            except StopIteration:
                break
            except Exception as error:
                raise self._error(split.value, f"failed at item {count}: {type(error).__name__}: {error}") from error
            if not isinstance(item, (tuple, list)) or len(item) != 2:
                raise self._error(split.value, f"item {count} is not a pair (inputs_tuple, targets_or_None)")
            self._check_inputs(split.value, item[0], f"the inputs of item {count}")
            yield Batch(self._taken(split.value, item[0]), map_tensors(_to_cpu, item[1]))
            count += 1
        if count == 0:
            raise self._error(split.value, "gave no data; expected at least one (inputs_tuple, targets)")

    def _check_inputs(self, function: str, inputs: Any, what: str) -> None:
        if not isinstance(inputs, (tuple, list)) or not all(isinstance(value, Tensor) for value in inputs):
            raise self._error(function, f"{what}: expected a tuple of tensors, got {type(inputs).__name__}")
        if not inputs:
            raise self._error(function, f"{what}: the tuple is empty; expected at least one tensor")

    def _taken(self, function: str, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Inputs as the model takes them: float32 where they are floats, on the CPU."""
        for value in inputs:
            if value.is_meta:
                raise self._error(function, "gave inputs on the meta device, which hold no values")
            if value.is_floating_point() and value.dtype is not torch.float32:
                kind = str(value.dtype).removeprefix("torch.")
                self.note(f"{self.path}: {function}(): inputs are {kind}: converted to float32")
            if value.device.type != "cpu":
                self.note(f"{self.path}: {function}(): inputs are on {value.device}: moved to the CPU")
        return tuple(map(to_float32, inputs))

    @contextlib.contextmanager
    def _defaults(self) -> Iterator[None]:
        """The workload's default type and device, and a file's folder, while its functions run; ours again after them."""
        ours = TorchDefaults.now()
        self._own.set()
        try:
            with importable(self._folder) if isinstance(self.source, Path) else contextlib.nullcontext():
                yield
        finally:
            self._own = TorchDefaults.now()
            ours.set()

    def _call(self, function: str, *arguments: Any) -> Any:
        try:
            with self._defaults():
                return getattr(self._functions, function)(*arguments)
        except Exception as error:
            raise self._error(function, f"failed: {type(error).__name__}: {error}") from error

    def _error(self, function: str, problem: str) -> WorkloadError:
        return WorkloadError(f"{self.path}: {function}() {problem}")


def load_workload(
    source: WorkloadSource,
    options: DataOptions = DataOptions(),  # noqa: B008 (frozen)
    *,
    operands: bool = True,
) -> Workload:
    """Load a workload file, whose neighbouring modules only it can import; or functions in memory.

    Args:
        source: path of the Python file, or an object with the same functions.
        options: the experiment's options for the data.
        operands: as for ``Workload``.

    Raises:
        WorkloadError: the file is missing, does not import, or lacks a required function.
    """
    if isinstance(source, WorkloadObject):
        return Workload(source, source.functions, options, source.defaults, operands=operands)
    path = Path(source).resolve()
    require_workload_file(path)
    ours = TorchDefaults.now()
    try:
        module = import_workload(path)
    except Exception as error:
        raise WorkloadError(f"{path}: does not import: {type(error).__name__}: {error}") from error
    finally:
        own = TorchDefaults.now()
        ours.set()
    require_functions(str(path), module)
    return Workload(path, module, options, own, operands=operands)


def _to_cpu(value: Tensor) -> Tensor:
    return value if value.device.type == "cpu" else value.cpu()
