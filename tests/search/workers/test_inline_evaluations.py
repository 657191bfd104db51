"""Evaluations in this process."""

import os
from dataclasses import dataclass

import pytest

from palettune.search.workers.evaluations import Request
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.testing.evaluations_contract import Where, WorkersContract


@dataclass(frozen=True)
class Named(Request[str]):
    name: str

    def run(self, worker):
        return self.name


class Long(Named):
    long = True


class TestInlineEvaluations(WorkersContract):
    @pytest.fixture
    def evaluations(self, settings):
        return InlineEvaluations(settings)

    def test_the_work_is_done_here(self, evaluations):
        assert evaluations.result(Where()) == os.getpid()
        assert evaluations.size == 1

    def test_one_wait_answers_one_request_long_ones_first_and_each_kind_in_order(self, evaluations):
        pending = [evaluations.submit(request) for request in (Named("a"), Long("b"), Named("c"), Long("d"))]
        order = []
        while evaluations.unanswered:
            before = [one for one in pending if one.answer is None]
            evaluations.wait()
            order += [one.answer.result for one in before if one.answer is not None]
        assert order == ["b", "d", "a", "c"]

    def test_an_interrupt_of_the_user_ends_the_wait(self, evaluations):
        class Interrupted(Named):
            def run(self, worker):
                raise KeyboardInterrupt

        evaluations.submit(Interrupted("x"))
        with pytest.raises(KeyboardInterrupt):
            evaluations.wait()
