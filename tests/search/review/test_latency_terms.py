"""The terms of the latency model: the page predicts what the model does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.review.latency_terms import latency_terms
from palettune.space.configuration import Configuration
from tests.search.latency_space import WIDTHS, model, space
from tests.search.review.page_reader import milliseconds
from tests.search.review.test_layer_rows import rows_of

SPACE = space()
MODELS = {
    "plain": model(),
    "taught": model().calibrated([(SPACE.uniform(e), 2.0) for e in SPACE.menus["a"].encodings]),
    "on the CPU": model("CPU_ONLY"),
}


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(sorted(MODELS)),
    st.tuples(*(st.integers(0, len(SPACE.menus[name].encodings) - 1) for name in WIDTHS)),
)
def test_any_configuration_is_predicted_as_by_the_model(name, choices):
    latency = MODELS[name]
    linear = latency.linearized(SPACE.uniform(SPACE.menus["a"].encodings[0]))
    rows, _, table = rows_of(SPACE, latency=linear)
    data = {"layers": rows, "encodings": table.rows(), "latency": latency_terms(linear, None)}
    chosen = {n: SPACE.menus[n].encodings[choice] for n, choice in zip(WIDTHS, choices, strict=True)}
    ms = milliseconds(data, {name: str(encoding) for name, encoding in chosen.items()})
    assert ms == pytest.approx(latency.predict(Configuration(chosen)).ms, rel=1e-6)


def test_the_interval_and_the_device_are_those_of_the_model():
    latency = MODELS["taught"]
    at = SPACE.uniform(SPACE.menus["a"].encodings[0])
    terms, estimate = latency_terms(latency.linearized(at), 3), latency.predict(at)
    assert estimate.ms * terms["low"] == pytest.approx(estimate.low, rel=1e-4)
    assert estimate.ms * terms["high"] == pytest.approx(estimate.high, rel=1e-4)
    assert (terms["device"], terms["at"], terms["measured_on"]) == ("iPhone 15 Pro", 3, latency.measured)
