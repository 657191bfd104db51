"""Evaluations asked for beside a search, by evaluations that cost nothing."""

from dataclasses import replace

from palettune.evaluators.quality.evaluation import Failure, Stage, Workflow
from palettune.search.loop.added_evaluations import AddedEvaluations, AskedEvaluation
from palettune.search.results.observer import SearchObserver
from palettune.search.study.escalation import EscalationResult
from palettune.search.workers.evaluations import Answer, Evaluations, Pending, never
from palettune.search.workers.requests import Confirm, Escalate, Evaluate
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from tests.search.loop.small_searches import costs, history_of, measured

LUT4 = Encoding.parse("lut4")
PLAIN = Configuration({"l0": LUT4, "l1": Encoding.parse("lut8")})


class Answering(Evaluations):
    """Answers at once, and remembers what it was asked."""

    def __init__(self, failure=None):
        self.asked, self.waiting, self.failure = [], [], failure

    size = property(lambda self: 1)
    unanswered = property(lambda self: len(self.waiting))

    def submit(self, request):
        self.asked.append(request)
        self.waiting.append(Pending(request))
        return self.waiting[-1]

    def wait(self, timeout=None):
        pending = self.waiting.pop(0)
        pending.answer = Answer(self.result(pending.request), (1.0, 2.0))

    def result(self, request):
        if isinstance(request, Escalate):
            found = replace(measured(PLAIN), workflow=Workflow("calibration"), divergence=0.01)
            return EscalationResult(found, f"{request.order.rung}.safetensors")
        return self.failure or measured(PLAIN)

    def stop(self):
        self.waiting.clear()


class Heard(SearchObserver):
    def __init__(self):
        self.records = []

    def on_trial_finished(self, record, history):
        assert record in history.added
        self.records.append(record)

    on_escalation_finished = on_trial_finished


def cheap(configuration):
    known = dict.fromkeys(configuration.encodings, LUT4)
    return costs(Configuration(known))


def evaluate(history, pool, *asked, confirm=False, observer=None):
    adding = AddedEvaluations(history, pool, cheap, observer or Heard(), confirm=confirm)
    return adding.evaluate(asked, never)


def test_where_nothing_is_asked_for_nothing_is_said():
    class NoBar(Heard):
        def bar(self, title, total):
            raise AssertionError(title)

    assert evaluate(history_of(), Answering(), confirm=True, observer=NoBar()) == []


def test_what_is_asked_for_is_evaluated_told_and_confirmed_once():
    history, pool, heard = history_of(), Answering(), Heard()
    (record,) = evaluate(history, pool, AskedEvaluation("by hand", PLAIN), confirm=True, observer=heard)
    assert pool.asked == [Evaluate(PLAIN), Confirm(PLAIN)]
    assert (record.origin, record.configuration, record.added) == ("by hand", PLAIN, True)
    assert heard.records == history.added == history.study.evaluations() == [record]
    assert history.trials == []
    assert set(history.confirmations) == {record.key}
    again = Answering()
    assert evaluate(history, again, AskedEvaluation("again", PLAIN), confirm=True) == [record]
    assert again.asked == []


def test_rungs_go_on_from_what_the_one_before_gave_and_rounded_inputs_come_with_theirs():
    history, pool = history_of(), Answering()
    settings = history.experiment.escalation
    rounded = Configuration(PLAIN.encodings, {"l0": Precision.INT8})
    rungs = (settings.rung("calibration"), settings.rung("int8_activations"))
    (record,) = evaluate(history, pool, AskedEvaluation("by hand", rounded, rungs))
    first, second, third = pool.asked
    assert first == Evaluate(PLAIN)
    assert (second.order.rung, second.order.configuration, second.order.start) == ("calibration", PLAIN, None)
    assert (third.order.rung, third.order.configuration) == ("int8_activations", rounded)
    assert (third.order.start, third.order.state) == (second.order, "calibration.safetensors")
    assert (record.configuration, record.rung) == (rounded, "int8_activations")
    assert [r.escalated_from for r in history.added] == [None, 2, 3]  # after the first trials
    assert history.study.escalations.all() == []


def test_what_fails_is_a_record_and_is_not_escalated():
    history, pool = history_of(), Answering(failure=Failure(Stage.FORWARD, "not finite"))
    rung = history.experiment.escalation.rung("calibration")
    (record,) = evaluate(history, pool, AskedEvaluation("by hand", PLAIN, (rung,)), confirm=True)
    assert (record.evaluation, str(record.failure)) == (None, "forward: not finite")
    assert pool.asked == [Evaluate(PLAIN)]


def test_a_stop_is_obeyed_while_an_evaluation_goes_on():
    class Endless(Answering):
        def wait(self, timeout=None):
            pass

    history, stops = history_of(), iter([False, False, True])
    adding = AddedEvaluations(history, Endless(), cheap, Heard(), confirm=True)
    assert adding.evaluate([AskedEvaluation("by hand", PLAIN)], lambda: next(stops)) == []
    assert history.added == []
