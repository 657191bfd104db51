"""The ledger of an export: each package is listed as soon as it is there, whatever becomes of the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.packages.export import Exported
from palettune.search.results.packages.manifest import write_manifest
from palettune.search.review.exported_packages import remember_packages
from palettune.search.tracking.packages import log_packages
from palettune.search.tracking.parent_run import log_review
from palettune.search.tracking.tracking_store import TrackingError
from palettune.space.errors import UserError

__all__ = ["ExportLedger"]


class ExportLedger:
    """Lists packages in the manifest of their folder, in the run folder, and in MLflow, which is a view.

    Args:
        folder: of the run.
        layers: names in model order.
        out: folder of the packages.
        uri: MLflow's tracking URI; ``None`` for that of the search.
        register: name of a model in MLflow's registry.
        on_exported: told of each package before MLflow takes it, which can take a while.

    Attributes:
        manifest: path of ``manifest.json``.
        problem: why MLflow does not list all of it; ``None`` where it does.
    """

    def __init__(
        self,
        folder: RunFolder,
        search_id: str,
        layers: Sequence[str],
        out: Path,
        uri: str | None,
        register: str | None,
        on_exported: Callable[[Exported], None],
    ) -> None:
        self.manifest = out / "manifest.json"
        self.problem: str | None = None
        self._folder, self._search_id, self._layers = folder, search_id, layers
        self._uri, self._register, self._on_exported = uri, register, on_exported
        self._any = False

    def take(self, item: Exported) -> None:
        """List one package."""
        self._any = True
        write_manifest([item], self.manifest.parent)
        remember_packages(self._folder.exported, self._search_id, [item])
        self._on_exported(item)
        self._tracked(
            lambda: log_packages(
                self._folder, self._uri, self._search_id, [item.path], self.manifest, self._layers, self._register
            )
        )

    def show(self, write_page: Callable[[], Path], warn: Callable[[str], None]) -> None:
        """Let the review page, and MLflow's copy of it, show the packages that were listed, if there are any."""
        if not self._any:
            return
        try:
            write_page()
        except UserError as error:
            warn(str(error))
        else:
            self._tracked(lambda: log_review(self._folder, self._uri, self._search_id))

    def _tracked(self, write: Callable[[], None]) -> None:
        try:
            write()
        except TrackingError as error:
            self.problem = str(error)
