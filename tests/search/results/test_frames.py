"""Tables of members and of trials."""

import pandas
import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Stage, Workflow
from palettune.search.results.frames import members_frame, records_frame
from palettune.search.results.known_latency import KnownLatency
from palettune.search.study.record import Record
from tests.search.made_up import measured, record, timed


def without(result, number):
    """A record of a trial that gave no evaluation."""
    kept = {k: v for k, v in vars(record(number, 1.0, 1.0)).items() if k not in ("evaluation", "failure", "screened")}
    return Record.of(result, **kept | {"values": None, "feasible": False})


def test_members_are_rows_by_trial_and_what_nobody_knows_is_no_column():
    first, second = record(3, 0.4, 1.0), record(1, 0.1, 2.0)
    table = members_frame([first, second], second, KnownLatency(), {})
    assert list(table.index) == [3, 1]
    assert list(table.knee) == [False, True]
    assert list(table.divergence) == [0.4, 0.1]
    assert table.loc[1, "configuration"] is second.configuration
    assert not {"latency_ms", "measured_latency_ms", "confirmed_divergence", "escalated_from"} & set(table)


def test_latencies_measured_and_divergences_confirmed_have_columns_of_their_own():
    first, second = timed(0, 0.4, 1.0, 0.9), timed(1, 0.1, 2.0, 1.0)
    unseen = Evaluation(first.configuration.hash, Workflow.DATA_FREE, 0.7, (0.7,))
    known = KnownLatency(None, {second.configuration.hash: measured(1.5)})
    table = members_frame([first, second], first, known, {first.key: unseen})
    assert table.loc[0, "confirmed_divergence"] == 0.7
    assert pandas.isna(table.loc[1, "confirmed_divergence"])
    assert table.loc[1, "measured_latency_ms"] == 1.5
    assert table.loc[1, "latency_ms"] == 1.0
    assert "calibrated_latency_ms" not in table


def test_trials_are_rows_in_the_order_given_with_their_state_and_reason():
    failed = without(Failure(Stage.FORWARD, "not finite", "l0"), 7)
    screened = without(Screened(0, 4, 1.0, 0.1), 8)
    table = records_frame([record(9, 0.4, 1.0), failed, screened], [record(9, 0.4, 1.0)])
    assert list(table.index) == [9, 7, 8]
    assert list(table.state) == ["complete", "failed", "screened"]
    assert pandas.isna(table.reason[9])
    assert table.reason[7] == "forward, layer 'l0': not finite"
    assert table.reason[8].startswith("screened out")
    assert list(table.on_front) == [True, False, False]
    assert list(table["encoding.l1"]) == ["lut4"] * 3
    assert (table.began[9], table.seconds[9]) == (pandas.Timestamp(0, tz="UTC"), 1.0)


@pytest.mark.parametrize("empty", [members_frame([], None, KnownLatency(), {}), records_frame([])])
def test_a_table_of_nothing_is_still_one_by_trial(empty):
    assert len(empty) == 0
    assert empty.index.name == "trial"
