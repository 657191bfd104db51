"""Tracking: MLflow as a view of the study, written by one thread of the driver and rebuilt at every start.

Every write is idempotent: a trial's run is looked up by its tags before it is created. So whatever a store that stopped
answering did not take is written when it is back, or by the next start.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from palettune.device_bench.measurement.latency_record import MEASURED, LatencyRecord
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.record import Record
from palettune.search.tracking.front_marks import FrontMarks
from palettune.search.tracking.run_contents import (
    ModelScale,
    encoding_parameters,
    measured_metrics,
    run_name,
    trial_tags,
    unseen_metrics,
)
from palettune.search.tracking.run_index import PARENT, RunIndex, ended
from palettune.search.tracking.tracking_store import TrackingError, mlflow_client, shown, words
from palettune.search.tracking.write_queue import WriteQueue

__all__ = ["Tracker"]

_METRICS, _PARAMETERS = 500, 100  # that MLflow takes at once, beside each other
_PATIENCE, _LONGEST = 10.0, 60.0  # seconds that the end of a search waits for a server
_OWN_PATIENCE = 60.0  # and for the run folder's own database
_NOTE = "mlflow.note.content"


class Tracker:
    """One MLflow experiment per experiment name, one parent run per search, one child run per evaluation.

    Nothing here waits for the store but ``finish``, and that for some seconds.

    Args:
        uri: MLflow's tracking URI; ``None`` for the database of the run folder.
        search_id: identifies the search, so that a resumed one finds its parent run again.
        scale: what sizes are compared with, and the order of the layers.
        tags: of every run besides its own.
        warn: told when the store stops answering, and when it answers again.
    """

    def __init__(
        self,
        folder: RunFolder,
        uri: str | None,
        search_id: str,
        scale: ModelScale | None = None,
        tags: Mapping[str, str] | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._common, self._scale = dict(tags or {}), scale or ModelScale()
        self._folder, self._uri, self._search_id = folder, uri or folder.tracking_uri, search_id
        self._own = not uri
        self._where = shown(uri, folder)
        self._client: MlflowClient = None
        self._index: RunIndex | None = None
        self._artifact_problem: Exception | None = None
        self._step = -1
        self._logged: set[int] = set()
        self._marks = FrontMarks()  # as they should be
        self._marked: dict[int, frozenset[str]] = {}  # as they are, by trial
        self._noted = ""
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
        """Problems of writing, in words; the next start writes what is missing."""
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
        self._later("interrupted runs", lambda index: self._end_interrupted(index, finished))

    def log(self, record: Record, metrics: Mapping[str, float]) -> None:
        """Queue one finished trial; repeats answered from the record get no run of their own.

        Args:
            metrics: of the whole search after it, for the parent run.
        """
        self._put(record, metrics)

    def log_latency(self, trial: int, latency: LatencyRecord) -> None:
        """Queue a measured latency for the run of a trial; written once, however often it is asked for."""
        self._later(f"trial {trial}", lambda index: self._add(index, trial, MEASURED, latency.metrics, latency.tags))

    def log_unseen(self, trial: int, confirmed: Evaluation) -> None:
        """Queue what the model of a trial gave on unseen data; written once, however often it is asked for."""
        self._later(
            f"trial {trial}", lambda index: self._add(index, trial, "unseen.divergence", unseen_metrics(confirmed))
        )

    def describe(
        self, parameters: Mapping[str, str], tags: Callable[[], Mapping[str, str]], views: Mapping[str, str]
    ) -> None:
        """Queue what the search's own run says of the whole search, and the experiment's saved views.

        Args:
            parameters: which cannot change once they are written; what the run has already is left as it is.
            tags: found out by the queue's own thread.
            views: of ``saved_views``; those that the experiment has are left as they are.
        """
        self._later("the search's own run", lambda index: self._describe(index, parameters, tags(), views))

    def mark(self, marks: FrontMarks) -> None:
        """Queue the marks of the front, and the note; only the latest of those that wait are written."""
        self._marks = marks
        self._later("the front", self._write_marks)

    def texts(self, texts: Mapping[str, str | bytes]) -> None:
        """Queue several named texts or images for the parent run."""
        self._later("the pictures of the front", lambda index: self._write_texts(index, texts))

    def finish(self, status: str, reason: str) -> None:
        """End the parent run; wait some seconds for what is queued, no longer where the store does not answer."""
        self._later("the end of the search", RunIndex.drop_doubles)
        self._later("the end of the search", lambda index: index.end(index.parent, status, reason))
        if self._own:
            self._queue.finish(_OWN_PATIENCE)
        else:
            self._queue.finish(_PATIENCE, _LONGEST)

    # -- writing ------------------------------------------------------------------------------------------------

    def _put(self, record: Record, metrics: Mapping[str, float], again: bool = False) -> None:
        self._step = step = self._step + 1  # evaluations told so far, which a rebuilt view counts alike
        if record.answered_from is None:
            self._logged.add(record.trial)

        def write(index: RunIndex) -> None:
            if not again or self._lacks(index, record):
                self._write(index, record, metrics, step)

        self._later(f"trial {record.trial}", write)

    def _lacks(self, index: RunIndex, record: Record) -> bool:
        """Whether a run is missing, was cut short, or is of a version that wrote no encodings."""
        run = index.runs.get(record.trial)
        return run is None or not ended(run) or not run.data.params

    def _later(self, name: str, write: Callable[[RunIndex], None]) -> None:
        def checked() -> None:
            if self._index is None:
                raise TrackingError("the search has no run of its own there")
            write(self._index)

        self._queue.put(name, checked)

    def _write(self, index: RunIndex, record: Record, metrics: Mapping[str, float], step: int) -> None:
        began, over = (int(moment * 1000) for moment in record.span)
        self._batch(index.parent, [Metric(name, value, over, step) for name, value in metrics.items()])
        if record.answered_from is not None:
            return
        name, tags = run_name(record), {PARENT: index.parent, **trial_tags(record), **self._common}
        run = index.made(record.trial, began, tags, name)
        run_id = run.info.run_id
        self._batch(
            run_id,
            [Metric(key, value, over, 0) for key, value in measured_metrics(record, self._scale).items()],
            tags,
            encoding_parameters(record.configuration, self._scale.layers),
        )
        self._artifacts(lambda: self._client.log_dict(run_id, record.configuration.to_values(), "configuration.json"))
        if run.info.run_name != name and run.info.run_name.startswith("trial "):  # as runs were once named
            self._client.update_run(run_id, name=name)
        self._client.set_terminated(run_id, "FAILED" if record.failure else "FINISHED", over)

    def _add(
        self,
        index: RunIndex,
        trial: int,
        known: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add figures to the run of a trial, unless it has the one that is known by its name."""
        run = index.runs.get(trial)
        if run is None:
            return  # answered from another trial, whose run has it
        run_id = run.info.run_id
        if known not in self._client.get_run(run_id).data.metrics:
            now = int(time.time() * 1000)
            self._batch(run_id, [Metric(name, value, now, 0) for name, value in metrics.items()], tags)

    def _describe(
        self, index: RunIndex, parameters: Mapping[str, str], tags: Mapping[str, str], views: Mapping[str, str]
    ) -> None:
        known = self._client.get_run(index.parent).data.params
        self._batch(index.parent, [], tags, {name: value for name, value in parameters.items() if name not in known})
        held = self._client.get_experiment(index.experiment).tags
        for name in [name for name in views if name not in held]:
            self._client.set_experiment_tag(index.experiment, name, views[name])

    def _write_marks(self, index: RunIndex) -> None:
        """Set and remove tags, so that exactly the members of the front have them."""
        marks = self._marks
        for trial, run in index.runs.items():
            held = self._marked.get(trial, FrontMarks.held(run.data.tags))
            wanted = marks.tags(trial)
            for name in held - wanted:
                self._remove_tag(run.info.run_id, name)
            if wanted - held:
                self._batch(run.info.run_id, [], dict.fromkeys(sorted(wanted - held), "true"))
            self._marked[trial] = wanted
        if marks.note != self._noted:
            self._batch(index.parent, [], {_NOTE: marks.note})
            self._noted = marks.note

    def _remove_tag(self, run_id: str, name: str) -> None:
        try:
            self._client.delete_tag(run_id, name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # removed by a request whose answer was lost
                raise

    def _write_texts(self, index: RunIndex, texts: Mapping[str, str | bytes]) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            for name, content in texts.items():
                path = Path(temporary) / name
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    path.write_text(content)
            self._artifacts(lambda: self._client.log_artifacts(index.parent, temporary))

    def _artifacts(self, write: Callable[[], None]) -> None:
        """Write artifacts; where only their place cannot be written to, say so at the end and keep the rest."""
        try:
            write()
        except Exception as error:  # of any library behind any artifact store
            self._ask()
            self._artifact_problem = error

    def _batch(
        self,
        run_id: str,
        metrics: Sequence[Metric],
        tags: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Write all of it, in as many requests as MLflow's bounds make of it."""
        pairs = [RunTag(key, value) for key, value in (tags or {}).items()]
        given = [Param(key, value) for key, value in (parameters or {}).items()]
        while metrics or given or pairs:
            # MLflow's own queue (MLFLOW_ENABLE_ASYNC_LOGGING) would keep the process from ending
            self._client.log_batch(run_id, metrics[:_METRICS], given[:_PARAMETERS], pairs, synchronous=True)
            metrics, given, pairs = metrics[_METRICS:], given[_PARAMETERS:], []

    def _end_interrupted(self, index: RunIndex, finished: set[int]) -> None:
        for trial, run in index.runs.items():
            if trial not in finished and not ended(run):
                index.end(run.info.run_id, "KILLED", "interrupted")

    # -- looking up ---------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        (self._client or mlflow_client(self._uri)).search_experiments(max_results=1)

    def _open(self) -> None:
        """Find or create the experiment and the search's own run, and look up what is there."""
        self._client = mlflow_client(self._uri)
        self._index = RunIndex(self._client, self._folder, self._search_id, self._own, self._common)


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
