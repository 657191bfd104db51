"""What a search leaves for people in its record."""

import json

import numpy as np
import pytest

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.display.artifacts import artifacts
from palettune.search.results.search_history import SearchHistory
from tests.search.studies import LAYERS, MENU, evaluated, evaluation, experiment_of, study_of


@pytest.fixture
def history():
    study = study_of()
    columns = tuple((layer.name, encoding) for layer in LAYERS for encoding in MENU)
    scores = Scores("made up", columns, np.tile([0.0, 0.01, 0.1], (1, len(LAYERS))))
    found = SearchHistory(experiment_of(), study, study.objectives, scores)
    for _ in range(4):
        found.add(evaluated(study))
    return found


def test_every_artifact_shows_the_front_as_it_is_by_now(history):
    member = history.front.members[0]
    history.study.confirm(member.key, evaluation(member.configuration, share=7.0))
    found = artifacts(history)
    assert {name for name, data in found.items() if isinstance(data, bytes)} == {"front.png", "layer_map.png"}
    assert all(data.startswith(b"\x89PNG") for data in found.values() if isinstance(data, bytes))
    entries = json.loads(found["front.json"])
    assert [entry["trial"] for entry in entries] == [record.trial for record in history.front]
    assert entries[0]["confirmation"]["divergence"] == evaluation(member.configuration, share=7.0).divergence
    assert set(found) == {"front.png", "layer_map.png", "front.json"}


def test_a_search_without_scores_leaves_none(history):
    assert artifacts(SearchHistory(history.experiment, history.study, history.objectives)) == {}
