"""The suite for evaluations finds what it is for: evaluations that break the contract fail it."""

import itertools

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.workers.evaluations import Evaluations, WorkerError
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.space.configuration import Configuration
from palettune.testing.evaluations_contract import MENU, EvaluationsContract, WorkersContract, small_settings

COUNT = itertools.count()
CONFIGURATIONS = [Configuration({"a": encoding, "b": MENU[0]}) for encoding in MENU]


def measured(configuration: Configuration) -> Evaluation:
    return Evaluation(configuration.hash, Workflow.DATA_FREE, 0.5, (0.5, 0.5))


class OfAnother(RecordedEvaluations):
    """Answers every request with the result of one configuration."""

    def __init__(self):
        super().__init__(lambda configuration: measured(CONFIGURATIONS[0]))


class Changing(RecordedEvaluations):
    def __init__(self):
        super().__init__(lambda c: Evaluation(c.hash, Workflow.DATA_FREE, next(COUNT), (0.5, 0.5)))


class Forgetful(RecordedEvaluations):
    """Never answers."""

    def __init__(self):
        super().__init__(measured)

    def wait(self, timeout=None):
        pass


class Stubborn(Forgetful):
    """Answers what was dropped."""

    def submit(self, request):
        self.kept = super().submit(request)
        return self.kept

    def wait(self, timeout=None):
        self.kept.answer = measured(self.kept.request.configuration)


class Empty(Forgetful):
    size = 0


@pytest.mark.parametrize(
    ("evaluations", "test"),
    [
        (OfAnother, "test_each_request_gets_its_own_answer"),
        (OfAnother, "test_answers_to_many_requests_come_each_with_its_place"),
        (Changing, "test_the_same_configuration_gives_the_same_evaluation"),
        (Forgetful, "test_each_request_gets_its_own_answer"),
        (Stubborn, "test_what_is_dropped_is_never_answered"),
    ],
)
def test_faulty_evaluations_fail(evaluations: type[Evaluations], test: str):
    getattr(EvaluationsContract(), test)(RecordedEvaluations(measured), CONFIGURATIONS)
    with pytest.raises(AssertionError):
        getattr(EvaluationsContract(), test)(evaluations(), CONFIGURATIONS)


def test_evaluations_that_nobody_does_fail():
    with pytest.raises(AssertionError):
        EvaluationsContract().test_there_is_somebody_to_do_the_work(Empty())


def test_workers_that_end_a_search_or_hide_a_mistake_fail(tmp_path):
    class Ending(InlineEvaluations):
        def _answer(self, request):
            return type(super()._answer(request))(request.run(self._worker), (0.0, 0.0))

    class Hiding(InlineEvaluations):
        def wait(self, timeout=None):
            try:
                super().wait(timeout)
            except Exception as error:
                raise WorkerError(f"something went wrong: {error}") from error

    settings, suite = small_settings(tmp_path), WorkersContract()
    configurations = [Configuration({layer.name: encoding for layer in settings.layers}) for encoding in MENU]
    with pytest.raises(ZeroDivisionError):
        suite.test_a_request_that_raises_fails_and_the_next_one_is_answered(Ending(settings), configurations)
    with pytest.raises(AssertionError):
        suite.test_what_the_user_can_mend_is_raised(Hiding(settings))
