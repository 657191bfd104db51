"""What measured latencies teach about a program."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device_bench.cost.support.priced import configurations, model, uniform


def test_measurements_move_the_level_and_narrow_the_interval():
    m = model()
    plain = m.predict(uniform("fp16"))
    taught = m.calibrated([(uniform("fp16"), 2 * plain.ms)])
    found = taught.predict(uniform("fp16"))
    assert plain.ms < found.ms <= 2 * plain.ms
    assert found.high / found.low < plain.high / plain.low
    both = [(uniform(e), 2 * m.predict(uniform(e)).ms) for e in ("fp16", "lut4")]
    often = m.calibrated(both * 25)
    assert often.predict(uniform("fp16")).ms == pytest.approx(2 * plain.ms, rel=0.02)
    assert often.predict(uniform("lut4")).ms / m.predict(uniform("lut4")).ms == pytest.approx(2, rel=0.02)
    assert (taught.measured, often.measured, m.calibrated([]).measured) == (1, 50, 0)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.6, 1.7), st.floats(0.5, 2.0), configurations)
def test_what_weights_cost_is_learnt_where_configurations_tell_it(level, stream, other):
    m = model(positions=1)
    truth = replace(m, scale=level, stream=stream)
    taught = m.calibrated(
        [(c, truth.predict(c).ms) for c in map(uniform, ("fp16", "lut8", "lut4", "lut2")) for _ in range(20)]
    )

    def ratio(found):
        return found.predict(other).ms / found.predict(uniform("fp16")).ms

    assert abs(ratio(taught) / ratio(truth) - 1) <= abs(ratio(m) / ratio(truth) - 1) * 0.6 + 0.02
    total = taught.linearized(other)
    exact = total.constant_ms + sum(total.cost(n, e) for n, e in other.encodings.items())
    assert exact == pytest.approx(taught.predict(other).ms, rel=1e-9)
    times = np.array([taught.rest_times, *(taught.layer_times(n, e) for n, e in other.encodings.items())]).sum(axis=0)
    assert taught.milliseconds(times[:1], times[1:])[0] == pytest.approx(taught.predict(other).ms, rel=1e-9)
