"""What read a module for conversion, and which values of the example it made constants of the program."""

from __future__ import annotations

import linecache
import re
import sys
import warnings
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["FrontEnd", "FrozenValue", "data_reads", "export_refusal", "frozen_values"]

#: A line of Python: file and number.
Line = tuple[str, int]

_MOST_NAMED = 3
#: How ``torch.jit.trace`` begins its warnings, and what Python took (torch/csrc/jit and torch/_tensor.py).
_TAKEN = (
    (re.compile(r"Converting a tensor to a Python (\w+)"), "a Python {0}"),
    (re.compile(r"Converting a tensor to a NumPy array"), "a NumPy array"),
    (re.compile(r"Using len to get tensor shape"), "a length"),
    (re.compile(r"Iterating over a tensor"), "the number of turns of a loop"),
    (re.compile(r"torch\.(\w+) results are registered as constants"), "the result of torch.{0}"),
)
#: These are taken from values whatever torch's dispatcher sees of it.
_UNSEEN = ("a NumPy array", "a Python list", "the result of")
_RAISED_AT = re.compile(r'File "([^"]+)", line (\d+), in')


@dataclass(frozen=True)
class FrozenValue:
    """Something that Python took out of a tensor while a module was traced.

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
        """``workload.py:15``."""
        return f"{Path(self.file).name}:{self.line}"

    def __str__(self) -> str:
        return f"{self.taken} at {self.where}" + (f" (`{self.source}`)" if self.source else "")


@dataclass(frozen=True)
class FrontEnd:
    """What read a module.

    Attributes:
        name: ``torch.export``, ``torch.jit.trace``, or ``package`` where a package was written again.
        refusal: why ``torch.export`` could not, in one line; None where it did or was not asked.
        frozen: what the program keeps of the example's course, in the order of execution.
    """

    name: str = "torch.export"
    refusal: str | None = None
    frozen: tuple[FrozenValue, ...] = ()

    @property
    def traced(self) -> bool:
        """Whether the program is the course of the example inputs alone."""
        return self.name == "torch.jit.trace"

    @property
    def frozen_text(self) -> str:
        """The frozen values that come from data in words, the first few by line; empty when there are none."""
        found = [value for value in self.frozen if value.from_data]
        more = len(found) - _MOST_NAMED
        return ", ".join(map(str, found[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")

    @property
    def warning(self) -> str | None:
        """What a user should know of it; None when there is nothing."""
        if not self.traced:
            return None
        text = f"converted by torch.jit.trace because torch.export failed: {self.refusal}"
        if not self.frozen_text:
            return text
        return (
            f"{text}; data-dependent control flow was frozen to what example_inputs() give: {self.frozen_text}. Inputs "
            "for which it is another get wrong outputs"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "front_end": self.name,
            "refusal": self.refusal,
            "frozen": [asdict(value) for value in self.frozen],
            "warning": self.warning,
        }


def frozen_values(said: Iterable[warnings.WarningMessage], reads: Collection[Line] | None) -> tuple[FrozenValue, ...]:
    """Each value that the tracer warns of, once for each line that took it.

    Args:
        reads: lines that read values of tensors, from ``data_reads``; None where they are not known.
    """
    found: dict[FrozenValue, None] = {}
    for message in said:
        if issubclass(message.category, TracerWarning):
            source = linecache.getline(message.filename, message.lineno).strip()
            taken = _taken(str(message.message))
            seen = reads is None or taken.startswith(_UNSEEN) or (message.filename, message.lineno) in reads
            found[FrozenValue(taken, message.filename, message.lineno, source, seen)] = None
    return tuple(found)


def data_reads(module: nn.Module, inputs: tuple[Tensor, ...]) -> set[Line] | None:
    """The lines of Python during which a module's forward pass takes values, and not only sizes, out of tensors.

    The module is run once, untraced, from the buffers given here; None where that fails.
    """
    recorder = _Reads()
    try:
        with torch.no_grad(), recorder:
            module(*inputs)
    except Exception:
        return None
    return recorder.lines


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes from where ops are called whose results, or their sizes, depend on values."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: set[Line] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags):
            frame = sys._getframe(1)
            while frame is not None:
                self.lines.add((frame.f_code.co_filename, frame.f_lineno))
                frame = frame.f_back  # type: ignore[assignment]
        return func(*args, **(kwargs or {}))


def export_refusal(error: Exception) -> str:
    """Why a front end failed, in one line, with the user's line where the error names one."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "data-dependent" in text:
        summary = "forward() asks Python for a value that only the data give"
    else:
        summary = f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
    at = _RAISED_AT.findall(text)
    if not at:
        return summary
    file, number = at[-1]
    source = linecache.getline(file, int(number)).strip()
    return f"{summary} at {Path(file).name}:{number}" + (f" (`{source}`)" if source else "")


def _taken(message: str) -> str:
    for pattern, words in _TAKEN:
        match = pattern.match(message)
        if match:
            return words.format(*match.groups())
    return message.splitlines()[0][:120]
