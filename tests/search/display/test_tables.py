"""Fronts as people read them in a terminal."""

from dataclasses import replace

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.display.tables import front_table, front_table_text
from palettune.search.results.front import Front
from palettune.search.results.known_latency import KnownLatency
from tests.search.made_up import OBJECTIVES, front, measured, record, timed, two_costs


def header(table):
    return [column.header for column in table.columns]


def cells(table, name):
    (column,) = (column for column in table.columns if column.header == name)
    return list(column.cells)


def test_members_are_rows_smallest_first_and_the_knee_is_said():
    table = front_table(front(), "front of tiny")
    assert cells(table, "trial") == ["0", "1", "2", "3", "4"]
    assert cells(table, "size MB") == ["1.000", "2.000", "3.000", "6.000", "9.000"]
    assert cells(table, "95 % interval") == ["-"] * 5  # too few samples
    assert table.caption == "trial 2 (bold) is the knee"
    assert [bool(row.style) for row in table.rows] == [False, False, True, False, False]
    assert "on unseen data" not in header(table)


def test_what_was_seen_on_unseen_data_and_the_metrics_have_columns():
    first, second = record(0, 0.4, 1.0), record(1, 0.1, 2.0, encodings=("lut8", "lut8"))
    second = replace(second, evaluation=replace(second.evaluation, metrics={"acc[top]": 0.91}))
    unseen = {first.key: Evaluation(first.configuration.hash, Workflow.DATA_FREE, 0.55, (0.55,))}
    members = Front((first, second), OBJECTIVES)
    table = front_table(members, None, unseen)
    assert cells(table, "on unseen data") == ["0.5500", "-"]
    shown = front_table_text(members, unseen)
    assert "acc[top]" in shown  # as it is spelt, though brackets are markup elsewhere
    assert "0.9100" in shown
    assert "1 lut8  1 lut4" in shown


def test_latencies_predicted_calibrated_and_measured_never_share_a_column():
    members = (timed(0, 0.4, 1.0, 0.9), timed(1, 0.1, 2.0, 1.0))
    known = KnownLatency(None, {members[1].configuration.hash: measured(1.5)})
    table = front_table(Front(members, two_costs(), known))
    assert cells(table, "predicted ms") == ["0.900", "1.000"]
    assert cells(table, "calibrated ms") == ["-", "-"]
    assert cells(table, "measured ms") == ["-", "1.5000"]
    assert table.caption.endswith("1 of 2 members rank by measured latency, the others by calibrated")
    assert "measured ms" not in header(front_table(Front(members, two_costs())))


def test_an_empty_front_is_a_table_without_a_knee():
    table = front_table(Front((), OBJECTIVES))
    assert (table.row_count, table.caption) == (0, None)
