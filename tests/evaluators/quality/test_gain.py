"""Whether a method's result is kept, on paired samples."""

import json
import math

import numpy as np
import pytest

from palettune.evaluators.quality.gain import Gain, failed, paired


def test_a_clear_gain_is_kept_and_a_loss_never():
    random = np.random.default_rng(0)
    base = random.lognormal(size=32)
    better = paired("method", base, 0.8 * base)
    assert better.kept
    assert (better.before, better.after) == (base.mean(), pytest.approx(0.8 * base.mean()))
    assert not paired("method", base, 1.2 * base).kept
    assert not paired("method", base, base).kept


def test_what_changes_nothing_is_kept_one_time_in_six():
    random = np.random.default_rng(1)
    kept = [
        paired("method", base, base + random.normal(size=48)).kept
        for base in (random.lognormal(size=48) for _ in range(2000))
    ]
    assert 0.13 < np.mean(kept) < 0.19


def test_too_few_or_infinite_samples_keep_nothing_and_say_so():
    assert "3 usable samples" in paired("method", [1, 1, 1], [0, 0, 0]).reason
    assert not paired("method", [1, 1, 1], [0, 0, 0]).kept
    assert "not finite" in paired("method", [1] * 5, [0, 0, 0, 0, math.nan]).reason
    with pytest.raises(ValueError, match="expected pairs"):
        paired("method", [1, 2], [1])


def test_what_is_read_from_json_twice_is_equal_where_nothing_was_compared_too():
    for found in (failed("gptq", "no method", "head"), paired("method", [1.0] * 8, [0.5] * 8)):
        text = json.dumps(found.to_json())
        assert Gain.from_json(json.loads(text)) == Gain.from_json(json.loads(text)) == found
