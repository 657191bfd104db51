"""A run folder: everything that one search leaves, under ``<root>/<name>``."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunFolder", "without_secrets"]

_ROOT = Path("runs")


def without_secrets(address: str) -> str:
    """Remove user information and query, which may hold a password, from a URL; other text is returned as it is."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2].partition('?')[0]}{slash}{path.partition('?')[0]}"


@dataclass(frozen=True)
class RunFolder:
    """Paths of everything that a search keeps: journal, MLflow's store, weights, scores.

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

    def options(self, storage: str | None) -> str:
        """Return the options by which a command finds this run, besides the experiment; empty where that is enough.

        Args:
            storage: of the study, where it is not in the run folder.
        """
        words = [] if self.root == _ROOT else ["--root", str(self.root)]
        words += [] if storage is None else ["--storage", without_secrets(storage)]
        return shlex.join(words)

    @property
    def journal(self) -> Path:
        """Optuna's journal: the truth."""
        return self.path / "journal.log"

    @property
    def record(self) -> Path:
        """The database of MLflow's store, where the search has no other one."""
        return self.path / "mlflow.db"

    @property
    def tracking_uri(self) -> str:
        """MLflow's store, a view that can be rebuilt."""
        return f"sqlite:///{self.record.resolve()}"

    @property
    def remembered_tracking_uri(self) -> str | None:
        """The tracking URI that the search was last given, without secrets; ``None`` for the folder's own store."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self._tracking.read_text())["tracking_uri"]
            return str(found) if found else None
        return None

    def remember_tracking_uri(self, uri: str | None) -> None:
        """Keep the tracking URI of the search, so that what reads it later finds its record."""
        if uri is not None or self._tracking.exists():
            self._tracking.write_text(json.dumps({"tracking_uri": uri and without_secrets(uri)}) + "\n")

    @property
    def _tracking(self) -> Path:
        return self.path / "tracking.json"

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
        """States of escalated models, by content."""
        return self.path / "states"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints from which a killed fine-tuning goes on."""
        return self.path / "checkpoints"

    @property
    def scores(self) -> Path:
        """Sensitivity scores, by identity."""
        return self.path / "scores"

    @property
    def review(self) -> Path:
        """The page that shows all of it, for any browser."""
        return self.path / "review.html"

    @property
    def facts(self) -> Path:
        """Facts about the search that the review page shows and the study does not hold."""
        return self.path / "facts.json"

    @property
    def exported(self) -> Path:
        """The list of packages that were exported from it, wherever they are."""
        return self.path / "exported.json"

    @property
    def lock(self) -> Path:
        """Held by the search that runs here."""
        return self.path / "search.lock"

    @property
    def fp16_check(self) -> Path:
        """Identity of the search whose model has been run in fp16 and found usable."""
        return self.path / "fp16_check"

    def create(self) -> None:
        """Make the folder."""
        self.path.mkdir(parents=True, exist_ok=True)

    def mend_journal(self) -> bool:
        """Cut off a last line that a full disk or a power cut left half written, before anything is appended to it.

        Only for who holds the lock: what is half written may be another process's line of this moment.
        """
        if not self.journal.exists():
            return False
        with self.journal.open("r+b") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            file.truncate(whole)
        return whole < len(data)

    def set_aside(self) -> None:
        """Put an earlier search's journal aside, under the first free number; MLflow keeps its record."""
        if self.journal.exists():
            self.journal.rename(_free(self.journal))

    def set_record_aside(self) -> Path:
        """Put MLflow's database aside, with what SQLite keeps beside it; where it is by now."""
        aside = _free(self.record)
        for suffix in ("-journal", "-wal", "-shm", ""):  # a journal that is left would be taken for the next one's
            beside = self.record.with_name(self.record.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
        return aside


def _free(path: Path) -> Path:
    """The same name with the first free number."""
    number = 1
    while (aside := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    return aside
