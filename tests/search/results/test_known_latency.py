"""What is known of latencies: measured before calibrated before predicted, and the three kept apart."""

from dataclasses import replace

import pytest

from palettune.search.results.known_latency import KnownLatency, known_latency
from tests.search import latency_space
from tests.search.made_up import measured, record


def records(latency):
    """A record of each uniform configuration, with the latency as it was predicted when its trial ended."""
    found = []
    for number, encoding in enumerate(latency_space.MENU[:3]):
        configuration = latency_space.space().uniform(encoding)
        ms = latency.predict(configuration).ms
        made = record(number, 0.1, 5.0)
        found.append(replace(made, configuration=configuration, costs={"size_mb": 5.0, "latency_ms": ms}))
    return found


def test_without_measurements_a_latency_is_as_predicted():
    latency = latency_space.model()
    first, *_ = found = records(latency)
    for known in (KnownLatency(), known_latency(latency, found, {}), known_latency(None, found, {})):
        assert known.measured(first) is None
        assert known.calibrated(first) is None
        assert known.ms(first) == first.costs["latency_ms"]
        assert known.costs(first) == first.costs
    without = replace(first, costs={"size_mb": 5.0})
    assert KnownLatency().ms(without) is None
    assert KnownLatency().costs(without) == {"size_mb": 5.0}


def test_a_measurement_stands_for_its_own_configuration_and_teaches_the_model_of_the_others():
    latency = latency_space.model()
    first, second, _ = found = records(latency)
    slow = 2 * first.costs["latency_ms"]
    known = known_latency(latency, found, {first.configuration.hash: measured(slow)})
    assert known.ms(first) == known.measured(first).median_ms == slow
    assert known.costs(first) == {"size_mb": 5.0, "latency_ms": slow}
    assert known.measured(second) is None
    assert known.ms(second) == known.calibrated(second)
    assert second.costs["latency_ms"] < known.calibrated(second) < 2.1 * second.costs["latency_ms"]
    assert first.costs["latency_ms"] == pytest.approx(slow / 2)  # the record stays as it was


def test_a_measurement_of_no_record_s_configuration_teaches_nothing():
    latency = latency_space.model()
    found = records(latency)
    known = known_latency(latency, found, {"another": measured(9.0)})
    assert known.model is None
    assert [known.ms(r) for r in found] == [r.costs["latency_ms"] for r in found]
