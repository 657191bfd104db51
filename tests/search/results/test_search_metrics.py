"""Metrics of a search after each of its trials."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.results.front import hypervolume_of
from palettune.search.results.search_metrics import SearchMetrics
from palettune.search.study.record import Record
from tests.search.made_up import LAYERS, MENU, OBJECTIVES, record

points = st.lists(st.tuples(st.floats(1e-5, 6), st.floats(0.5, 11), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(points)
def test_the_hypervolume_is_that_of_the_feasible_trials_so_far_and_never_shrinks(rows):
    metrics, records, volumes = SearchMetrics(OBJECTIVES, None), [], []
    assert metrics.hypervolume == 0.0
    for number, row in enumerate(rows):
        records.append(record(number, *row))
        found = metrics.add(records[-1])
        assert found == {"hypervolume": pytest.approx(hypervolume_of(records, OBJECTIVES))}
        volumes.append(metrics.hypervolume)
    assert volumes == sorted(volumes)


def scored(trials, **changes):
    """The metrics after trials whose scores rank them as their divergences do."""
    columns = tuple((layer.name, encoding) for layer in LAYERS for encoding in MENU)
    loss = {"fp16": 0.0, "lut8": 0.1, "lut4": 0.4, "lut2": 2.0}
    metrics = SearchMetrics(OBJECTIVES, Scores("made up", columns, np.array([[loss[str(e)] for _, e in columns]])))
    for number, encodings in enumerate(trials):
        measured = sum(loss[name] for name in encodings) ** 2 + 1e-3
        found = metrics.add(record(number, measured, 5.0, encodings=encodings, **changes))
    return found


TRIALS = [("fp16", "fp16"), ("lut8", "fp16"), ("lut8", "lut8"), ("lut4", "lut8"), ("lut2", "lut4")]


@pytest.mark.filterwarnings("error")  # nor does scipy warn of it
def test_scores_that_rank_as_what_is_measured_have_a_correlation_of_one_from_five_trials_on():
    assert scored(TRIALS)["spearman_predicted_measured"] == pytest.approx(1.0)
    assert "spearman_predicted_measured" not in scored(TRIALS[:4])
    assert "spearman_predicted_measured" not in scored([("lut8", "lut8")] * 6)  # all equal: there is no rank


@pytest.mark.parametrize("changes", [{"answered_from": 0}, {"escalated_from": 0}])
def test_answers_of_before_and_escalations_are_no_test_of_the_scores(changes):
    assert "spearman_predicted_measured" not in scored(TRIALS, **changes)


def test_a_front_that_has_stopped_moving_is_said_once():
    metrics = SearchMetrics(OBJECTIVES, None)
    for number in range(40):
        metrics.add(record(number, 5e-4, 5.0))
    assert metrics.stagnation() is None
    metrics.add(record(40, 5e-4, 5.0))
    assert "the last 40 trials" in metrics.stagnation()
    assert metrics.stagnation() is None


def test_a_front_that_moves_or_that_holds_nothing_yet_is_not_said_to_stand_still():
    moving, nothing = SearchMetrics(OBJECTIVES, None), SearchMetrics(OBJECTIVES, None)
    for number in range(60):
        moving.add(record(number, 5e-4, 9.0 - number / 10))
        plain = {
            k: v for k, v in vars(record(number, 1.0, 1.0)).items() if k not in ("evaluation", "failure", "screened")
        }
        nothing.add(Record.of(Failure(Stage.FORWARD, "no"), **plain | {"values": None, "feasible": False}))
    assert moving.stagnation() is None
    assert nothing.stagnation() is None
