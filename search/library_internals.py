"""Private names of Optuna, Ray, MLflow and Python that ``search`` needs.

Every use of such a name in this room stands here, with the version that it was tested with;
``tests/search/test_library_internals.py`` fails when a name is gone or behaves otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NoReturn

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

__all__ = ["FilteredStudy", "actor_id", "end_process", "mlflow_application", "set_constraints"]


class FilteredStudy(Study):  # type: ignore[misc]
    """An Optuna study that shows samplers some of its trials only.

    Samplers read trials by ``get_trials``, which calls ``_get_trials``, or by ``_get_trials`` itself (Optuna 5.0).
    """

    def shows(self, trial: FrozenTrial) -> bool:
        """Return whether samplers see a trial."""
        return True

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in found if self.shows(trial)]


def set_constraints(storage: BaseStorage, trial_id: int, violations: Mapping[str, float]) -> None:
    """Do what ``Trial.set_constraint`` does, for a trial that is not at hand as such (Optuna 5.0)."""
    for key, value in violations.items():
        storage.set_trial_system_attr(trial_id, f"{_CONSTRAINTS_KEY}:{key}", float(value))


def actor_id(handle: Any) -> str:
    """Return the hexadecimal id of a Ray actor, as ``ray.exceptions.ActorDiedError.actor_id`` holds it (Ray 2.60)."""
    return str(handle._actor_id.hex())


def mlflow_application(store: str, artifacts: Path | None) -> Any:
    """Return MLflow's interface as an application, on a store, without the processes of `mlflow server` (MLflow 3.17).

    It is configured by the process's environment, as `mlflow server` configures the processes that it starts.

    Args:
        artifacts: folder of the artifacts that clients upload; MLflow's own default where it is not given.
    """
    from mlflow.server import constants

    given = {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if artifacts is not None:
        given[constants.ARTIFACTS_DESTINATION_ENV_VAR] = str(artifacts)
    os.environ.update(given)
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(store, store, given[constants.ARTIFACT_ROOT_ENV_VAR])
    return app


def end_process(code: int) -> NoReturn:
    """End this process at once, whatever its threads are doing; nothing is cleaned up (``os._exit``)."""
    os._exit(code)
