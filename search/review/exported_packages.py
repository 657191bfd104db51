"""The packages exported from a search, as its run folder remembers them: wherever they are, their proofs are shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palettune.search.results.packages.export import Exported

__all__ = ["ExportedPackage", "exported_packages", "remember_packages"]


@dataclass(frozen=True)
class ExportedPackage:
    """One package and its proof.

    Attributes:
        search_id: of the search that it was exported from.
        package: its name.
        path: where it was written.
        passed: whether it was proven.
        words: what was compared, or everything that is wrong with it.
        coverage: bytes of layers over those of all large constants.
    """

    search_id: str
    package: str
    path: str
    trial: int
    passed: bool
    words: str
    coverage: float | None

    @classmethod
    def of(cls, item: Exported, search_id: str) -> ExportedPackage:
        """Summarize an exported package."""
        words = "; ".join(item.failures) or f"{len(item.proof.layers)} layers; when run: {item.execution.figures}"
        where = str(item.path.resolve())
        return cls(search_id, item.path.name, where, item.record.trial, item.proven, words, item.coverage)


def remember_packages(path: Path, search_id: str, exported: Sequence[Exported]) -> None:
    """Add packages to those of earlier exports; of one that is written again, the last is kept.

    Args:
        path: of the run folder's list.
    """
    found = {package.path: package for package in exported_packages(path)}
    found |= {package.path: package for package in (ExportedPackage.of(item, search_id) for item in exported)}
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps([asdict(package) for package in found.values()], indent=1) + "\n")
    temporary.replace(path)


def exported_packages(path: Path) -> list[ExportedPackage]:
    """Read the packages of a run folder's list, the earliest first; none where nothing was exported."""
    with suppress(OSError, ValueError, TypeError):
        listed: list[Mapping[str, Any]] = json.loads(path.read_text())
        return [ExportedPackage(**item) for item in listed]
    return []
