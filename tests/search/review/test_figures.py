"""Figures as a page holds them."""

import math

from palettune.search.review.figures import figure, figures


def test_a_figure_has_the_digits_that_are_compared():
    assert figure(0.123456789) == 0.12346
    assert figure(1234567.0) == 1234600.0
    assert figure(0.123456789, 9) == 0.123456789
    assert figure(0.0) == 0.0


def test_what_is_no_number_is_none():
    assert figures([None, math.nan, math.inf, 1.0]) == [None, None, None, 1.0]
