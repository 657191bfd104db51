"""How a search went."""

from dataclasses import replace

import pytest

from palettune.search.experiment.experiment import Constraints
from palettune.search.experiment.objectives import hypervolume
from palettune.search.results.front import Front, front_of, hypervolume_of
from palettune.search.results.known_latency import KnownLatency
from palettune.search.review.history_rows import history_rows, spans_of_work
from palettune.search.review.review_facts import Phase
from palettune.search.review.search_clock import SearchClock
from tests.search.made_up import OBJECTIVES, measured, record, timed, two_costs

PHASES = (Phase("compressing", 1000.0, 1060.0), Phase("blink", 1060.0, 1060.01))
FRONT = Front((), OBJECTIVES)
POINTS = [(4.9, 1), (0.4, 2), (0.5, 2), (0.03, 9), (0.05, 3)]


def made():
    records = [replace(record(i, d, s), span=(1060.0 + i, 1061.0 + i)) for i, (d, s) in enumerate(POINTS)]
    escalated = replace(record(5, 0.1, 2), span=(1063.0, 1075.0), rung="calibration", escalated_from=1)
    return [*records, escalated]


def test_the_hypervolume_is_that_of_everything_so_far_wherever_it_grows():
    records = made()
    clock = SearchClock(spans_of_work(records, PHASES))
    grown = history_rows(records, FRONT, PHASES, clock)["hypervolume"]
    expected = {61.0 + n: hypervolume_of(records[: n + 1], OBJECTIVES) for n in (0, 1, 3, 4)} | {
        75.0: hypervolume_of(records, OBJECTIVES)
    }
    assert [moment for moment, _ in grown] == list(expected)  # the third is worse than the second
    assert [value for _, value in grown] == pytest.approx(list(expected.values()), rel=1e-4)


def test_a_latency_counts_as_it_is_known_best():
    objectives = two_costs()
    records = [replace(timed(i, 0.4 - 0.1 * i, 2.0, 0.8), span=(1060.0 + i, 1061.0 + i)) for i in range(3)]
    known = KnownLatency(measurements={records[0].configuration.hash: measured(0.4)})
    clock = SearchClock(spans_of_work(records, ()))
    last = {
        name: history_rows(records, front_of(records, objectives, latency), (), clock)["hypervolume"][-1][1]
        for name, latency in (("measured", known), ("predicted", None))
    }
    assert last["predicted"] == pytest.approx(hypervolume_of(records, objectives), rel=1e-4)
    assert last["measured"] == pytest.approx(hypervolume(front_of(records, objectives, known).losses()), rel=1e-4)
    assert last["measured"] > 1.05 * last["predicted"]


def test_a_measurement_beyond_a_constraint_does_not_grow_it():
    objectives = replace(two_costs(), constraints=Constraints(max_latency_ms=1.0))
    slow = replace(timed(0, 0.2, 2.0, 0.8), span=(1060.0, 1061.0))
    known = KnownLatency(measurements={slow.configuration.hash: measured(1.2)})
    front = front_of([slow], objectives, known)
    assert history_rows([slow], front, (), SearchClock(spans_of_work([slow], ())))["hypervolume"] == []


def test_time_never_runs_back_though_evaluations_are_told_in_another_order():
    records = [
        *made(),
        replace(record(6, 0.02, 2), span=(1064.0, 1066.0)),
        replace(record(7, 0.01, 1), span=(0.0, 0.0)),
    ]
    clock = SearchClock(spans_of_work(records, PHASES))
    grown = history_rows(records, FRONT, PHASES, clock)["hypervolume"]
    moments, values = zip(*grown, strict=True)
    assert list(moments) == sorted(moments)
    assert list(values) == sorted(values)
    assert values[moments.index(66.0)] == pytest.approx(
        hypervolume_of([*records[:5], records[6]], OBJECTIVES), rel=1e-4
    )


def test_failures_and_what_breaks_a_constraint_do_not_grow_it():
    records = [replace(made()[0], feasible=False), replace(made()[1], values=None)]
    clock = SearchClock(spans_of_work(records, ()))
    assert history_rows(records, FRONT, (), clock) == {
        "hypervolume": [], "phases": [{"name": "evaluating", "begin": 0.0, "end": 2.0}],
    }  # fmt: skip


def test_phases_are_those_noted_and_those_that_evaluations_tell():
    records = made()
    phases = history_rows(records, FRONT, PHASES, SearchClock(spans_of_work(records, PHASES)))["phases"]
    assert phases == [
        {"name": "compressing", "begin": 0.0, "end": 60.0},
        {"name": "evaluating", "begin": 60.0, "end": 65.0},
        {"name": "calibration", "begin": 63.0, "end": 75.0},
    ]
