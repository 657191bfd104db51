"""Predicted optima in a terminal."""

from dataclasses import replace

from palettune.search.display.solution_lines import solution_lines
from palettune.search.proposing.escalation_forecast import EscalationForecast
from palettune.search.proposing.solution import Solution
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.search import latency_space
from tests.search.made_up import record

LUT4, LUT8 = (Encoding.parse(name) for name in ("lut4", "lut8"))
MEASURED = record(42, 0.08, 2.4)
FOUND = Solution(
    Configuration({"l1": LUT4, "l0": LUT8}), {"size_mb": 2.5}, 0.125, 0.1, 0.2, 7, 0.03, best=MEASURED,
    budgets={"size_mb": 2.5},
)  # fmt: skip
CALIBRATION = EscalationForecast("calibration", 0.5, 0.4, 0.7, 4, 0.0625)


def test_what_is_measured_stands_first_and_the_layers_last_in_the_models_order():
    lines = solution_lines(FOUND)
    assert lines[0] == "best measured within 2.5 MB: trial 42, 2.400 MB, divergence 0.0800 (data_free)"
    assert lines[1].startswith(
        "predicted: 2.500 MB, divergence 0.1250 (80 % interval 0.1000 to 0.2000, from 7 measured"
    )
    assert lines[-2:] == ["  l1: lut4", "  l0: lut8"]


def test_a_prediction_that_is_not_better_is_said_to_be_so():
    lines = solution_lines(FOUND, "mine.toml")
    assert "it is not predicted to be better than trial 42, which is measured: take that" in lines
    assert "  palettune export mine.toml --pick 42 --out DIR" in lines


def test_what_escalation_has_gained_here_is_said_and_counts():
    lines = solution_lines(replace(FOUND, forecasts=(CALIBRATION,)), "mine.toml", " --forbid lut2", " --root r")
    assert (
        "calibration has left 0.50 of the divergence here (4 escalations nearby, 0.40 to 0.70): about 0.0625" in lines
    )
    assert "it may be better than trial 42, which only an evaluation can tell" in lines
    assert "  palettune solve mine.toml --max-size-mb 2.5 --forbid lut2 --root r --calibrate" in lines
    sure = solution_lines(replace(FOUND, low=0.01, divergence=0.02, high=0.03))
    assert "the whole interval of the prediction lies below what trial 42 has: evaluate it" in sure


def test_a_configuration_that_was_evaluated_is_not_evaluated_again_and_the_better_is_exported():
    lines = solution_lines(replace(FOUND, evaluated=(record(7, 0.07, 2.5),), forecasts=(CALIBRATION,)))
    assert "this configuration has been evaluated: trial 7, 2.500 MB, divergence 0.0700 (data_free)" in lines
    assert "  palettune export EXPERIMENT.toml --pick 7 --out DIR" in lines
    assert not any("--evaluate" in line for line in lines)
    assert any(line.endswith("--calibrate") for line in lines)
    worse = solution_lines(
        replace(FOUND, evaluated=(record(7, 0.09, 2.5, escalated_from=3),), forecasts=(CALIBRATION,))
    )
    assert "  palettune export EXPERIMENT.toml --pick 42 --out DIR" in worse
    assert not any(line.endswith("--calibrate") for line in worse)


def test_where_nothing_is_known_no_interval_and_no_member_is_made_up():
    lines = solution_lines(replace(FOUND, high=None, best=None))
    assert lines[0] == "measured: no member of the front is within 2.5 MB"
    assert "no interval can be given" in lines[1]
    assert "a prediction: nothing was evaluated" in lines


def test_a_latency_has_a_line_with_its_device_and_what_taught_it():
    estimate = latency_space.model().predict(latency_space.space().uniform(latency_space.MENU[0]))
    timed = replace(FOUND, latency=estimate, predicted_for="iPhone 15 Pro, CPU_AND_NE", latency_measured_on=4)
    (line,) = (line for line in solution_lines(timed) if "predicted latency" in line)
    assert f"{estimate.ms:.3f} ms (80 % interval {estimate.low:.3f} to {estimate.high:.3f})" in line
    assert line.endswith("on iPhone 15 Pro, CPU_AND_NE, taught by 4 measurements")
