"""Measured quality: rivals are compared on the same samples, and an equal is rarely screened out."""

import numpy as np
import pytest

from palettune.evaluators.quality.evaluation import Rival
from palettune.evaluators.quality.quality import beaten


def test_screening_rarely_drops_an_equal():
    random = np.random.default_rng(0)
    dropped = 0
    for _ in range(400):
        base = random.lognormal(size=24)
        noise = base + random.normal(scale=0.1, size=24)
        dropped += beaten(list(noise), [Rival(0, tuple(base))]) is not None
    assert dropped < 12  # about 1 % by the normal distribution's tail


def test_the_clearest_rival_is_named_and_few_or_infinite_samples_screen_nothing():
    values = [1.0 + 0.01 * i for i in range(10)]
    near, far = (Rival(trial, tuple(v - gap for v in values)) for trial, gap in ((1, 0.001), (2, 0.5)))
    near = Rival(1, tuple(v - 0.1 * (i % 3) for i, v in enumerate(values)))
    screened = beaten(values, [near, far])
    assert (screened.rival, screened.samples) == (2, 10)
    assert screened.excess == pytest.approx(0.5)
    assert "trial 2" in str(screened)
    assert beaten(values[:7], [far]) is None
    assert beaten([float("nan"), *values[1:]], [far]) is None
    assert beaten(list(far.by_sample), [Rival(3, tuple(values))]) is None
