"""A run folder: everything that one search leaves, under ``<root>/<name>``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunFolder"]


@dataclass(frozen=True)
class RunFolder:
    """Where a search keeps its journal, record, weights and scores.

    Args:
        root: the folder of all runs.
        name: the experiment's name.
    """

    root: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / self.name

    @property
    def journal(self) -> Path:
        """Optuna's journal: the truth."""
        return self.path / "journal.log"

    @property
    def tracking_uri(self) -> str:
        """MLflow's store, a view that can be rebuilt."""
        return f"sqlite:///{(self.path / 'mlflow.db').resolve()}"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.path / "artifacts"

    @property
    def bank(self) -> Path:
        """The weight bank."""
        return self.path / "weight_bank"

    @property
    def other_banks(self) -> tuple[Path, ...]:
        """The banks of the other runs beside this one; entries are content-addressed, so they can be shared."""
        return tuple(sorted(path for path in self.root.glob("*/weight_bank") if path != self.bank))

    @property
    def states(self) -> Path:
        """States of models that climbed, by content."""
        return self.path / "states"

    @property
    def checkpoints(self) -> Path:
        """What a killed fine-tuning goes on from."""
        return self.path / "checkpoints"

    @property
    def scores(self) -> Path:
        """Sensitivity scores, by identity."""
        return self.path / "scores"

    @property
    def fp16_check(self) -> Path:
        """Identity of the search whose model has been run in fp16 and found usable."""
        return self.path / "fp16_check"

    def create(self) -> None:
        """Make the folder."""
        self.path.mkdir(parents=True, exist_ok=True)

    def set_aside(self) -> None:
        """Put an earlier search's journal aside, under the first free number; MLflow keeps its record."""
        if self.journal.exists():
            number = 1
            while (aside := self.path / f"journal-{number}.log").exists():
                number += 1
            self.journal.rename(aside)
