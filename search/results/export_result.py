"""Result of an export: proven packages and their manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

    from palettune.search.results.packages.export import Exported

__all__ = ["ExportResult"]


@dataclass(frozen=True, repr=False)
class ExportResult:
    """Packages and their manifest.

    Attributes:
        manifest: path of ``manifest.json``.
        tracking_problem: why MLflow does not list the packages; ``None`` where it does, or was not asked.
    """

    packages: tuple[Exported, ...]
    manifest: Path
    tracking_problem: str | None = None

    @property
    def proven(self) -> bool:
        """Whether every package holds what was asked for and computes what the model does."""
        return all(item.proven for item in self.packages)

    def __len__(self) -> int:
        return len(self.packages)

    def __iter__(self) -> Iterator[Exported]:
        return iter(self.packages)

    def __getitem__(self, index: int) -> Exported:
        return self.packages[index]

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each package: trial, bytes, whether it is proven, and what failed."""
        import pandas

        rows = [
            {
                "package": item.path.name,
                "trial": item.record.trial,
                "workflow": item.record.workflow,
                "weight_bytes": item.weight_bytes,
                "package_bytes": item.package_bytes,
                "divergence": item.record.evaluation.divergence if item.record.evaluation else None,
                "proven": item.proven,
                "failures": "; ".join(item.failures),
            }
            for item in self.packages
        ]
        return pandas.DataFrame(rows, columns=None if rows else ["package"]).set_index("package")

    def __repr__(self) -> str:
        proven = sum(item.proven for item in self.packages)
        return f"ExportResult({len(self.packages)} packages, {proven} proven; {self.manifest})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.to_frame().to_html()}"
