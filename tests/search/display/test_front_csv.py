"""The front for spreadsheets."""

import csv
import io
from dataclasses import replace

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.display.front_csv import front_csv
from palettune.search.results.front import Front
from palettune.search.results.known_latency import KnownLatency
from tests.search.made_up import OBJECTIVES, front, measured, record, timed, two_costs


def rows(found):
    return list(csv.DictReader(io.StringIO(front_csv(found))))


def test_every_member_is_a_line_with_whole_figures_and_the_knee_has_its_mark():
    found = front()
    read = rows(found)
    assert [row["knee"] for row in read] == ["", "", "*", "", ""]
    assert [float(row["divergence"]) for row in read] == [member.evaluation.divergence for member in found.members]
    assert [row["encoding.l1"] for row in read] == ["lut4"] * 5
    assert {row["unseen_divergence"] for row in read} == {""}


def test_what_only_some_members_have_is_an_empty_cell_for_the_others():
    first, second = record(0, 0.4, 1.0), record(1, 0.1, 2.0, encodings=("lut8", "lut8"))
    second = replace(second, evaluation=replace(second.evaluation, metrics={"top, 1": 0.91}))
    unseen = {first.key: Evaluation("x", Workflow.DATA_FREE, 0.55, tuple([0.5, 0.6] * 8))}
    one, other = rows(Front((first, second), OBJECTIVES, confirmations=unseen))
    assert (one["top, 1"], other["top, 1"]) == ("", "0.91")
    assert float(one["unseen_divergence_low"]) < 0.55 < float(one["unseen_divergence_high"])
    assert other["unseen_divergence"] == ""


def test_latencies_have_columns_of_their_own():
    members = (timed(0, 0.4, 1.0, 0.9), timed(1, 0.1, 2.0, 1.0))
    known = KnownLatency(None, {members[1].configuration.hash: measured(1.5)})
    read = rows(Front(members, two_costs(), known))
    assert [(row["latency_ms"], row["measured_latency_ms"]) for row in read] == [("0.9", ""), ("1.0", "1.5")]


def test_an_empty_front_is_an_empty_header():
    assert front_csv(Front((), OBJECTIVES)).strip() == ""
