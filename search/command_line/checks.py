"""Checks of what a command is given, before anything is imported that takes seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from palettune.evaluators.workload.workload_object import require_workload_file
from palettune.space.errors import UserError

if TYPE_CHECKING:
    from palettune.search.experiment.experiment import Experiment

__all__ = ["check_export_options", "checked_experiment", "checked_recipes"]

_SOLVED = "--solve finds one configuration for --max-size-mb and --max-latency-ms"
_GIVEN = "--configuration names what is exported, whatever its figures"
_TOGETHER = (
    (("--solve", "--configuration"), "say one of them"),
    (("--solve", "--pick"), f"{_SOLVED}; export members of the front by a command of their own, into the same folder"),
    (("--solve", "--max-divergence"), f"{_SOLVED}; leave --max-divergence out"),
    *((("--configuration", bound), f"{_GIVEN}; leave {bound} out") for bound in ("--max-size-mb", "--max-latency-ms")),
    (("--configuration", "--max-divergence"), f"{_GIVEN}; leave --max-divergence out"),
)
"""Options that do not go together, and what to do."""
_ALONE = (
    ("--calibrate", ("--solve", "--configuration"), "say of what; trials are exported as they are"),
    ("--fix", ("--solve",), "it restricts what is solved; trials are exported as they are"),
    ("--forbid", ("--solve",), "it restricts what is solved; trials are exported as they are"),
)
"""Options that need one of others, and why."""


def checked_experiment(path: Path) -> Experiment:
    """Read an experiment file, and see that its workload file is there.

    Raises:
        UserError: naming the file or the key.
    """
    from palettune.search.experiment.experiment import Experiment  # loads pydantic, of which completion needs none

    experiment = Experiment.load(path)
    if isinstance(experiment.workload, Path):
        require_workload_file(experiment.workload)
    return experiment


def checked_recipes(experiment: Experiment, also: Sequence[Path] | None) -> list[Path]:
    """Read every recipe that a search is to be compared with; give those that the experiment does not name.

    Raises:
        UserError: naming the file and the entry.
    """
    from palettune.search.experiment.recipes.recipe_file import read_recipe  # loads the experiment's module

    given = list(also or ())
    for path in (*experiment.compare.recipes, *given):
        read_recipe(path)
    return given


def check_export_options(given: Mapping[str, object]) -> None:
    """See that the options of an export go together: none is left unheard.

    Args:
        given: values by option; ``None``, false or empty where it was not given.

    Raises:
        UserError: naming two that do not, or one that says nothing without another.
    """
    said = {name for name, value in given.items() if value is not None and value is not False and value != []}
    for pair, words in _TOGETHER:
        if said.issuperset(pair):
            raise UserError(f"{' and '.join(pair)}: {words}")
    for option, needed, words in _ALONE:
        if option in said and not said.intersection(needed):
            raise UserError(f"{option} without {' or '.join(needed)}: {words}")
