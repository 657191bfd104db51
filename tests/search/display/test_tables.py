"""Fronts as people read them in a terminal."""

import io
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.display.tables import front_table, shown_members
from palettune.search.results.front import Front
from palettune.search.results.known_latency import KnownLatency
from tests.search.made_up import OBJECTIVES, front, measured, record, timed, two_costs

ENCODINGS = ("fp16", "lut8", "lut6", "lut4", "lut3", "lut2", "int8", "int4-b32", "lut4-g16", "sparse50")


def header(table):
    return [column.header for column in table.columns]


def cells(table, name):
    (column,) = (column for column in table.columns if column.header == name)
    return list(column.cells)


def printed(table, width=80):
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(table, soft_wrap=True)
    return buffer.getvalue()


def long_front(count=41):
    """Many members with figures of every length, metrics, and measurements on unseen data."""
    members, unseen = [], {}
    for i in range(count):
        divergence = 4.0 / (i + 1) ** 3
        made = record(1000 + i, divergence, 1.5 + i / 7, encodings=(ENCODINGS * 5)[: 12 + i % 9])
        by_sample = tuple(divergence * (1 + k / 10) for k in range(12))
        evaluation = replace(made.evaluation, metrics={"top1": 0.9 - i / 1000, "loss": 12.3456}, by_sample=by_sample)
        members.append(replace(made, evaluation=evaluation, origin=f"solved {1.5 + i / 7:.3f} MB"))
        unseen[members[-1].key] = Evaluation("x", Workflow.DATA_FREE, divergence * 1.1, (divergence,))
    return Front(tuple(members), OBJECTIVES, confirmations=unseen)


def test_members_are_rows_smallest_first_and_the_knee_is_marked():
    table = front_table(front(), "front of tiny")
    assert cells(table, "trial") == ["0", "1", "2", "3", "4"]
    assert cells(table, "size MB") == ["1.000", "2.000", "3.000", "6.000", "9.000"]
    assert cells(table, "95 % interval") == ["-"] * 5  # too few samples
    assert cells(table, "") == ["", "", "*", "", ""]
    assert list(table.notes) == ["* trial 2 is the knee"]
    assert "unseen" not in header(table)


def test_at_80_columns_each_member_is_one_line_and_no_digit_is_cut():
    found = long_front()
    shown = printed(front_table(found, "front", every=True))
    lines = shown.splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    assert "…" not in shown
    assert "..." not in shown
    for member in found.members:
        (line,) = (line for line in lines if str(member.trial) in line and "knee" not in line)
        assert f"{member.costs['size_mb']:.3f}" in line
        divergence = member.evaluation.divergence
        assert (f"{divergence:.4f}" if divergence >= 0.01 else f"{divergence:.3g}") in line.split()
    assert "not shown at this width: 95 % interval" in shown
    assert "--wide" in shown


def test_a_dozen_members_are_shown_unless_all_are_asked_for():
    found = long_front()
    some = front_table(found)
    assert len(cells(some, "trial")) == 12
    assert cells(some, "").count("*") == 1
    assert "12 of 41 members (--all shows every one)" in some.notes
    every = front_table(found, every=True)
    assert len(cells(every, "trial")) == 41
    assert not any("--all" in note for note in every.notes)
    sizes = [member.costs["size_mb"] for member in shown_members(found)]
    assert sizes == sorted(sizes)
    assert found.knee() in shown_members(found)


def test_a_dozen_members_are_shown_where_fewer_are_useful():
    members = [record(i, 4.9 - i / 100, 1 + i / 100) for i in range(20)]  # all but the last as bad as a constant output
    found = Front((*members, record(20, 0.1, 9.0)), OBJECTIVES)
    assert [member.trial for member in shown_members(found)] == [found.knee().trial, *range(10, 21)]


def test_wide_tables_have_every_column_on_one_line():
    shown = printed(front_table(long_front(), every=True, wide=True))
    assert "95 % interval" in shown
    assert "solved 1.500 MB" in shown
    assert "not shown" not in shown


def test_what_was_seen_on_unseen_data_and_the_metrics_have_columns():
    first, second = record(0, 0.4, 1.0), record(1, 0.1, 2.0, encodings=("lut8", "lut8"))
    second = replace(second, evaluation=replace(second.evaluation, metrics={"acc[top]": 0.91}))
    unseen = {first.key: Evaluation(first.configuration.hash, Workflow.DATA_FREE, 0.55, (0.55,))}
    members = Front((first, second), OBJECTIVES, confirmations=unseen)
    assert cells(front_table(members), "unseen") == ["0.5500", "-"]
    shown = printed(front_table(members, every=True, wide=True), 400)
    assert "acc[top]" in shown  # as it is spelt, though brackets are markup elsewhere
    assert "0.9100" in shown
    assert "1 lut8  1 lut4" in shown


def test_verdicts_are_words_of_one_word_where_there_is_less_room():
    found = long_front()
    above = found.members[3]
    worse = replace(found.confirmations[above.key], divergence=10.0, by_sample=(10.0,) * 12)
    found = replace(found, confirmations={above.key: worse})
    assert "above its interval" in printed(front_table(found, every=True, wide=True), 200)
    (line,) = (line for line in printed(front_table(found, every=True), 80).splitlines() if str(above.trial) in line)
    assert " above" in line


def test_latencies_predicted_calibrated_and_measured_never_share_a_column():
    members = (timed(0, 0.4, 1.0, 0.9), timed(1, 0.1, 2.0, 1.0))
    known = KnownLatency(None, {members[1].configuration.hash: measured(1.5)})
    table = front_table(Front(members, two_costs(), known))
    assert cells(table, "predicted ms") == ["0.900", "1.000"]
    assert cells(table, "calibrated ms") == ["-", "-"]
    assert cells(table, "measured ms") == ["-", "1.5000"]
    assert table.notes[0].endswith("1 of 2 members rank by measured latency, the others by calibrated")
    assert "measured ms" not in header(front_table(Front(members, two_costs())))


def test_an_empty_front_is_a_table_without_a_knee():
    table = front_table(Front((), OBJECTIVES))
    assert (cells(table, "trial"), list(table.notes)) == ([], [])
    assert "trial" in printed(table)
