"""Record of which front end read a module, and which values of the example became constants."""

from __future__ import annotations

import linecache
import re
import traceback
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.library_internals import TorchDispatchMode, TracerWarning

__all__ = ["DataReads", "FrontEnd", "FrozenValue", "data_reads", "export_refusal", "frozen_values", "words_of_line"]

#: A line of Python: file and number.
Line = tuple[str, int]

_MOST_NAMED = 3
_TORCH = str(Path(torch.__file__).parent)
#: How ``torch.jit.trace`` begins its warnings, and what Python took (torch/csrc/jit and torch/_tensor.py).
_TAKEN = (
    (re.compile(r"Converting a tensor to a Python (\w+)"), "a Python {0}"),
    (re.compile(r"Converting a tensor to a NumPy array"), "a NumPy array"),
    (re.compile(r"Using len to get tensor shape"), "a length"),
    (re.compile(r"Iterating over a tensor"), "the number of iterations of a loop"),
    (re.compile(r"torch\.(\w+) results are registered as constants"), "the result of torch.{0}"),
)
#: These are taken from values whatever torch's dispatcher sees of it.
_UNSEEN = ("a NumPy array", "a Python list", "the result of")
_RAISED_AT = re.compile(r'File "([^"]+)", line (\d+), in')


@dataclass(frozen=True)
class FrozenValue:
    """A value that Python took out of a tensor while a module was traced.

    Attributes:
        taken: what, such as ``a Python boolean``.
        file: where, the full path.
        line: where, from 1.
        source: the line itself.
        from_data: whether it was taken from values; a size alone is the same for all inputs of a package's shape.
    """

    taken: str
    file: str
    line: int
    source: str = ""
    from_data: bool = True

    @property
    def where(self) -> str:
        """File and line, such as ``workload.py:15``."""
        return f"{Path(self.file).name}:{self.line}"

    def __str__(self) -> str:
        return f"{self.taken} at {self.where}" + (f" (`{self.source}`)" if self.source else "")


@dataclass(frozen=True)
class FrontEnd:
    """The front end that read a module.

    Attributes:
        name: ``torch.export``, ``torch.jit.trace``, or ``package`` for a package that was written again.
        refusal: why ``torch.export`` could not, in one line; None where it did or was not asked.
        frozen: values of the example that became constants of the program, in the order of execution.
        narrowed: flexible sizes of which ``torch.export`` followed the model for a part alone, in words.
    """

    name: str = "torch.export"
    refusal: str | None = None
    frozen: tuple[FrozenValue, ...] = ()
    narrowed: tuple[str, ...] = ()

    @property
    def traced(self) -> bool:
        """Whether the program follows the control flow of the example inputs alone."""
        return self.name == "torch.jit.trace"

    @property
    def frozen_text(self) -> str:
        """Frozen values that come from data, the first few by line; empty without any."""
        found = [value for value in self.frozen if value.from_data]
        more = len(found) - _MOST_NAMED
        return ", ".join(map(str, found[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")

    @property
    def sizes_text(self) -> str:
        """Places where the program follows one course of several by size, the first few; empty where none are known."""
        sizes = [f"{value}" for value in self.frozen if not value.from_data]
        return ", ".join([*self.narrowed, *sizes][:_MOST_NAMED])

    @property
    def warning(self) -> str | None:
        """Warning for the user; None where there is nothing to warn of."""
        if not self.traced:
            return None
        text = f"converted by torch.jit.trace because torch.export failed: {self.refusal}"
        if not self.frozen_text:
            return text
        return (
            f"{text}; data-dependent control flow was frozen as example_inputs() took it: {self.frozen_text}. Inputs "
            "that take another path get wrong outputs"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return {
            "front_end": self.name,
            "refusal": self.refusal,
            "frozen": [asdict(value) for value in self.frozen],
            "warning": self.warning,
        }


def frozen_values(said: Iterable[warnings.WarningMessage], reads: DataReads | None) -> tuple[FrozenValue, ...]:
    """Return each value that the tracer froze, with or without a warning, once per line of source.

    Args:
        reads: what takes values out of tensors, from ``data_reads``; None where that is not known.
    """
    found: dict[FrozenValue, None] = {}
    for message in said:
        if issubclass(message.category, TracerWarning):
            line = (message.filename, message.lineno)
            taken = _taken(str(message.message))
            seen = reads is None or taken.startswith(_UNSEEN) or line in reads.lines
            found[FrozenValue(taken, *line, _source(line), seen)] = None
    warned = {(value.file, value.line) for value in found}
    for line, stack in reads.values.items() if reads is not None else ():
        if not stack & warned:
            found[FrozenValue("a Python value", *line, _source(line))] = None
    return tuple(found)


@dataclass
class DataReads:
    """Lines of Python during which values, not only sizes, are taken out of tensors.

    Attributes:
        lines: all of them, callers included.
        values: where Python gets a value, by the innermost line that is not torch's: with all lines around it.
    """

    lines: set[Line] = field(default_factory=set)
    values: dict[Line, set[Line]] = field(default_factory=dict)


def data_reads(module: nn.Module, inputs: tuple[Tensor, ...]) -> DataReads | None:
    """Run a module once, untraced, and return where Python takes values out of tensors; None where the run fails."""
    recorder = _Recorder()
    try:
        with torch.no_grad(), recorder:
            module(*inputs)
    except Exception:
        return None
    return recorder.reads


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes from where ops are called whose results, or their sizes, depend on values."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads = DataReads()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags):
            stack = [(frame.filename, frame.lineno or 0) for frame in reversed(traceback.extract_stack()[:-1])]
            self.reads.lines.update(stack)
            if torch.Tag.data_dependent_output in func.tags:
                innermost = next((line for line in stack if not line[0].startswith(_TORCH)), stack[0])
                self.reads.values.setdefault(innermost, set()).update(stack)
        return func(*args, **(kwargs or {}))


def export_refusal(error: Exception) -> str:
    """Return why a front end failed, in one line, with the user's line where the error names one."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "data-dependent" in text:
        summary = "forward() turns a tensor's data into a Python value"
    else:
        summary = f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
    at = words_of_line(text)
    return f"{summary} at {at}" if at else summary


def words_of_line(trace: str, without: str | None = None) -> str:
    """Return the innermost line of Python that a trace names, such as ``net.py:12 (`return x.item()`)``; empty without.

    Args:
        trace: text with lines as Python writes them in a traceback.
        without: folder whose files are passed over.
    """
    lines = [
        (file, int(line)) for file, line in _RAISED_AT.findall(trace) if not (without and file.startswith(without))
    ]
    if not lines:
        return ""
    file, number = lines[-1]
    source = _source((file, number))
    return f"{Path(file).name}:{number}" + (f" (`{source}`)" if source else "")


def _source(line: Line) -> str:
    """A line of a source file without its indentation; empty where there is none."""
    return linecache.getline(*line).strip()


def _taken(message: str) -> str:
    for pattern, words in _TAKEN:
        match = pattern.match(message)
        if match:
            return words.format(*match.groups())
    return message.splitlines()[0][:120]
