"""Figures and configurations as short text."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.search.results.formatting import digits, encoding_summary
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding

NAMES = ("fp16", "lut8", "lut6", "lut4", "lut2", "int8")


def configuration(encodings, activations=()):
    chosen = {f"l{i}": Encoding.parse(name) for i, name in enumerate(encodings)}
    return Configuration(chosen, dict.fromkeys(activations, Precision.INT8))


@given(st.floats(min_value=1e-12, max_value=1e9), st.sampled_from([1, -1]))
def test_a_figure_keeps_its_value_and_its_sign(value, sign):
    shown = digits(sign * value)
    assert float(shown) == pytest.approx(sign * value, rel=0.01)
    assert len(shown) <= 10


def test_what_is_not_known_is_a_dash():
    assert digits(None) == "-"
    assert digits(0.0) == "0"


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=30), st.integers(1, 6))
def test_a_summary_counts_every_layer_once_and_the_most_frequent_first(encodings, most):
    shown = encoding_summary(configuration(encodings), most).split("  ")
    named = [part.split() for part in shown if not part.startswith("+")]
    counts = [int(count) for count, _ in named]
    rest = sum(int(part) for part in shown if part.startswith("+"))
    assert sum(counts) + rest == len(encodings)
    assert counts == sorted(counts, reverse=True)
    assert len(named) == min(most, len(set(encodings)))
    assert all(Counter(encodings)[name] == int(count) for count, name in named)


def test_inputs_in_8_bits_are_counted_behind():
    assert (
        encoding_summary(configuration(["int8", "int8", "lut4"], ["l0", "l2"])) == "2 int8  1 lut4, 2 inputs in 8 bits"
    )
