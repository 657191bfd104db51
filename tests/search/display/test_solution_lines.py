"""Predicted optima in a terminal."""

from dataclasses import replace

from palettune.search.display.solution_lines import solution_lines
from palettune.search.proposing.solution import Solution
from tests.search import latency_space
from tests.search.made_up import record

FOUND = Solution(record(0, 1.0, 1.0).configuration, {"size_mb": 2.5}, 0.125, 0.1, 0.2, 7, 0.03)


def test_every_layer_has_its_line_and_the_last_one_says_that_it_is_a_prediction():
    *layers, last = solution_lines(FOUND)
    assert layers == ["  l0: lut8", "  l1: lut4"]
    assert last.startswith("2.500 MB; predicted divergence 0.1250 (80 % interval 0.1000 to 0.2000, from 7 measured")
    assert last.endswith("A prediction: nothing was evaluated.")


def test_where_nothing_is_known_no_interval_is_given():
    assert "no interval can be given" in solution_lines(replace(FOUND, high=None))[-1]


def test_a_latency_has_a_line_with_its_device_and_what_taught_it():
    estimate = latency_space.model().predict(latency_space.space().uniform(latency_space.MENU[0]))
    timed = replace(FOUND, latency=estimate, predicted_for="iPhone 15 Pro, CPU_AND_NE", latency_measured_on=4)
    (line,) = (line for line in solution_lines(timed) if "latency" in line)
    assert f"{estimate.ms:.3f} ms (80 % interval {estimate.low:.3f} to {estimate.high:.3f})" in line
    assert line.endswith("on iPhone 15 Pro, CPU_AND_NE, taught by 4 measurements")
