"""Exported packages in MLflow: a logged model each, with its figures and its proof beside it, and a registered version."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.parent_run import parent_run
from palettune.search.tracking.run_contents import encoding_parameters
from palettune.search.tracking.run_index import PARENT
from palettune.space.configuration import Configuration

__all__ = ["log_packages"]

_FOLDER, _MANIFEST = "packages", "manifest.json"
_TYPE, _EXPORTED, _CONTENT = "coreml", "exported", "content"
_BYTES = ("weight_bytes", "package_bytes")


def log_packages(
    folder: RunFolder,
    uri: str | None,
    search_id: str,
    packages: Sequence[Path],
    manifest: Path,
    layers: Sequence[str] = (),
    register: str | None = None,
) -> None:
    """Log exported packages, whatever the state of the search; those of earlier exports stay.

    Args:
        uri: MLflow's tracking URI; ``None`` for that of the search, as the run folder remembers it.
        manifest: holds an entry for each package, under its path from the manifest's folder.
        layers: names in model order.
        register: a registered model that gets a version for each proven package.

    Raises:
        TrackingError: the store does not answer or does not hold the search; nothing is created there.
    """
    uri = uri or folder.remembered_tracking_uri
    with parent_run(folder, uri, search_id) as (client, parent):
        shelf = _Shelf(client, uri or folder.tracking_uri, parent, layers)
        entries = {entry["path"]: entry for entry in json.loads(manifest.read_text())}
        for package in packages:
            shelf.put(package, entries.get(str(package.relative_to(manifest.parent)), {}), register)
        shelf.merge_manifest(list(entries.values()))


@dataclass(frozen=True)
class _Shelf:
    """Where the packages of one search are kept in MLflow.

    Attributes:
        parent: the search's own run.
    """

    client: MlflowClient
    uri: str
    parent: Run
    layers: Sequence[str]

    def put(self, package: Path, entry: Mapping[str, Any], register: str | None) -> None:
        """One package as a logged model of its trial's run; one of the same content is there already."""
        run = self._run(entry)
        model = self._model(package, entry, run)
        self.client.set_tag(run.info.run_id, _EXPORTED, "true")
        if register is not None and _proven(entry):
            self._register(register, model, run, package)

    def merge_manifest(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """The manifest on the search's own run: these entries, and those of earlier exports to anywhere."""
        known = {item["path"]: item for item in self._earlier_manifest()}
        merged = {**known, **{str(item["path"]): item for item in entries}}
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / _MANIFEST
            path.write_text(json.dumps(list(merged.values()), indent=2) + "\n")
            self.client.log_artifact(self.parent.info.run_id, str(path), _FOLDER)

    def _earlier_manifest(self) -> list[dict[str, Any]]:
        run = self.parent.info.run_id
        there = {item.path for item in self.client.list_artifacts(run, _FOLDER)}
        if f"{_FOLDER}/{_MANIFEST}" not in there:
            return []
        with tempfile.TemporaryDirectory() as temporary:
            path = self.client.download_artifacts(run, f"{_FOLDER}/{_MANIFEST}", temporary)
            found: list[dict[str, Any]] = json.loads(Path(path).read_text())
            return found

    def _run(self, entry: Mapping[str, Any]) -> Run:
        """The run of the trial that was exported; the search's own where that has none."""
        query = f"tags.`{PARENT}` = '{self.parent.info.run_id}' AND tags.trial = '{entry.get('trial')}'"
        found = self.client.search_runs([self.parent.info.experiment_id], query, max_results=1)
        return found[0] if found else self.parent

    def _model(self, package: Path, entry: Mapping[str, Any], run: Run) -> LoggedModel:
        name, content = _model_name(package), _digest(package)
        experiment = self.parent.info.experiment_id
        same = f"name = '{name}' AND tags.{_CONTENT} = '{content}'"
        for model in self.client.search_logged_models([experiment], same):
            if model.source_run_id == run.info.run_id and str(model.status) == "READY":
                self.client.set_logged_model_tags(model.model_id, _tags(package, entry, content))
                return model
        configuration = entry.get("configuration")
        encodings = Configuration.from_json(json.dumps(configuration)) if configuration else None
        model = self.client.create_logged_model(
            experiment,
            name,
            run.info.run_id,
            _tags(package, entry, content),
            encoding_parameters(encodings, self.layers) if encodings is not None else {},
            _TYPE,
        )
        self._fill(model, package, entry, run)
        return self.client.finalize_logged_model(model.model_id, "READY")

    def _fill(self, model: LoggedModel, package: Path, entry: Mapping[str, Any], run: Run) -> None:
        """The package, its proof, and the run's figures as the model's."""
        place = get_artifact_repository(model.artifact_location, tracking_uri=self.uri)
        place.log_artifacts(str(package), package.name)
        with tempfile.TemporaryDirectory() as temporary:
            for name in ("proof", "configuration"):
                if entry.get(name):
                    path = Path(temporary) / f"{name}.json"
                    path.write_text(json.dumps(entry[name], indent=2) + "\n")
                    place.log_artifact(str(path))
        figures = dict(run.data.metrics) if run is not self.parent else {}
        figures |= {name: float(entry[name]) for name in _BYTES if entry.get(name) is not None}
        when = run.info.end_time or run.info.start_time
        metrics = [Metric(name, value, when, 0, model.model_id) for name, value in figures.items()]
        self.client.log_batch(run.info.run_id, metrics, synchronous=True)
        self.client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])

    def _register(self, name: str, model: LoggedModel, run: Run, package: Path) -> None:
        """A version of a registered model; a package has one version, however often it is registered."""
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self.client.search_model_versions(f"name = '{name}'")
        if any(version.source == model.artifact_location for version in found):
            return
        tags = {key: value for key, value in model.tags.items() if not key.startswith("mlflow.")}
        made = self.client.create_model_version(
            name, model.artifact_location, run.info.run_id, tags, description=package.name, model_id=model.model_id
        )
        held = json.loads(model.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        named = json.dumps([*held, {"name": name, "version": int(made.version)}])
        self.client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: named})


def _tags(package: Path, entry: Mapping[str, Any], content: str) -> dict[str, str]:
    named = {key: entry.get(key) for key in ("trial", "workflow", "configuration_hash")}
    tags = {key: str(value) for key, value in named.items() if value is not None}
    return tags | {"package": package.name, _CONTENT: content, "proven": str(_proven(entry)).lower()}


def _proven(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("proof", {}).get("passed"))


def _model_name(package: Path) -> str:
    """The package's name without what MLflow's names of models must not have."""
    return "".join("_" if letter in "/:.%\"'" else letter for letter in package.stem)


def _digest(package: Path) -> str:
    """Hash of every file of a package, with its path."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(path for path in package.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(package)}:".encode())
        digest.update(hashlib.blake2b(file.read_bytes()).digest())
    return digest.hexdigest()
