"""Arguments of the command line in the form of the Python interface: budgets, fixed layers, picks."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import palettune
from palettune.space.errors import UserError

__all__ = ["Budgets", "evaluated_first", "fixes", "words_of"]


@dataclass(frozen=True)
class Budgets:
    """Budgets and fixed choices to solve for.

    Attributes:
        fix: layer name or pattern -> the encoding that it is to have.
        forbid: encodings that no other layer is to have.
    """

    max_size_mb: float | None = None
    max_latency_ms: float | None = None
    fix: Mapping[str, str] = field(default_factory=dict)
    forbid: tuple[str, ...] = ()

    def __str__(self) -> str:
        bounds = [f"{self.max_size_mb:g} MB"] if self.max_size_mb is not None else []
        bounds += [f"{self.max_latency_ms:g} ms"] if self.max_latency_ms is not None else []
        return " and ".join(bounds) + self.options

    @property
    def options(self) -> str:
        """Options beside the budgets, as on the command line."""
        fixed = "".join(f" --fix {shlex.quote(f'{name}={spelling}')}" for name, spelling in self.fix.items())
        return fixed + "".join(f" --forbid {shlex.quote(spelling)}" for spelling in self.forbid)

    def solved(self, run: palettune.Run) -> palettune.Solution:
        """Solve a run for these budgets."""
        return run.solve(
            max_size_mb=self.max_size_mb, max_latency_ms=self.max_latency_ms, fix=self.fix, forbid=self.forbid
        )


def evaluated_first(
    run: palettune.Run,
    budgets: Budgets | None,
    configuration: Path | None,
    *,
    calibrate: bool,
    tracking_uri: str | None,
    observer: palettune.SearchObserver,
) -> palettune.Record | None:
    """Evaluate what ``--solve`` or ``--configuration`` asks to export; ``None`` where neither is given.

    Args:
        budgets: to be solved for.
        configuration: a file that holds one.
    """
    if budgets is not None:
        wanted: palettune.Configuration | Path = budgets.solved(run).configuration
    elif configuration is not None:
        wanted = configuration
    else:
        return None
    origin = f"solved for {budgets}" if budgets is not None else None
    return run.evaluate(wanted, calibrate=calibrate, origin=origin, tracking_uri=tracking_uri, observers=[observer])


def fixes(given: Sequence[str] | None) -> dict[str, str]:
    """Parse ``LAYER=ENC`` into a mapping.

    Raises:
        UserError: a word without ``=``.
    """
    pairs = [(word, *word.rpartition("=")) for word in given or ()]
    for word, layer, _, spelling in pairs:
        if not layer or not spelling:
            raise UserError(f"--fix {word}: expected LAYER=ENCODING, such as --fix classifier=lut8")
    return {layer: spelling for _, layer, _, spelling in pairs}


def words_of(given: Sequence[str] | None) -> list[str]:
    """Split the words of ``--pick``, which may be divided by commas or blanks."""
    return [word for words in given or () for word in words.replace(",", " ").split()]
