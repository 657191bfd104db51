"""Explanations of made-up fronts."""

from dataclasses import replace

import numpy as np
import pytest

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.proposing.allocation import allocation_problem
from palettune.search.proposing.solver import sweep
from palettune.search.results.explanation import _rates, explain_front
from palettune.search.results.front import Front
from palettune.space.footprint import layer_bytes
from tests.search import latency_space
from tests.search.made_up import LAYERS, MENU, OBJECTIVES, SPACE, TARGET, record


def test_explanations_say_what_is_saved_and_what_comes_next():
    columns = tuple((layer.name, e) for layer in LAYERS for e in MENU)
    scores = Scores("fisher", columns, np.array([[0, 0.001, 0.1, 2.0, 0, 0.01, 0.5, 4.0]]))
    members = Front(
        (record(0, 0.6, 1, encodings=("lut4", "lut4")), record(1, 0.1, 2, encodings=("lut4", "lut8"))), OBJECTIVES
    )
    first, second = explain_front(members, SPACE, TARGET, scores)
    reasons = {r.layer: r for r in first.layers}
    assert reasons["l0"].score == pytest.approx(0.1)
    assert reasons["l0"].saved == 64 * 64 * 2 - (64 * 64 // 2 + 64 + 64)
    assert str(reasons["l1"].next_best) == "lut8"
    assert reasons["l1"].next_bytes > 0 > reasons["l1"].next_score
    assert str(reasons["l1"].neighbour) == "lut8"
    assert reasons["l0"].neighbour is None
    assert all(r.neighbour is None for r in second.layers)
    assert reasons["l0"].bytes == layer_bytes(LAYERS[0], MENU[2], TARGET)
    assert [reason.layer for reason in second.by_bytes()] == ["l1", "l0"]


def explained():
    """The one member of a front."""
    columns = tuple((layer.name, e) for layer in LAYERS for e in MENU)
    scores = Scores("fisher", columns, np.array([[0, 0.001, 0.1, 2.0, 0, 0.01, 0.5, 4.0]]))
    member = record(3, 0.1, 2, encodings=("lut4", "lut8"))
    (found,) = explain_front(Front((member,), OBJECTIVES), SPACE, TARGET, scores)
    return found


def test_a_member_is_put_into_a_sentence():
    found = explained()
    words = found.sentence
    assert words.startswith("Trial 3 (data_free) is 2.000 MB, divergence 0.1000: of 2 layers 1 is in lut4, 1 in lut8.")
    assert "of their bytes are in l1, as lut8; one kB buys " in words
    assert str(found).startswith(words)
    assert [layer["layer"] for layer in found.to_json()["layers"]] == ["l0", "l1"]
    assert found.to_json()["layers"][1]["encoding"] == "lut8"


def test_a_price_of_nothing_is_not_said():
    timed = record(3, 0.1, 2, costs={"size_mb": 2.0, "latency_ms": 1.5})
    found = replace(explained(), record=timed, rate=0.002, rate_ms=0.5)
    assert found.sentence.endswith("; one kB buys 2 of divergence; one microsecond buys 0.0005 of divergence.")
    assert replace(found, rate=0.0, rate_ms=0.0).sentence.endswith("of their bytes are in l1, as lut8.")


def test_explanations_with_two_costs_price_both_and_regret_nothing_on_the_solved_front():
    latency, chosen, made = latency_space.model(), latency_space.space(), latency_space.scores(3)
    problem = allocation_problem(chosen, latency_space.TARGET, 0, made, latency)
    by_size, by_time = sweep(problem, "size_mb"), sweep(problem, "latency_ms")
    for allocation in (by_size[len(by_size) // 2], by_time[len(by_time) // 2]):
        rows = [
            np.column_stack([loss, size, time])
            for loss, size, time in zip(
                problem.losses, problem.costs["size_mb"], problem.tangent(allocation.choices)[0], strict=True
            )
        ]
        prices = np.array([1.0, *_rates(rows, allocation.choices)])
        assert (prices >= 0).all()
        totals = [group @ prices for group in rows]
        regret = sum(t[c] - t.min() for t, c in zip(totals, allocation.choices, strict=True))
        plain = sum(loss[c] - loss.min() for loss, c in zip(problem.losses, allocation.choices, strict=True))
        assert regret <= 0.05 * plain + 1e-12
