"""What escalations let expect of a configuration that was not escalated."""

from dataclasses import replace

import pytest

from palettune.search.proposing.escalation_forecast import escalation_forecasts
from tests.search.made_up import record


def escalated(trial, source, divergence, rung="calibration", **changes):
    made = record(trial, divergence, source.costs["size_mb"])
    return replace(made, escalated_from=source.trial, rung=rung, **changes)


def test_the_nearest_escalations_tell_what_is_left_of_the_divergence():
    plain = [record(i, 0.1 * (i + 1), 2.0) for i in range(10)]
    far = [escalated(20 + r.trial, r, r.evaluation.divergence * (0.5 if r.trial < 8 else 0.9)) for r in plain]
    (found,) = escalation_forecasts([*plain, *far], 0.1)
    assert (found.rung, found.escalations) == ("calibration", 8)
    assert found.share == pytest.approx(0.5)
    assert found.divergence == pytest.approx(0.05)
    (at_the_other_end,) = escalation_forecasts([*plain, *far], 1.0)
    assert at_the_other_end.worst == pytest.approx(0.9)


def test_a_second_rung_counts_from_the_evaluation_without_data():
    plain = record(0, 0.4, 2.0)
    once = escalated(1, plain, 0.2)
    twice = escalated(2, once, 0.1, rung="fine_tuning")
    found = {one.rung: one.share for one in escalation_forecasts([plain, once, twice], 0.4)}
    assert found == {"calibration": pytest.approx(0.5), "fine_tuning": pytest.approx(0.25)}


def test_what_has_another_configuration_or_no_source_tells_nothing():
    plain = record(0, 0.4, 2.0)
    rounded = replace(
        escalated(1, plain, 0.2), configuration=record(9, 1.0, 1.0, encodings=("lut2", "lut2")).configuration
    )
    assert escalation_forecasts([plain, rounded], 0.4) == ()
    assert escalation_forecasts([escalated(1, plain, 0.2)], 0.4) == ()
    assert escalation_forecasts([plain], 0.4) == ()
