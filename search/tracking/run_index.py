"""The runs of one search in an MLflow store: found by their tags, made where they are missing, never made twice."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus, ViewType

from palettune.search.experiment.run_folder import RunFolder

__all__ = ["PARENT", "RunIndex", "ended"]

PARENT = "mlflow.parentRunId"
_PAGE = 1000
_KIND, _MODELS = "mlflow.experimentKind", "custom_model_development"


class RunIndex:
    """Index of one search's own run and those of its trials.

    Args:
        client: of a store that answers.
        folder: of the search.
        own: whether the store is the folder's own, where no other driver is at work.

    Attributes:
        experiment: MLflow's id of the experiment.
        parent: id of the search's own run.
        runs: the run of every trial.
    """

    def __init__(
        self, client: MlflowClient, folder: RunFolder, search_id: str, own: bool, tags: Mapping[str, str]
    ) -> None:
        self._client, self._folder, self._search_id = client, folder, search_id
        self.experiment = self._experiment_id(own)
        self.parent = self._parent_id(tags)
        self.runs = self._children()
        self._unsure: set[int] = set()  # trials whose run was asked for without an answer
        if own:
            self._end_others()

    def made(self, trial: int, began_ms: int, tags: Mapping[str, str], name: str) -> Run:
        """Return the run of a trial, created if needed; one whose creation was not answered is looked for first."""
        if trial not in self.runs:
            asked = trial in self._unsure
            self._unsure.add(trial)
            found = self._of(trial) if asked else []
            run = found[0] if found else self._client.create_run(self.experiment, began_ms, dict(tags), name)
            self.runs[trial] = run
            if not asked:
                self._unsure.discard(trial)
        return self.runs[trial]

    def drop_doubles(self) -> None:
        """Delete what a store created twice: once for a request that it answered too late."""
        for trial in sorted(self._unsure):
            for run in self._of(trial):
                if run.info.run_id != self.runs[trial].info.run_id:
                    self._client.delete_run(run.info.run_id)

    def end(self, run_id: str, status: str, reason: str) -> None:
        """End a run, and say why."""
        self._client.set_tag(run_id, "status_reason", reason, synchronous=True)
        self._client.set_terminated(run_id, status)

    def _experiment_id(self, own: bool) -> str:
        found = self._client.get_experiment_by_name(self._folder.name)
        if found is None:
            location = self._folder.artifacts.resolve().as_uri() if own else None
            made = self._client.create_experiment(self._folder.name, artifact_location=location, tags={_KIND: _MODELS})
            return str(made)
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        if _KIND not in found.tags:  # else MLflow takes it for one about language models
            self._client.set_experiment_tag(found.experiment_id, _KIND, _MODELS)
        return str(found.experiment_id)

    def _parent_id(self, tags: Mapping[str, str]) -> str:
        found = self._search(f"tags.search_id = '{self._search_id}'")
        if not found:
            known = {"search_id": self._search_id, "kind": "search", **tags}
            name = f"search: {self._folder.name}"
            return str(self._client.create_run(self.experiment, tags=known, run_name=name).info.run_id)
        if len(found) > 1:  # created again while the first answer was on its way: the one in use has runs
            found.sort(key=lambda run: -len(self._search(_below(run.info.run_id))))
        for double in found[1:]:
            self._client.delete_run(double.info.run_id)
        self._client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)

    def _end_others(self) -> None:
        for run in self._search("attributes.status = 'RUNNING' AND tags.kind = 'search'"):
            if run.info.run_id != self.parent:
                self.end(run.info.run_id, "KILLED", "set aside")

    def _children(self) -> dict[int, Run]:
        """The run of every trial; the finished one where a trial has two, which an outage can leave."""
        found: dict[int, Run] = {}
        for run in sorted(self._search(_below(self.parent)), key=lambda run: not ended(run)):
            trial = int(run.data.tags["trial"])
            if found.setdefault(trial, run) is not run:
                self._client.delete_run(run.info.run_id)
        return found

    def _of(self, trial: int) -> list[Run]:
        return self._search(f"{_below(self.parent)} AND tags.trial = '{trial}'")

    def _search(self, query: str) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment], query, ViewType.ACTIVE_ONLY, _PAGE, ["attributes.start_time ASC"], token
            )
            runs.extend(page)
            token = page.token
            if not token:
                return runs


def ended(run: Run) -> bool:
    """Return whether a run is over, as the store told when it was read."""
    return bool(RunStatus.is_terminated(RunStatus.from_string(run.info.status)))


def _below(parent: str) -> str:
    return f"tags.`{PARENT}` = '{parent}'"
