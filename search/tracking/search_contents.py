"""Contents of the MLflow run of a whole search: parameters, user, source, and versions of tools."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_USER

from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.versions import tool_versions
from palettune.search.study.study_context import StudyContext
from palettune.search.tracking.run_contents import mlflow_key

__all__ = ["git_commit", "search_parameters", "source_tags", "version_tags"]

_GIT_SECONDS = 5
_LONGEST_VALUE = 6000  # of MLflow


def search_parameters(experiment: Experiment, context: StudyContext) -> dict[str, str]:
    """Return what a search cannot change once it has begun: the experiment's identity, and the model's size.

    A parameter of MLflow cannot change either; budgets, which can, are tags.
    """
    found = dict(_flat(experiment.identity()))
    layers = context.space.layers
    found["model.layers"] = str(len(layers))
    found["model.weights"] = str(sum(layer.parameters for layer in layers))
    found |= {f"model.fp16.{name}": f"{value:.6g}" for name, value in context.float_costs.items()}
    found["model.divergence"] = context.kind.value
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Keys with dots; what is empty or not given is left out."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            if value:
                yield mlflow_key(name), ", ".join(str(item) for item in value)[:_LONGEST_VALUE]
        elif value is not None:
            yield mlflow_key(name), str(value)[:_LONGEST_VALUE]


def source_tags(experiment: Experiment) -> dict[str, str]:
    """Return the user and the workload, under the names that MLflow's own columns show."""
    tags = {MLFLOW_SOURCE_TYPE: "LOCAL", MLFLOW_SOURCE_NAME: str(experiment.workload)}
    with suppress(OSError, KeyError, ImportError):  # an account without a name, in a container say
        tags[MLFLOW_USER] = getpass.getuser()
    return tags


def version_tags(experiment: Experiment) -> dict[str, str]:
    """Return what may differ when a search goes on: versions of tools, budgets, the workload's commit."""
    tags = {f"version.{name}": number for name, number in tool_versions().items()}
    tags["version.palettune"] = version("palettune")
    tags |= dict(_flat({"budget": experiment.budget.model_dump(mode="json")}))
    commit = git_commit(experiment.workload.parent) if isinstance(experiment.workload, Path) else None
    return tags | ({MLFLOW_GIT_COMMIT: commit} if commit is not None else {})


def git_commit(folder: Path) -> str | None:
    """Return the commit that a folder's repository is at; ``None`` where there is none, or no git."""
    with suppress(OSError, subprocess.SubprocessError):
        words = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
        return ended.stdout.strip() or None
    return None
