"""Every registered sensitivity score passes the contract; a new line in the registry is tested without a new test."""

import pytest

from palettune.evaluators.sensitivity.registry import registered_scores
from palettune.testing.sensitivity_contract import SensitivityContract


class TestScores(SensitivityContract):
    @pytest.fixture(params=registered_scores().values(), ids=registered_scores())
    def score_class(self, request):
        return request.param


def test_registry_is_by_name():
    assert all(name == score.name for name, score in registered_scores().items())
