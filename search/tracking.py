"""Tracking: MLflow as a view of the study, written by one thread of the driver and rebuilt at every start.

Every write is idempotent: a trial's run is looked up by its tags before it is created.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import; a search reports to nobody

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException

from device_bench.latency_record import MEASURED, LatencyRecord
from search.run_folder import RunFolder
from search.study import Record
from space.errors import UserError

__all__ = ["Tracker", "TrackingError"]

PARENT = "mlflow.parentRunId"
_PAGE = 1000


class TrackingError(UserError):
    """The tracking store cannot be used."""


class Tracker:
    """One MLflow experiment per experiment name, one parent run per search, one child run per evaluation.

    Args:
        uri: MLflow's tracking URI; ``None`` for the database of the run folder.
        search_id: identifies the search, so that a resumed one finds its parent run again.
        tags: of every child run besides its own.
    """

    def __init__(
        self, folder: RunFolder, uri: str | None, search_id: str, tags: Mapping[str, str] | None = None
    ) -> None:
        self._common = dict(tags or {})
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self._client = MlflowClient(tracking_uri=uri or folder.tracking_uri)
        location = None if uri else folder.artifacts.resolve().as_uri()
        try:
            self._experiment = self._experiment_id(folder.name, location)
            self.parent = self._parent(folder.name, search_id)
            self._runs = self._children()
            if uri is None:  # the folder's own store: no other driver is at work there
                self._end_others()
        except MlflowException as error:
            raise TrackingError(f"the tracking store {uri or folder.tracking_uri} cannot be used: {error}") from error
        self._step = 0
        self._queue: queue.Queue[tuple[int, Callable[[], None]] | None] = queue.Queue()
        self._problems: list[str] = []
        self._thread = threading.Thread(target=self._write_all, name="mlflow", daemon=True)
        self._thread.start()

    @property
    def problems(self) -> Sequence[str]:
        """What could not be written, in words; it is written by the next start."""
        return tuple(self._problems)

    def rebuild(self, history: Sequence[tuple[Record, Mapping[str, float]]]) -> None:
        """Write what the store lacks of the study's finished trials; end runs that nothing is working on."""
        finished = {record.trial for record, _ in history}
        for record, standing in history:
            run = self._runs.get(record.trial)
            if run is None or not RunStatus.is_terminated(RunStatus.from_string(run.info.status)):
                self.log(record, standing)
        for trial, run in self._runs.items():
            if trial not in finished and not RunStatus.is_terminated(RunStatus.from_string(run.info.status)):
                self._client.set_tag(run.info.run_id, "status_reason", "interrupted")
                self._client.set_terminated(run.info.run_id, "KILLED")

    def log(self, record: Record, standing: Mapping[str, float]) -> None:
        """Queue one finished trial; repeats answered from the record get no run of their own.

        Args:
            standing: how the whole search stands after it, for the parent run.
        """
        self._queue.put((record.trial, lambda: self._write(record, standing)))

    def log_latency(self, trial: int, latency: LatencyRecord) -> None:
        """Queue a measured latency for the run of a trial; written once, however often it is asked for."""
        self._queue.put((trial, lambda: self._write_latency(trial, latency)))

    def ladder(self, facts: Mapping[str, Mapping[str, float]]) -> None:
        """Log what each rung brought to the parent run."""
        now = int(time.time() * 1000)
        metrics = [
            Metric(f"ladder.{rung}.{name}", v, now, 0) for rung, some in facts.items() for name, v in some.items()
        ]
        if metrics:
            self._client.log_batch(self.parent, metrics)

    def artifact(self, source: Path | str, name: str | None = None, folder: str | None = None) -> None:
        """Log a file or a folder to the parent run, or a text under a name."""
        if isinstance(source, Path) and source.is_dir():
            self._client.log_artifacts(self.parent, str(source), folder)
        elif isinstance(source, Path):
            self._client.log_artifact(self.parent, str(source), folder)
        else:
            assert name is not None
            self._client.log_text(self.parent, source, name)

    def flush(self) -> None:
        """Wait until everything queued is written."""
        self._queue.join()

    def finish(self, status: str, reason: str) -> None:
        """Write what is queued and end the parent run."""
        self._queue.put(None)
        self._thread.join()
        self._client.set_tag(self.parent, "status_reason", reason)
        self._client.set_terminated(self.parent, status)

    @staticmethod
    def log_packages(
        folder: RunFolder, uri: str | None, search_id: str, packages: Sequence[Path], manifest: Path
    ) -> None:
        """Log exported packages and their manifest to the parent run of a search, whatever its state."""
        client = MlflowClient(tracking_uri=uri or folder.tracking_uri)
        found = client.get_experiment_by_name(folder.name)
        runs = found and client.search_runs([found.experiment_id], f"tags.search_id = '{search_id}'")
        if not runs:
            raise TrackingError(
                f"{uri or folder.tracking_uri}: no run of this search there; run `palettune search` again"
            )
        for package in packages:
            client.log_artifacts(runs[0].info.run_id, str(package), f"packages/{package.name}")
        client.log_artifact(runs[0].info.run_id, str(manifest), "packages")

    # -- writing ------------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while True:
            item = self._queue.get()
            try:
                if item is None:
                    return
                item[1]()
            except Exception as error:  # the record is a view: it must not end the search
                self._problems.append(f"trial {item[0] if item else '?'}: {type(error).__name__}: {error}")
            finally:
                self._queue.task_done()

    def _write(self, record: Record, standing: Mapping[str, float]) -> None:
        began, ended = (int(moment * 1000) for moment in record.span)
        # climbs are numbered apart: on the parent they come after whatever is there
        self._step = record.trial if record.escalated_from is None else self._step + 1
        steps = [Metric(name, value, ended, self._step) for name, value in standing.items()]
        self._client.log_batch(self.parent, steps)
        if record.answered_from is not None:
            return
        run = self._runs.get(record.trial)
        if run is None:
            run = self._client.create_run(
                self._experiment, began, self._tags(record), f"trial {record.trial}: {record.origin}"
            )
            self._runs[record.trial] = run
        run_id = run.info.run_id
        metrics = [Metric(name, value, ended, record.trial) for name, value in _metrics(record).items()]
        self._client.log_batch(run_id, metrics, [], [RunTag(k, v) for k, v in self._tags(record).items()])
        self._client.log_text(run_id, record.configuration.to_json(), "configuration.json")
        self._client.set_terminated(run_id, "FAILED" if record.failure else "FINISHED", ended)

    def _write_latency(self, trial: int, latency: LatencyRecord) -> None:
        run = self._runs.get(trial)
        if run is None:
            return  # answered from another trial, whose run has it
        run_id = run.info.run_id
        if MEASURED in self._client.get_run(run_id).data.metrics:
            return
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, trial) for name, value in latency.metrics.items()]
        self._client.log_batch(run_id, metrics, [], [RunTag(key, value) for key, value in latency.tags.items()])

    def _tags(self, record: Record) -> dict[str, str]:
        tags = {
            PARENT: self.parent,
            "trial": str(record.trial),
            "workflow": record.workflow.value,
            "configuration_hash": record.configuration.hash,
            "origin": record.origin,
            **self._common,
        }
        if record.escalated_from is not None:
            tags["escalated_from"] = str(record.escalated_from)
        if record.failure is not None:
            tags["status_reason"] = str(record.failure)
        elif record.screened is not None:
            tags["status_reason"] = str(record.screened)
        elif not record.feasible:
            tags["status_reason"] = "a constraint is not met"
        return tags

    # -- looking up ---------------------------------------------------------------------------------------------

    def _experiment_id(self, name: str, location: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(self._client.create_experiment(name, artifact_location=location))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _parent(self, name: str, search_id: str) -> str:
        found = self._search(f"tags.search_id = '{search_id}'")
        if not found:
            tags = {"search_id": search_id, "kind": "search"}
            return str(self._client.create_run(self._experiment, tags=tags, run_name=f"search: {name}").info.run_id)
        self._client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)

    def _end_others(self) -> None:
        for run in self._search("attributes.status = 'RUNNING' AND tags.kind = 'search'"):
            if run.info.run_id != self.parent:
                self._client.set_tag(run.info.run_id, "status_reason", "set aside")
                self._client.set_terminated(run.info.run_id, "KILLED")

    def _children(self) -> dict[int, Run]:
        return {int(run.data.tags["trial"]): run for run in self._search(f"tags.`{PARENT}` = '{self.parent}'")}

    def _search(self, query: str) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], query, ViewType.ACTIVE_ONLY, _PAGE, ["attributes.start_time ASC"], token
            )
            runs.extend(page)
            token = page.token
            if not token:
                return runs


def _metrics(record: Record) -> Mapping[str, float]:
    values: dict[str, float] = dict(record.costs)
    if record.evaluation is not None:
        values |= {"divergence": record.evaluation.divergence, **record.evaluation.metrics}
        values |= {f"seconds.{stage}": seconds for stage, seconds in record.evaluation.seconds.items()}
    for gain in record.gains:
        if gain.layer is None and math.isfinite(gain.before - gain.after):
            values[f"gain.{gain.method}"] = gain.before - gain.after
    return values


def write_texts(tracker: Tracker, texts: Mapping[str, str | bytes]) -> None:
    """Log several named texts or images to the parent run at once."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in texts.items():
            path = Path(temporary) / name
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content)
        tracker.artifact(Path(temporary))
