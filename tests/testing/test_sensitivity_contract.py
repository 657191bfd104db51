"""The suite for sensitivity scores finds what it is for: scores that break the contract fail it."""

from dataclasses import replace

import pytest

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.weight_error import WeightErrorScore
from palettune.testing.sensitivity_contract import SensitivityContract


class Negative(WeightErrorScore):
    def score(self, *arguments, **named):
        scores = super().score(*arguments, **named)
        return replace(scores, by_sample=-scores.by_sample)


class OfTheSplit(WeightErrorScore):
    def score(self, columns, *arguments, **named):
        scores = super().score(columns, *arguments, **named)
        return replace(scores, by_sample=scores.by_sample / len(columns))

    @classmethod
    def parts(cls, columns, samples, count):
        whole = super().parts(columns, samples, count)[0]
        return [replace(whole, columns=range(columns // 2)), replace(whole, columns=range(columns // 2, columns))]


@pytest.fixture
def case(request, tmp_path):
    class Request:
        param = DivergenceKind.KL

    return lambda score_class: SensitivityContract.case.__wrapped__(
        SensitivityContract(), score_class, Request, tmp_path
    )


def test_negative_scores_fail(case):
    suite = SensitivityContract()
    suite.test_scores_are_finite_not_negative_and_fall_with_bits(case(WeightErrorScore))
    with pytest.raises(AssertionError):
        suite.test_scores_are_finite_not_negative_and_fall_with_bits(case(Negative))


def test_scores_that_depend_on_the_split_fail(case):
    suite = SensitivityContract()
    suite.test_a_scoring_does_not_depend_on_how_it_is_split(case(WeightErrorScore))
    with pytest.raises(AssertionError):
        suite.test_a_scoring_does_not_depend_on_how_it_is_split(case(OfTheSplit))
