"""Tracking: MLflow as a view of the study, written by one thread of the driver and rebuilt at every start.

Every write is idempotent: a trial's run is looked up by its tags before it is created. So whatever a store that stopped
answering did not take is written when it is back, or by the next start.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException

from palettune.device_bench.measurement.latency_record import MEASURED, LatencyRecord
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.record import Record
from palettune.search.tracking.tracking_store import (
    TrackingError,
    mlflow_client,
    reach_store,
    shown,
    wait_at_most,
    words,
)
from palettune.search.tracking.write_queue import WriteQueue

__all__ = ["Tracker", "TrackingError", "log_packages"]

PARENT = "mlflow.parentRunId"
_PAGE = 1000
_PATIENCE, _LONGEST = 10.0, 60.0  # seconds that the end of a search waits for a server
_OWN_PATIENCE = 60.0  # and for the run folder's own database
_UPLOAD_SECONDS = 120


class Tracker:
    """One MLflow experiment per experiment name, one parent run per search, one child run per evaluation.

    Nothing here waits for the store but ``finish``, and that for some seconds.

    Args:
        uri: MLflow's tracking URI; ``None`` for the database of the run folder.
        search_id: identifies the search, so that a resumed one finds its parent run again.
        tags: of every child run besides its own.
        warn: told when the store stops answering, and when it answers again.
    """

    def __init__(
        self,
        folder: RunFolder,
        uri: str | None,
        search_id: str,
        tags: Mapping[str, str] | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._common = dict(tags or {})
        self._folder, self._uri, self._search_id = folder, uri or folder.tracking_uri, search_id
        self._own = not uri
        self._where = shown(uri, folder)
        self._client: MlflowClient = None
        self._experiment = self.parent = ""
        self._runs: dict[int, Run] = {}
        self._unsure: set[int] = set()  # trials whose run was asked for without an answer
        self._artifact_problem: Exception | None = None
        self._step = -1
        self._logged: set[int] = set()
        self._queue = WriteQueue(
            self._ask,
            _refused,
            lambda error: warn(
                f"MLflow: {self._where} does not answer ({words(error, self._uri)}); the search goes on"
            ),
            lambda: warn(f"MLflow: {self._where} answers again; what was missed is written"),
        )
        self._queue.put("the search's own run", self._open)

    @property
    def problems(self) -> Sequence[str]:
        """What could not be written, in words; it is written by the next start."""
        by_reason: dict[str, list[str]] = {}
        for name, error in self._queue.skipped:
            by_reason.setdefault(words(error, self._uri), []).append(name)
        if self._artifact_problem is not None:
            by_reason.setdefault(words(self._artifact_problem, self._uri), []).append("artifacts")
        problems = [f"{_list(names)} not taken by {self._where}: {reason}" for reason, names in by_reason.items()]
        left = list(dict.fromkeys(self._queue.left))
        if left:
            runs = len({name for name in left if name.startswith("trial ")})
            what = f"{runs} of {len(self._logged)} runs" if runs else _list(left)
            outage = self._queue.outage
            why = words(outage, self._uri) if outage else "no answer within seconds"
            again = "" if self._own else " with this --tracking-uri"
            problems.append(
                f"{what} could not be written to {self._where} ({why}); nothing is lost: the next `palettune search`"
                f"{again} writes what is missing"
            )
        return tuple(problems)

    def rebuild(self, history: Sequence[tuple[Record, Mapping[str, float]]]) -> None:
        """Write what the store lacks of the study's finished trials; end runs that nothing is working on."""
        finished = {record.trial for record, _ in history}
        for record, metrics in history:
            self._put(record, metrics, again=True)
        self._later("interrupted runs", lambda: self._end_interrupted(finished))

    def log(self, record: Record, metrics: Mapping[str, float]) -> None:
        """Queue one finished trial; repeats answered from the record get no run of their own.

        Args:
            metrics: of the whole search after it, for the parent run.
        """
        self._put(record, metrics)

    def log_latency(self, trial: int, latency: LatencyRecord) -> None:
        """Queue a measured latency for the run of a trial; written once, however often it is asked for."""
        self._later(f"trial {trial}", lambda: self._write_latency(trial, latency))

    def rungs(self, facts: Mapping[str, Mapping[str, float]]) -> None:
        """Queue what each rung brought for the parent run."""
        now = int(time.time() * 1000)
        metrics = [
            Metric(f"escalation.{rung}.{name}", v, now, 0) for rung, some in facts.items() for name, v in some.items()
        ]
        if metrics:
            self._later("what each rung brought", lambda: self._batch(self.parent, metrics))

    def texts(self, texts: Mapping[str, str | bytes]) -> None:
        """Queue several named texts or images for the parent run."""
        self._later("the pictures of the front", lambda: self._write_texts(texts))

    def finish(self, status: str, reason: str) -> None:
        """End the parent run; wait some seconds for what is queued, no longer where the store does not answer."""
        self._later("the end of the search", self._drop_doubles)
        self._later("the end of the search", lambda: self._end(self.parent, status, reason))
        if self._own:
            self._queue.finish(_OWN_PATIENCE)
        else:
            self._queue.finish(_PATIENCE, _LONGEST)

    # -- writing ------------------------------------------------------------------------------------------------

    def _put(self, record: Record, metrics: Mapping[str, float], again: bool = False) -> None:
        self._step = step = self._step + 1  # evaluations told so far, which a rebuilt view counts alike
        if record.answered_from is None:
            self._logged.add(record.trial)

        def write() -> None:
            run = self._runs.get(record.trial)
            if not again or run is None or not _ended(run):
                self._write(record, metrics, step)

        self._later(f"trial {record.trial}", write)

    def _later(self, name: str, write: Callable[[], None]) -> None:
        def checked() -> None:
            if not self.parent:
                raise TrackingError("the search has no run of its own there")
            write()

        self._queue.put(name, checked)

    def _write(self, record: Record, metrics: Mapping[str, float], step: int) -> None:
        began, ended = (int(moment * 1000) for moment in record.span)
        self._batch(self.parent, [Metric(name, value, ended, step) for name, value in metrics.items()])
        if record.answered_from is not None:
            return
        run_id = self._run(record, began).info.run_id
        own = [Metric(name, value, ended, record.trial) for name, value in _metrics(record).items()]
        self._batch(run_id, own, self._tags(record))
        self._artifacts(lambda: self._client.log_text(run_id, record.configuration.to_json(), "configuration.json"))
        self._client.set_terminated(run_id, "FAILED" if record.failure else "FINISHED", ended)

    def _run(self, record: Record, began: int) -> Run:
        """The run of a trial; one whose creation was not answered is looked for before it is created again."""
        trial = record.trial
        if trial not in self._runs:
            asked = trial in self._unsure
            self._unsure.add(trial)
            found = self._runs_of(trial) if asked else []
            name = f"trial {trial}: {record.origin}"
            self._runs[trial] = (
                found[0] if found else self._client.create_run(self._experiment, began, self._tags(record), name)
            )
            if not asked:
                self._unsure.discard(trial)
        return self._runs[trial]

    def _write_latency(self, trial: int, latency: LatencyRecord) -> None:
        run = self._runs.get(trial)
        if run is None:
            return  # answered from another trial, whose run has it
        run_id = run.info.run_id
        if MEASURED in self._client.get_run(run_id).data.metrics:
            return
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, trial) for name, value in latency.metrics.items()]
        self._batch(run_id, metrics, latency.tags)

    def _write_texts(self, texts: Mapping[str, str | bytes]) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            for name, content in texts.items():
                path = Path(temporary) / name
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    path.write_text(content)
            self._artifacts(lambda: self._client.log_artifacts(self.parent, temporary))

    def _artifacts(self, write: Callable[[], None]) -> None:
        """Write artifacts; where only their place cannot be written to, say so at the end and keep the rest."""
        try:
            write()
        except Exception as error:  # of any library behind any artifact store
            self._ask()
            self._artifact_problem = error

    def _batch(self, run_id: str, metrics: Sequence[Metric], tags: Mapping[str, str] | None = None) -> None:
        pairs = [RunTag(key, value) for key, value in (tags or {}).items()]
        for first in range(0, max(len(metrics), 1), _PAGE):
            # MLflow's own queue (MLFLOW_ENABLE_ASYNC_LOGGING) would keep the process from ending
            self._client.log_batch(run_id, metrics[first : first + _PAGE], [], pairs, synchronous=True)

    def _end(self, run_id: str, status: str, reason: str) -> None:
        self._client.set_tag(run_id, "status_reason", reason, synchronous=True)
        self._client.set_terminated(run_id, status)

    def _end_interrupted(self, finished: set[int]) -> None:
        for trial, run in self._runs.items():
            if trial not in finished and not _ended(run):
                self._end(run.info.run_id, "KILLED", "interrupted")

    def _drop_doubles(self) -> None:
        """Delete what a store created twice: once for a request that it answered too late."""
        for trial in sorted(self._unsure):
            for run in self._runs_of(trial):
                if run.info.run_id != self._runs[trial].info.run_id:
                    self._client.delete_run(run.info.run_id)

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

    def _ask(self) -> None:
        (self._client or mlflow_client(self._uri)).search_experiments(max_results=1)

    def _open(self) -> None:
        """Find or create the experiment and the search's own run, and look up what is there."""
        self._client = mlflow_client(self._uri)
        self._experiment = self._experiment_id(self._folder.name)
        self.parent = self._parent(self._folder.name)
        self._runs = self._children()
        if self._own:  # the folder's own store: no other driver is at work there
            self._end_others()

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = self._folder.artifacts.resolve().as_uri() if self._own else None
            return str(self._client.create_experiment(name, artifact_location=location))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _parent(self, name: str) -> str:
        found = self._search(f"tags.search_id = '{self._search_id}'")
        if not found:
            tags = {"search_id": self._search_id, "kind": "search"}
            return str(self._client.create_run(self._experiment, tags=tags, run_name=f"search: {name}").info.run_id)
        if len(found) > 1:  # created again while the first answer was on its way: the one in use has runs
            found.sort(key=lambda run: -len(self._search(_below(run.info.run_id))))
        for double in found[1:]:
            self._client.delete_run(double.info.run_id)
        self._client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)

    def _end_others(self) -> None:
        for run in self._search("attributes.status = 'RUNNING' AND tags.kind = 'search'"):
            if run.info.run_id != self.parent:
                self._end(run.info.run_id, "KILLED", "set aside")

    def _children(self) -> dict[int, Run]:
        """The run of every trial; the finished one where a trial has two, which an outage can leave."""
        found: dict[int, Run] = {}
        for run in sorted(self._search(_below(self.parent)), key=lambda run: not _ended(run)):
            trial = int(run.data.tags["trial"])
            if found.setdefault(trial, run) is not run:
                self._client.delete_run(run.info.run_id)
        return found

    def _runs_of(self, trial: int) -> list[Run]:
        return self._search(f"{_below(self.parent)} AND tags.trial = '{trial}'")

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


def log_packages(folder: RunFolder, uri: str | None, search_id: str, packages: Sequence[Path], manifest: Path) -> None:
    """Log exported packages and their manifest to the parent run of a search, whatever its state.

    Args:
        uri: MLflow's tracking URI; ``None`` for that of the search, as the run folder remembers it.

    Raises:
        TrackingError: the store does not answer or does not hold the search; nothing is created there.
    """
    uri = uri or folder.remembered_tracking_uri
    reach_store(folder, uri, read=True)
    client = mlflow_client(uri or folder.tracking_uri)
    wait_at_most(_UPLOAD_SECONDS)
    try:
        found = client.get_experiment_by_name(folder.name)
        runs = found and client.search_runs([found.experiment_id], f"tags.search_id = '{search_id}'")
        if not runs:
            raise TrackingError(
                f"{shown(uri, folder)}: no run of this search there; --tracking-uri names the store of the search"
            )
        for package in packages:
            client.log_artifacts(runs[0].info.run_id, str(package), f"packages/{package.name}")
        client.log_artifact(runs[0].info.run_id, str(manifest), "packages")
    except TrackingError:
        raise
    except Exception as error:  # of any library behind any artifact store
        raise TrackingError(f"{shown(uri, folder)}: {words(error, uri or '')}") from error


def _below(parent: str) -> str:
    return f"tags.`{PARENT}` = '{parent}'"


def _ended(run: Run) -> bool:
    return bool(RunStatus.is_terminated(RunStatus.from_string(run.info.status)))


def _list(names: Sequence[str]) -> str:
    some = list(dict.fromkeys(names))
    return ", ".join(some[:3]) + (f" and {len(some) - 3} more" if len(some) > 3 else "")


def _refused(error: Exception) -> bool:
    """Whether the store would say the same again."""
    if isinstance(error, TrackingError):
        return True
    if not isinstance(error, MlflowException) or error.error_code == "RESOURCE_ALREADY_EXISTS":
        return False
    status = error.get_http_status_code()
    return bool(400 <= status < 500 and status not in (401, 403, 408, 409, 429))


def _metrics(record: Record) -> Mapping[str, float]:
    values: dict[str, float] = dict(record.costs)
    if record.evaluation is not None:
        values |= {"divergence": record.evaluation.divergence, **record.evaluation.metrics}
        values |= {f"seconds.{stage}": seconds for stage, seconds in record.evaluation.seconds.items()}
    for gain in record.gains:
        if gain.layer is None and math.isfinite(gain.before - gain.after):
            values[f"gain.{gain.method}"] = gain.before - gain.after
    return values
