"""Result of applying a configuration to a model, beside that of the former weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas

from palettune.search.api.stored_configuration import FormerResult
from palettune.search.results.export_result import ExportResult
from palettune.search.results.formatting import digits
from palettune.search.study.record import Record

__all__ = ["Applied"]


@dataclass(frozen=True, repr=False)
class Applied:
    """A configuration applied to new weights.

    Attributes:
        record: the configuration, its exact costs and what was measured of it.
        former: what it had with the weights it was found for; ``None`` where nobody recorded that.
        float_metrics: the workload's metrics of the new float model.
        export: the package and its manifest.
    """

    record: Record
    former: FormerResult | None
    float_metrics: Mapping[str, float]
    export: ExportResult

    @property
    def proven(self) -> bool:
        """Whether the exported package holds what was asked for and computes what the model does."""
        return self.export.proven

    @property
    def rows(self) -> dict[str, tuple[float | None, float | None]]:
        """Former figure and new one, by name."""
        new, former = self.record.evaluation, self.former
        assert new is not None
        found: dict[str, tuple[float | None, float | None]] = {
            "size_mb": (former.size_mb if former else None, self.record.costs["size_mb"]),
            "divergence": (former.divergence if former else None, new.divergence),
        }
        for name, value in new.metrics.items():
            found[name] = (former.metrics.get(name) if former else None, value)
        return found

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each figure: with the former weights, with the new ones, and the difference."""
        frame = pandas.DataFrame.from_dict(self.rows, orient="index", columns=["former", "new"]).astype(float)
        frame["difference"] = frame["new"] - frame["former"]
        return frame

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "workflow": self.record.workflow,
            "configuration_hash": self.record.configuration.hash,
            "configuration": self.record.configuration.to_values(),
            "former_source": self.former.source if self.former else None,
            "float_metrics": dict(self.float_metrics),
            **{name: {"former": former, "new": new} for name, (former, new) in self.rows.items()},
            "proven": self.proven,
            "packages": [str(item.path) for item in self.export],
            "manifest": str(self.export.manifest),
        }

    def __repr__(self) -> str:
        figures = [
            f"{name} {digits(new)}" + (f" (was {digits(former)})" if former is not None else "")
            for name, (former, new) in self.rows.items()
        ]
        return f"Applied({self.record.workflow}: {', '.join(figures)}; {self.export!r})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.to_frame().to_html()}"
