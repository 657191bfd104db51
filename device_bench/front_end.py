"""What read a module for conversion, and which values of the example it made constants of the program."""

from __future__ import annotations

import linecache
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.jit._trace import TracerWarning

__all__ = ["FrontEnd", "FrozenValue", "export_refusal", "frozen_values"]

_MOST_NAMED = 3
#: How ``torch.jit.trace`` begins its warnings, and what Python took (torch/csrc/jit and torch/_tensor.py).
_TAKEN = (
    (re.compile(r"Converting a tensor to a Python (\w+)"), "a Python {0}"),
    (re.compile(r"Converting a tensor to a NumPy array"), "a NumPy array"),
    (re.compile(r"Using len to get tensor shape"), "a length"),
    (re.compile(r"Iterating over a tensor"), "the number of turns of a loop"),
    (re.compile(r"torch\.(\w+) results are registered as constants"), "the result of torch.{0}"),
)
_RAISED_AT = re.compile(r'File "([^"]+)", line (\d+), in')


@dataclass(frozen=True)
class FrozenValue:
    """Something that Python took out of a tensor while a module was traced.

    Attributes:
        taken: what, such as ``a Python boolean``.
        file: where, the full path.
        line: where, from 1.
        source: the line itself.
    """

    taken: str
    file: str
    line: int
    source: str = ""

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
        """The frozen values in words, the first few by line; empty when there are none."""
        if not self.frozen:
            return ""
        named = ", ".join(map(str, self.frozen[:_MOST_NAMED]))
        more = len(self.frozen) - _MOST_NAMED
        return f"{named}{f' and {more} more' if more > 0 else ''}"

    @property
    def warning(self) -> str | None:
        """What a user should know of it; None when there is nothing."""
        if not self.traced:
            return None
        text = f"converted by torch.jit.trace because torch.export failed: {self.refusal}"
        if not self.frozen:
            return text
        return (
            f"{text}; taken from a tensor and frozen to its value on example_inputs(): {self.frozen_text}. Where it "
            "depends on the data (and not on shapes alone), the package computes something else than the model"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "front_end": self.name,
            "refusal": self.refusal,
            "frozen": [{"taken": v.taken, "file": v.file, "line": v.line, "source": v.source} for v in self.frozen],
            "warning": self.warning,
        }


def frozen_values(said: Iterable[warnings.WarningMessage]) -> tuple[FrozenValue, ...]:
    """Each value that the tracer warns of, once for each line that took it."""
    found: dict[FrozenValue, None] = {}
    for message in said:
        if issubclass(message.category, TracerWarning):
            source = linecache.getline(message.filename, message.lineno).strip()
            found[FrozenValue(_taken(str(message.message)), message.filename, message.lineno, source)] = None
    return tuple(found)


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
