"""Two evaluations side by side."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.search.results.trial_comparison import compare_records
from tests.search.made_up import LAYERS, MENU, TARGET, record

BY_NAME = {layer.name: layer for layer in LAYERS}
encodings = st.tuples(*[st.sampled_from([str(encoding) for encoding in MENU])] * 2)


def sampled(number, encodings, by_sample, metrics=None):
    made = record(number, float(np.mean(by_sample)), 1.0, encodings=encodings)
    evaluation = replace(made.evaluation, by_sample=tuple(by_sample), metrics=metrics or {})
    return replace(made, evaluation=evaluation)


def compared(first, second):
    return compare_records(first, second, BY_NAME, TARGET)


@given(encodings, encodings)
def test_layers_that_differ_are_listed_with_their_bytes_which_change_sign_the_other_way_round(one, two):
    first, second = record(0, 0.1, 1.0, encodings=one), record(1, 0.2, 2.0, encodings=two)
    found, back = compared(first, second), compared(second, first)
    assert {d.layer for d in found.layers} == {f"l{i}" for i in range(2) if one[i] != two[i]}
    assert {d.layer: d.added_bytes for d in found.layers} == {d.layer: -d.added_bytes for d in back.layers}
    sizes = [abs(d.added_bytes) for d in found.layers]
    assert sizes == sorted(sizes, reverse=True)
    assert found.costs == {"size_mb": 1.0}
    assert found.divergence == pytest.approx(-back.divergence) == pytest.approx(0.1)


def test_the_error_is_that_of_the_paired_difference():
    shift = np.array([0.1, 0.3, 0.2, 0.2])
    first, second = (sampled(i, ("lut8", "lut4"), s) for i, s in enumerate((np.arange(4.0), np.arange(4.0) + shift)))
    assert compared(first, second).error == pytest.approx(shift.std(ddof=1) / 2)
    other = sampled(2, ("lut8", "lut4"), [0.1, 0.2])
    assert compared(first, other).error is None  # samples do not pair


def test_metrics_of_both_are_compared_and_a_failure_leaves_layers_and_costs():
    first = sampled(0, ("lut8", "lut4"), [1.0, 2.0], {"top1": 0.9, "f1": 0.5})
    second = sampled(1, ("lut8", "lut8"), [1.0, 3.0], {"top1": 0.8})
    assert compared(first, second).metrics == {"top1": pytest.approx(-0.1)}
    failed = compared(first, replace(second, evaluation=None, values=None))
    assert (failed.divergence, failed.error, failed.metrics) == (None, None, {})
    assert [d.layer for d in failed.layers] == ["l1"]
    assert "divergence" not in repr(failed)


def test_it_is_shown_as_a_sentence_and_as_a_table():
    found = compared(record(3, 0.1, 1.0), record(4, 0.3, 2.0, encodings=("lut8", "fp16")))
    assert repr(found) == (
        "TrialComparison(from trial 3 to 4: size_mb +1.000, divergence +0.2 (+- 0); 1 layers differ)"
    )
    table = found.to_frame()
    assert list(table.columns) == ["trial 3", "trial 4", "added_bytes"]
    assert table.loc["l1", "trial 4"] == "fp16"
    assert "<table" in found._repr_html_()


def test_bytes_are_those_of_the_weight_file():
    first, second = record(0, 0.1, 1.0, encodings=("fp16", "fp16")), record(1, 0.1, 1.0, encodings=("lut4", "fp16"))
    (difference,) = compared(first, second).layers
    table, headers = 16 * 2 + 32, 2 * 64 - 64  # padded; one blob more
    assert difference.added_bytes == 64 * 64 // 2 + table + headers - 64 * 64 * 2
