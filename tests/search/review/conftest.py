"""A run of a former version, read and not searched, and a search of a study in memory."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import palettune as pt
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.search_history import SearchHistory
from palettune.search.review.review_facts import ReviewFacts
from palettune.search.review.review_source import ReviewSource
from tests.search.studies import LAYERS, MENU, escalate, evaluated, experiment_of, study_of

FROZEN = Path(__file__).parents[2] / "frozen" / "tiny"


@pytest.fixture(scope="session")
def frozen(tmp_path_factory):
    """The run of a former version, whose state nobody changes."""
    folder = tmp_path_factory.mktemp("frozen")
    shutil.copytree(FROZEN / "run_folders", folder / "runs")
    for name in ("experiment.toml", "workload.py"):
        shutil.copy(FROZEN / name, folder / name)
    return pt.open_run(folder / "experiment.toml", root=folder / "runs")


@pytest.fixture
def history():
    """Six evaluations and an escalation of a study in memory."""
    study = study_of(experiment=experiment_of(escalation={"calibration": 2}))
    columns = tuple((layer.name, encoding) for layer in LAYERS for encoding in MENU)
    scores = Scores("fisher", columns, np.tile([0.0, 0.01, 0.1], (2, len(LAYERS))))
    found = SearchHistory(experiment_of(escalation={"calibration": 2}), study, study.objectives, scores)
    for _ in range(6):
        found.add(evaluated(study))
    found.add(escalate(study, found.trials[0]))
    return found


@pytest.fixture
def source(history, tmp_path):
    """The same as a page is made from it."""
    return ReviewSource.of(history, RunFolder(tmp_path, "x"), ReviewFacts(), None)
