"""The layers of a page: menus, bytes, losses, times and refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.review.encoding_table import EncodingTable
from palettune.search.review.layer_rows import brought_encodings, layer_rows, losses_of_columns
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.search_space import SearchSpace
from tests.search.latency_space import MENU, TARGET, WIDTHS, model, scores, space
from tests.search.made_up import record


def rows_of(whole, made=None, latency=None, brought=None, **keys):
    keys.setdefault("encodings", [str(e) for e in MENU])
    experiment = Experiment(name="x", workload=Path("workload.py"), space=keys)
    brought = brought or {}
    table = EncodingTable(whole, [*experiment.space.parsed, *(e for one in brought.values() for e in one)], TARGET)
    rows, reasons = layer_rows(experiment, whole, table, losses_of_columns(made), made, latency, brought)
    return rows, reasons, table


def test_a_row_has_the_menu_of_its_layer_with_exact_bytes_and_scores():
    whole, made = space(), scores(1)
    rows, _, table = rows_of(whole, made)
    assert [row["name"] for row in rows] == list(WIDTHS)
    for layer, row in zip(whole.layers, rows, strict=True):
        menu = whole.menus[layer.name].encodings
        assert row["menu"] == [table.place(e) for e in menu]
        assert row["bytes"] == [layer_bytes(layer, e, TARGET) for e in menu]
        assert row["loss"] == pytest.approx([made.score(layer.name, e) for e in menu], rel=1e-8)
        assert row["weights"] == layer.parameters
        assert row["method"] == "made up"
        assert row["latency_us"] is None


def test_without_scores_there_are_no_losses_and_the_usual_score_is_not_named():
    rows, _, _ = rows_of(space())
    assert all(row["loss"] is None for row in rows)
    made = scores(1)
    rows, _, _ = rows_of(space(), replace(made, method="fisher", methods={"b": "isolated"}))
    assert [row.get("method") for row in rows] == [None, "isolated", None, None]


def test_layers_of_one_group_have_its_number():
    rows, _, _ = rows_of(space(groups=[("a", "d")]))
    assert [row["group"] for row in rows] == [0, 1, 2, 0]


def test_times_around_a_configuration_are_those_of_the_model():
    whole, latency = space(), model()
    at = whole.uniform(Encoding.parse("lut8"))
    linear = latency.linearized(at)
    rows, _, _ = rows_of(whole, latency=linear)
    chosen = [whole.menus[name].encodings.index(Encoding.parse("lut8")) for name in WIDTHS]
    around = sum(row["latency_us"][place] for row, place in zip(rows, chosen, strict=True))
    assert (around + 1e3 * linear.constant_ms) / 1e3 == pytest.approx(latency.predict(at).ms, rel=1e-4)


def test_what_is_asked_for_and_not_offered_has_its_reason():
    small = SearchSpace.build(space().layers, MENU, TARGET, keep=["a"])
    asked = [*(str(e) for e in MENU), "lut4-g96"]  # 96 divides no width
    rows, reasons, table = rows_of(small, encodings=asked, keep=["a"])
    why = {row["name"]: {place: reasons[number] for place, number in row["refused"]} for row in rows}
    assert set(why["a"]) == {table.place(Encoding.parse(e)) for e in asked} - {table.place(Encoding())}
    assert all("space.keep" in reason for reason in why["a"].values())
    (reason,) = why["b"].values()
    assert "do not divide" in reason
    assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize(
    ("keys", "groups", "words"),
    [({}, (), "not offered"), ({}, [("a", "b")], "of its group"), ({"prune": True}, (), "fewer bytes")],
)
def test_a_legal_encoding_that_is_not_offered_has_its_reason_too(keys, groups, words):
    offered = SearchSpace.build(space().layers, MENU[:2], TARGET, groups=groups)
    rows, reasons, _ = rows_of(offered, **keys)
    assert {reasons[number] for row in rows for _, number in row["refused"] if row["name"] == "a"} == {
        next(reason for reason in reasons if words in reason)
    }


def test_what_added_trials_use_beyond_a_menu_has_its_figures_beside_it():
    whole, latency, lut6 = space(), model(), Encoding.parse("lut6")
    plain = Configuration(dict.fromkeys(WIDTHS, MENU[1]))
    mixed = record(0, 0.1, 1.0, configuration=plain.replace({"b": lut6}), added=True)
    proposed = replace(mixed, trial=1, added=False, configuration=plain.replace({"c": lut6}))
    brought = brought_encodings([mixed, mixed, proposed], whole)
    assert {name: list(found) for name, found in brought.items()} == {"b": [lut6]}
    scored = Scores("made up", (*scores(1).columns, ("b", lut6)), np.append(scores(1).by_sample, [[0.25]], axis=1))
    linear = latency.linearized(plain)
    rows, _, table = rows_of(whole, scored, linear, brought)
    assert [len(row["menu"]) for row in rows] == [len(row["bytes"]) for row in rows] == [len(MENU)] * len(rows)
    (found,) = (row["brought"] for row in rows if "brought" in row)
    layer = whole.layers[1]
    assert (layer.name, found["encodings"], found["loss"]) == ("b", [table.place(lut6)], [0.25])
    assert found["bytes"] == [layer_bytes(layer, lut6, TARGET)]
    assert found["busy_us"][0] == pytest.approx(1e3 * latency.layer_times("b", lut6)[0], rel=1e-8)
    assert rows_of(whole, scores(1), None, brought)[0][1]["brought"]["loss"] == [None]


def test_a_score_is_a_mean_over_samples():
    whole = space()
    columns = tuple((name, e) for name in WIDTHS for e in whole.menus[name].encodings)
    table = np.random.default_rng(0).random((5, len(columns)))
    found = losses_of_columns(Scores("fisher", columns, table))
    assert found == pytest.approx(dict(zip(columns, table.mean(axis=0), strict=True)))
    assert losses_of_columns(None) == {}
