"""The suite for layer methods finds what it is for: methods that break the contract fail it."""

import itertools
from dataclasses import replace

import pytest

from palettune.evaluators.calibration.gptq import GPTQMethod
from palettune.evaluators.calibration.layer_method import LayerMethod
from palettune.testing.layer_method_contract import LayerMethodContract

COUNT = itertools.count()


class Useless(GPTQMethod):
    @classmethod
    def find(cls, task):
        return task.start


class Float(GPTQMethod):
    @classmethod
    def find(cls, task):
        return replace(task.start, weight=task.weight)


class Different(GPTQMethod):
    @classmethod
    def find(cls, task):
        return replace(task.start, weight=task.start.weight + next(COUNT))


@pytest.mark.parametrize("method", [Useless, Float], ids=lambda method: method.__name__)
def test_no_gain_and_a_weight_outside_the_encoding_fail(method: type[LayerMethod]):
    with pytest.raises(AssertionError):
        LayerMethodContract().test_it_returns_the_encoding_with_less_output_error(method, "linear")


def test_a_weight_that_changes_from_call_to_call_fails():
    suite = LayerMethodContract()
    suite.test_equal_tasks_give_equal_weights(GPTQMethod)
    with pytest.raises(AssertionError):
        suite.test_equal_tasks_give_equal_weights(Different)
