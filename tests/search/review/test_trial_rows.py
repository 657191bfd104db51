"""The rows of evaluations: what was measured, what became of each, and what was expected."""

from dataclasses import replace

import numpy as np
import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Stage, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.results.front import front_of
from palettune.search.results.intervals import interval
from palettune.search.results.known_latency import KnownLatency
from palettune.search.review.encoding_table import EncodingTable
from palettune.search.review.search_clock import SearchClock
from palettune.search.review.trial_rows import TrialRows, gain_rows
from palettune.space.configuration import Precision
from tests.search.made_up import LAYERS, MENU, OBJECTIVES, SPACE, TARGET, measured, record, timed, two_costs

LOSSES = {
    (layer.name, encoding): loss * factor
    for layer, factor in zip(LAYERS, (1, 2), strict=True)
    for encoding, loss in zip(MENU, (0.0, 0.01, 0.1, 1.0), strict=True)
}


def evaluated(divergence, spread=0.3, count=32, seed=0, workflow=Workflow.DATA_FREE):
    by_sample = divergence * np.random.default_rng(seed).lognormal(0, spread, count)
    return Evaluation(
        record(0, 0.2, 2.0).configuration.hash,
        workflow,
        float(by_sample.mean()),
        tuple(map(float, by_sample)),
        {"top1": 0.5},
    )


def rows_of(records, losses=LOSSES, confirmations=None, known=None, objectives=OBJECTIVES):
    front = replace(front_of(records, objectives, known), confirmations=confirmations or {})
    table = EncodingTable(SPACE, MENU, TARGET)
    made = TrialRows(SPACE, table, front, SearchClock([(0.5, 10.0)]), losses, 1000)
    return {row["trial"]: row for row in made.rows(records)}


def test_a_row_says_what_was_measured_and_how_surely():
    measured = evaluated(0.2)
    row = rows_of([replace(record(0, 0.2, 2.0), evaluation=measured, span=(1.0, 3.0), origin="uniform lut8")])[0]
    low, high = interval(measured)
    assert row["divergence"] == pytest.approx(measured.divergence, rel=1e-4)
    assert (row["low"], row["high"]) == pytest.approx((low, high), rel=1e-4)
    assert row["metrics"] == {"top1": 0.5}
    assert (row["size_mb"], row["weight_bytes"]) == (2.0, 2_000_000)
    assert row["bits_per_weight"] == pytest.approx(8 * (2_000_000 - 1000) / (2 * 64 * 64), rel=1e-4)
    assert row["configuration"] == "12"  # lut8, lut4
    assert row["span"] == [0.5, 2.5]
    assert (row["baseline"], row["status"], row["verdict"]) == ("lut8", "front", "unchecked")


def test_every_end_of_a_trial_has_a_status_and_a_reason():
    plain = record(0, 0.2, 2.0)
    records = [
        plain,
        record(1, 0.3, 3.0),
        replace(record(2, 0.01, 50.0), feasible=False),
        replace(plain, trial=3, answered_from=0),
        replace(plain, trial=4, evaluation=None, values=None, failure=Failure(Stage.FORWARD, "not finite", "l0")),
        replace(plain, trial=5, evaluation=None, values=None, screened=Screened(0, 8, 0.1, 0.01)),
    ]
    rows = rows_of(records)
    assert [row["status"] for row in rows.values()] == [
        "front", "dominated", "infeasible", "repeat", "failed", "screened",
    ]  # fmt: skip
    reasons = [row["reason"] for row in rows.values()]
    assert reasons[:2] == [None, None]
    assert [
        word in reason for word, reason in zip(("constraint", "trial 0", "'l0'", "trial 0"), reasons[2:], strict=True)
    ] == [True] * 4
    assert rows[4]["divergence"] is None


def test_a_prediction_is_that_of_the_evaluations_before_it():
    records = [
        record(0, 0.9, 2.0, encodings=("lut4", "lut4")),  # scores say 0.3
        record(1, 0.5, 1.5, encodings=("lut4", "lut4")),
        replace(record(2, 0.1, 2.0, encodings=("lut4", "lut4")), escalated_from=0, rung="calibration"),
        record(3, 0.6, 2.5, encodings=("lut4", "lut8")),
    ]
    rows = rows_of(records)
    assert [row["loss"] for row in rows.values()] == pytest.approx([0.3, 0.3, 0.3, 0.12])
    assert rows[0]["predicted"] == pytest.approx(0.3)
    assert rows[1]["predicted"] == pytest.approx(0.9)
    assert rows[2]["predicted"] is None
    assert rows[3]["predicted"] == pytest.approx(0.12 * (3 * 0.5 / 0.3) ** 0.5, rel=1e-4)
    plain = rows_of(records, losses={})
    assert [row["loss"] for row in plain.values()] == [row["predicted"] for row in plain.values()] == [None] * 4


def test_unseen_data_confirm_a_member_or_do_not():
    good, bad = (replace(record(i, 0.2 * (i + 1), 2.0 - i), evaluation=evaluated(0.2 * (i + 1))) for i in (0, 1))
    other = record(1, 0.4, 1.0, encodings=("lut2", "lut2")).configuration
    bad = replace(bad, configuration=other, evaluation=replace(bad.evaluation, configuration_hash=other.hash))
    rows = rows_of([good, bad], confirmations={good.key: evaluated(0.2, seed=1), bad.key: evaluated(0.9, seed=1)})
    assert [rows[0]["verdict"], rows[1]["verdict"]] == ["holds", "above"]
    assert rows[1]["unseen"]["divergence"] > rows[1]["high"]
    assert rows[1]["unseen"]["metrics"] == {"top1": 0.5}


def test_too_few_samples_of_a_member_check_nothing():
    few = record(0, 0.2, 2.0)
    row = rows_of([few], confirmations={few.key: replace(few.evaluation, divergence=9.0)})[0]
    assert (row["verdict"], row["unseen"]["divergence"]) == ("unsure", 9.0)


def test_latency_is_known_as_the_front_ranks_it():
    costs = {"size_mb": 2.0, "latency_ms": 1.0}
    records = [record(0, 0.3, 2.0, costs=costs), record(1, 0.2, 2.0, encodings=("lut8", "lut8"), costs=costs)]
    known = KnownLatency(measurements={records[1].configuration.hash: measured(0.7654321)})
    rows = rows_of(records, losses={}, known=known)
    assert [row["known_latency_ms"] for row in rows.values()] == [known.ms(r) for r in records] == [1.0, 0.7654321]
    assert [row["measured_latency_ms"] for row in rows.values()] == [None, pytest.approx(0.7654321, rel=1e-4)]
    assert rows_of(records, losses={})[1]["known_latency_ms"] is None


def test_costs_are_as_exact_as_a_budget_that_they_meet():
    size, latency = 123.456789, 1.2345678
    row = rows_of([record(0, 0.2, size, costs={"size_mb": size, "latency_ms": latency})])[0]
    assert (row["size_mb"], row["weight_bytes"], row["latency_ms"]) == (size, 123_456_789, latency)


def test_neighbours_are_told_apart_by_their_samples_and_the_last_has_none():
    same = evaluated(0.2)
    near = replace(same, divergence=same.divergence * 0.999, by_sample=tuple(reversed(same.by_sample)))
    records = [
        replace(record(0, 0.3, 1.0), evaluation=replace(same, by_sample=tuple(v + 0.1 for v in same.by_sample))),
        replace(record(1, 0.2, 2.0), evaluation=same),
        replace(record(2, 0.199, 3.0), evaluation=near),
    ]
    assert [row["distinct_from_next"] for row in rows_of(records).values()] == [True, False, None]


def test_neighbours_in_size_are_told_apart_by_divergence_where_latency_counts():
    same = evaluated(0.2)
    lost = tuple(value + 0.1 for value in same.by_sample)
    found = (replace(same, by_sample=lost), same, replace(same, by_sample=tuple(reversed(same.by_sample))))
    points = ((0.3, 1.0, 0.9), (0.2, 2.0, 0.7), (0.2, 3.0, 0.5))
    records = [
        replace(timed(trial, *point), evaluation=evaluation)
        for trial, point, evaluation in zip((0, 1, 3), points, found, strict=True)
    ]
    rows = rows_of(records, losses={}, objectives=two_costs())
    assert [row["status"] for row in rows.values()] == ["front"] * 3
    assert [row["distinct_from_next"] for row in rows.values()] == [True, False, None]


def test_too_few_samples_tell_no_neighbours_apart():
    records = [record(0, 0.3, 1.0), record(1, 0.2, 2.0)]
    assert [row["distinct_from_next"] for row in rows_of(records).values()] == [None, None]


def test_methods_are_counted_by_layer_or_compared_as_a_whole():
    gains = (
        Gain("moment_matching", None, 2.0, 1.0, 0.1, 16, True),
        Gain("gptq", "l0", 5.0, 4.0, 0.1, 16, True),
        Gain("gptq", "l1", 5.0, 6.0, 0.1, 16, False),
    )
    assert gain_rows(gains) == [
        {"method": "moment_matching", "divergence_before": 2.0, "divergence_after": 1.0, "kept": True, "layers": 0, "tried": 0},
        {"method": "gptq", "divergence_before": None, "divergence_after": None, "kept": True, "layers": 1, "tried": 2},
    ]  # fmt: skip


def test_an_escalation_of_a_uniform_one_is_no_baseline_and_rounded_inputs_are_marked():
    plain = record(0, 0.2, 2.0)
    rounded = type(plain.configuration)(plain.configuration.encodings, {"l1": Precision.INT8})
    made = replace(plain, origin="uniform lut8", escalated_from=3, rung="int8_activations", configuration=rounded)
    row = rows_of([made])[0]
    assert (row["baseline"], row["rung"], row["activations"]) == (None, "int8_activations", "01")
