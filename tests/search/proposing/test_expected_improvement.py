"""Expected gains against sampled hypervolumes."""

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.proposing.expected_improvement import expected_gain


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 6), st.sampled_from([1, 2]))
def test_the_closed_form_is_the_mean_of_sampled_gains(seed, members, dimensions):
    random = np.random.default_rng(seed)
    front = random.uniform(0.05, 1.1, (members, 1 + dimensions))
    costs = random.uniform(0.05, 0.95, (3, dimensions))
    mean, deviation = random.uniform(0.0, 0.9, 3), random.uniform(0.02, 0.2, 3)
    gains = expected_gain(front, costs, mean, deviation)
    reference = np.ones(1 + dimensions)
    before = moocore.hypervolume(front, ref=reference) if members else 0.0
    for i in range(3):
        drawn = np.maximum(random.normal(mean[i], deviation[i], 1500), 0.0)
        sampled = [
            moocore.hypervolume(np.vstack([front, [quality, *costs[i]]]), ref=reference) - before for quality in drawn
        ]
        assert gains[i] == pytest.approx(np.mean(sampled), abs=4 * np.std(sampled) / np.sqrt(1500) + 1e-4)
