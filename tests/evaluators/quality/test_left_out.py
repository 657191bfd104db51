"""Layers that a method leaves out, in words."""

from palettune.evaluators.quality.left_out import left_out


def test_layers_are_named_once_for_each_reason_and_many_are_counted():
    reasons = {"a": "tied", **{f"b{i}": "grouped" for i in range(5)}, "c": "tied"}
    assert left_out("no adapter beside", reasons) == (
        "no adapter beside a, c: tied",
        "no adapter beside b0, b1, b2 and 2 more: grouped",
    )
    assert left_out("no adapter beside", {}) == ()
