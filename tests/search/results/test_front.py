"""Fronts and picks of made-up evaluations."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.results.front import Front, Limits, PickError, front_of, hypervolume_of, to_json
from palettune.search.results.known_latency import known_latency
from tests.search import latency_space
from tests.search.made_up import OBJECTIVES, front, measured, record, timed, two_costs

points = st.lists(st.tuples(st.floats(1e-5, 6), st.floats(0.5, 11), st.booleans()), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(points)
def test_the_front_holds_exactly_what_nothing_feasible_dominates(rows):
    records = [record(i, *row) for i, row in enumerate(rows)]
    members = front_of(records, OBJECTIVES).members
    feasible = [r for r in records if r.feasible]
    for r in feasible:
        beaten = any(
            o.values[0] <= r.values[0] and o.values[1] <= r.values[1] and o.values != r.values for o in feasible
        )
        twin = any(m.values == r.values for m in members)
        assert twin != beaten
    sizes = [m.costs["size_mb"] for m in members]
    assert sizes == sorted(sizes)
    assert hypervolume_of(members, OBJECTIVES) == pytest.approx(hypervolume_of(records, OBJECTIVES))


def test_hypervolume_grows_with_every_better_evaluation_and_has_known_values():
    assert hypervolume_of([record(0, 5.0, 5.0)], OBJECTIVES) == 0.0
    half = hypervolume_of([record(0, 5e-4, 5.0)], OBJECTIVES)  # four decades below: ideal quality at half the size
    assert half == pytest.approx(0.5)
    assert hypervolume_of([record(0, 5e-2, 5.0)], OBJECTIVES) == pytest.approx(0.25)
    assert hypervolume_of([record(0, 5e-2, 5.0), record(1, 5e-4, 7.5)], OBJECTIVES) == pytest.approx(0.375)


def test_picks_by_name_number_and_bounds():
    members = front()
    assert members.knee().trial == 2
    assert [r.trial for r in members.pick(["all"], Limits())] == [0, 1, 2, 3, 4]
    assert [r.trial for r in members.pick(["4", "knee", "4"], Limits())] == [4, 2]
    assert [r.trial for r in members.pick(["spread:2"], Limits())] == [1, 4]  # the useless end is left out
    assert [r.trial for r in members.pick(["all"], Limits(max_size_mb=3, max_divergence=0.5))] == [1, 2]
    with pytest.raises(PickError, match="trial 3 is not on the front"):
        members.pick(["3"], Limits(max_size_mb=3))
    with pytest.raises(PickError, match="no member of the front is within the bounds"):
        members.pick(["knee"], Limits(max_size_mb=0.5))
    with pytest.raises(PickError, match="expected `knee`"):
        members.pick(["best"], Limits())
    with pytest.raises(PickError, match="front is empty"):
        Front((), OBJECTIVES).pick(["knee"], Limits())


def test_latencies_that_nobody_could_tell_apart_make_no_front():
    objectives = two_costs()
    members = front_of([timed(0, 0.1, 5.0, 0.99), timed(1, 0.2, 6.0, 0.97), timed(2, 0.2, 6.0, 0.80)], objectives)
    assert [r.trial for r in members.members] == [0, 2]
    levels = [objectives.objectives[2].level(ms) for ms in (1.0, 0.97, 1.04, 0.94, 1.06)]
    assert levels[0] == levels[1] == levels[2]
    assert levels[3] < levels[0] < levels[4]
    assert objectives.losses([5e-4, 0.0, 1.0])[2] < 0.75  # as fast as fp16, and smaller: of use


def test_measured_latencies_rank_and_the_rest_follows_the_model_that_they_taught():
    objectives, latency = two_costs(), latency_space.model("CPU_AND_NE")
    configurations = [latency_space.space().uniform(e) for e in latency_space.MENU[:3]]
    records = []
    for i, configuration in enumerate(configurations):
        ms = latency.predict(configuration).ms
        made = timed(i, 0.1 * 10**-i, 5.0, ms)
        records.append(
            replace(
                made,
                configuration=configuration,
                evaluation=replace(made.evaluation, configuration_hash=configuration.hash),
            )
        )
    said = [r.costs["latency_ms"] for r in records]
    assert said[0] >= said[1] >= said[2]
    known = known_latency(latency, records, {records[2].configuration.hash: measured(9.0)})
    members = front_of(records, objectives, known)
    assert known.ms(records[2]) == 9.0  # slow after all
    assert known.calibrated(records[0]) == known.ms(records[0]) > said[0]
    shown = to_json(members)
    by_trial = {entry["trial"]: entry for entry in shown}
    assert by_trial[2]["latency_ms"] == said[2]
    assert by_trial[2]["measured_latency_ms"] == 9.0
    assert by_trial[2]["measurement"]["runs"] == 50
    assert all(entry["measured_latency_ms"] is None for trial, entry in by_trial.items() if trial != 2)
    with pytest.raises(PickError, match="ms"):
        members.pick(["all"], Limits(max_latency_ms=1e-3))
    assert 2 not in {r.trial for r in members.pick(["all"], Limits(max_latency_ms=8.0))}
