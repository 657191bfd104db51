"""Contract suite for evaluations: what every ``Evaluations`` has to do, wherever the work is done."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage
from palettune.search.workers.evaluations import Evaluations, Pending, Request, WorkerError
from palettune.search.workers.requests import Describe, Evaluate
from palettune.search.workers.worker import Worker
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["EvaluationsContract", "WorkersContract"]


@dataclass(frozen=True)
class Raising(Request[int]):
    """Raises what a bug, or what a user's mistake would."""

    mendable: bool = False

    def run(self, worker: Worker) -> int:
        """Never succeeds."""
        raise UserError("mend this") if self.mendable else ZeroDivisionError("no luck")


@dataclass(frozen=True)
class Where(Request[int]):
    """The number of the process that does it."""

    def run(self, worker: Worker) -> int:
        """Ask the system."""
        return os.getpid()


class EvaluationsContract:
    """Tests of everything that evaluations can be asked for without a model: override both fixtures."""

    @pytest.fixture
    def evaluations(self) -> Evaluations:
        """What is tested, ready to be asked."""
        raise NotImplementedError("override the fixture `evaluations`")

    @pytest.fixture
    def configurations(self) -> list[Configuration]:
        """At least three configurations that can be evaluated."""
        raise NotImplementedError("override the fixture `configurations`")

    def answered(self, evaluations: Evaluations, pending: list[Pending]) -> None:
        """Wait for all of them."""
        for _ in range(1000):
            if all(one.answer is not None for one in pending):
                return
            evaluations.wait(timeout=1.0)
        raise AssertionError("no answer came")

    def test_each_request_gets_its_own_answer(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        pending = [evaluations.submit(Evaluate(configuration)) for configuration in configurations]
        assert evaluations.unanswered == len(configurations)
        assert all(one.answer is None for one in pending)
        self.answered(evaluations, pending)
        assert evaluations.unanswered == 0
        for one, configuration in zip(pending, configurations, strict=True):
            assert one.answer is not None
            assert isinstance(one.answer.result, Evaluation)
            assert one.answer.result.configuration_hash == configuration.hash
            began, ended = one.answer.span
            assert began <= ended

    def test_the_same_configuration_gives_the_same_evaluation(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        one, again = (evaluations.result(Evaluate(configurations[0])) for _ in range(2))
        assert isinstance(one, Evaluation)
        assert isinstance(again, Evaluation)
        assert (one.divergence, one.by_sample, one.metrics) == (again.divergence, again.by_sample, again.metrics)

    def test_answers_to_many_requests_come_each_with_its_place(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        found = dict(evaluations.completed([Evaluate(configuration) for configuration in configurations]))
        assert sorted(found) == list(range(len(configurations)))
        for index, answer in found.items():
            assert isinstance(answer.result, Evaluation)
            assert answer.result.configuration_hash == configurations[index].hash

    def test_waiting_for_nothing_ends_at_once(self, evaluations: Evaluations) -> None:
        evaluations.wait()

    def test_what_is_dropped_is_never_answered(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        pending = [evaluations.submit(Evaluate(configuration)) for configuration in configurations]
        evaluations.stop()
        assert evaluations.unanswered == 0
        evaluations.wait(timeout=0.1)
        assert all(one.answer is None for one in pending)

    def test_there_is_somebody_to_do_the_work(self, evaluations: Evaluations) -> None:
        assert evaluations.size >= 1


class WorkersContract(EvaluationsContract):
    """The same, and what only workers that hold a model can be asked for."""

    def test_a_request_that_raises_fails_and_the_next_one_is_answered(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        pending = [evaluations.submit(Raising()), evaluations.submit(Evaluate(configurations[0]))]
        self.answered(evaluations, pending)
        failed, good = (one.answer for one in pending)
        assert failed is not None
        assert good is not None
        assert isinstance(failed.result, Failure)
        assert failed.result.stage is Stage.RAISED
        assert "ZeroDivisionError: no luck" in failed.result.reason
        assert isinstance(good.result, Evaluation)
        with pytest.raises(WorkerError, match="no luck"):
            evaluations.result(Raising())

    def test_what_the_user_can_mend_is_raised(self, evaluations: Evaluations) -> None:
        with pytest.raises(UserError, match=r"^mend this$"):
            evaluations.result(Raising(mendable=True))

    def test_the_float_model_is_described(self, evaluations: Evaluations) -> None:
        facts = evaluations.result(Describe())
        assert facts.chance > 0
