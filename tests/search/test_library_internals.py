"""The private names of Optuna and Ray that search builds on are there, and do what is taken for granted."""

import inspect
import subprocess
import sys

import optuna
import pytest
import ray
from optuna.distributions import IntDistribution
from optuna.samplers import NSGAIISampler, TPESampler
from optuna.study import Study

from palettune.search.library_internals import FilteredStudy, actor_id, set_constraints


class Even(FilteredStudy):
    def shows(self, trial):
        return trial.number % 2 == 0


def test_trials_are_read_through_one_private_method():
    assert list(inspect.signature(Study._get_trials).parameters) == ["self", "deepcopy", "states", "use_cache"]


def test_samplers_see_the_trials_that_are_shown():
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="some", storage=storage, directions=["minimize", "minimize"])
    study = Even("some", storage)
    for sampler in (NSGAIISampler(population_size=2, seed=0), TPESampler(n_startup_trials=1, seed=0)):
        study.sampler = sampler
        for _ in range(6):
            trial = study.ask({"x": IntDistribution(0, 9)})
            study.tell(trial, [trial.params["x"], -trial.params["x"]])
    assert [trial.number for trial in study.trials] == [0, 2, 4, 6, 8, 10]
    assert len(Study("some", storage).trials) == 12


def test_constraints_are_read_by_optuna_as_its_own():
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="some", storage=storage, directions=["minimize", "minimize"])
    for violation in (0.5, -0.5):
        trial = study.ask({"x": IntDistribution(0, 9)})
        set_constraints(storage, trial._trial_id, {"max_size_mb": violation, "max_divergence": -1})
        study.tell(trial, [violation, -violation])
    assert study.trials[0].constraints == {"max_size_mb": 0.5, "max_divergence": -1.0}
    assert [trial.number for trial in study.best_trials] == [1]


@pytest.mark.slow
def test_mlflow_s_interface_is_an_application_that_its_environment_configures(tmp_path):
    code = """
import os, sys
from pathlib import Path
from palettune.search.library_internals import mlflow_application
from mlflow.environment_variables import MLFLOW_SERVER_ENABLE_JOB_EXECUTION, _MLFLOW_SGI_NAME
application = mlflow_application(sys.argv[1], Path(sys.argv[2]))
print(callable(application), MLFLOW_SERVER_ENABLE_JOB_EXECUTION.get(), _MLFLOW_SGI_NAME.get(), "torch" in sys.modules)
"""
    words = [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{tmp_path}/x.db", str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["True", "False", "uvicorn", "False"], ended.stderr


def test_a_handle_of_an_actor_holds_its_id():
    class Handle:
        _actor_id = ray.ActorID.from_random() if hasattr(ray.ActorID, "from_random") else ray.ActorID.nil()

    assert actor_id(Handle()) == Handle._actor_id.hex()
    assert "_actor_id" in inspect.getsource(ray.actor.ActorHandle)


def test_a_process_ends_at_once_whatever_it_is_doing():
    code = (
        "import atexit, threading\n"
        "from palettune.search.library_internals import end_process\n"
        "atexit.register(print, 'cleaned up')\n"
        "threading.Timer(0.01, end_process, [130]).start()\n"
        "while True:\n    try:\n        pass\n    except BaseException:\n        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (130, "")
