"""Whose search a study is: what of an experiment and its workload must be as it was, and what only has to be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palettune.evaluators.workload.workload_object import WorkloadObject
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.renamed_keys import with_new_names
from palettune.search.experiment.workload_file import workload_digest
from palettune.space.errors import UserError

__all__ = ["FORMAT", "StudyError", "check_format", "check_identity", "check_workload"]

FORMAT = 1
_WAY_OUT = "start afresh with --fresh (weights and scores are kept), or give the experiment another name"


class StudyError(UserError):
    """A study that cannot be opened or gone on with."""


def check_format(name: str, made: object) -> None:
    """Refuse a study of another format.

    Raises:
        StudyError: saying which.
    """
    if made != FORMAT:
        raise StudyError(
            f"the run folder of {name!r} was made by another version of Palettune (format {made}, this one reads and "
            f"writes {FORMAT}); {_WAY_OUT}"
        )


def check_workload(experiment: Experiment, identity: Mapping[str, Any], path: str | None) -> tuple[str, ...]:
    """Refuse another experiment's study, which only the name is the same of; give what is to be noted of its own.

    Raises:
        StudyError: naming both workloads.
    """
    text = identity.get("workload_file")
    if isinstance(experiment.workload, WorkloadObject):  # known by its weights and data, which are not loaded here
        return (f"the search is of the workload file {path}; what is shown is of it",) if text is not None else ()
    same, note = _compare_workload(experiment.workload, path, text)
    if same:
        return (note,) if note else ()
    raise StudyError(
        f"the search of the name {experiment.name!r} {note}; --root names the folder of this one's own search, or give "
        "one of the experiments another name"
    )


def _compare_workload(asked: Path, searched: str | None, text: str | None) -> tuple[bool, str | None]:
    """Whether a study may be shown for an experiment, and what is to be said about their workloads.

    A file that was moved or edited is still the same workload; another file with another text is another one.

    Args:
        asked: the workload file that the experiment names.
        searched: the path of the one that was searched; ``None`` in studies that do not tell.
        text: ``workload_digest`` of the one that was searched; ``None`` likewise.
    """
    try:
        same_text = text is None or workload_digest(asked) == text
    except OSError as error:
        was = f"{searched}, as it was searched" if searched else "the workload as it was searched"
        return True, f"{asked}: cannot be read ({error.strerror}); what is shown is of {was}"
    same_path = searched is None or asked == Path(searched)
    if same_text:
        if same_path or not Path(searched or "").is_file():  # moved, or on another machine
            return True, None
        return True, f"the search is of {searched}, whose text is the same as that of {asked}"
    if same_path:
        return True, f"{asked} has changed since the search; what is shown is of the workload as it was searched"
    return False, f"is of the workload {searched}, and this experiment's is {asked}, another file with another text"


def check_identity(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse to go on with a study that another tool version or another experiment made.

    Raises:
        StudyError: saying what changed.
    """
    if old:  # keys that came later had their defaults
        experiment, _ = with_new_names(old.get("experiment", {}))
        old = {**old, "experiment": _filled(experiment, _defaults())}
    changes = list(_differences(old, new))
    if changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise StudyError(f"the experiment {name!r} is not the one that its run folder holds:\n{listed}\n{_WAY_OUT}")


def _defaults() -> dict[str, Any]:
    return Experiment(name="any", workload=Path("any")).identity()


def _filled(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Values with defaults for the keys that they lack, in every section."""
    filled = {**defaults, **values}
    for key, value in filled.items():
        if isinstance(value, Mapping) and isinstance(defaults.get(key), Mapping):
            filled[key] = _filled(value, defaults[key])
    return filled


def _differences(old: Any, new: Any, path: str = "") -> Sequence[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: list[str] = []
        for key in (*old, *(key for key in new if key not in old)):
            where = f"{path}.{key}" if path else str(key)
            if key not in new or key not in old:
                found.append(f"{where}: was {old.get(key)!r}, is {new.get(key)!r}")
            else:
                found.extend(_differences(old[key], new[key], where))
        return found
    return [] if old == new else [f"{path}: was {old!r}, is {new!r}"]
