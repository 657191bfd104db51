"""What long work says of itself to nobody."""

import pytest

from palettune.search.experiment.reporter import Reporter


def work(reporter):
    with reporter.stage("checking"):
        reporter.say("a sentence")
    with reporter.bar("compressing", 3) as advance:
        for _ in range(3):
            advance(1)
    reporter.warn("a warning")
    return "done"


def test_work_goes_on_where_nobody_listens(capsys):
    assert work(Reporter()) == "done"
    assert capsys.readouterr() == ("", "")


def test_whoever_listens_overrides_what_is_of_interest_alone():
    class Listener(Reporter):
        def __init__(self):
            self.heard = []

        def warn(self, message):
            self.heard.append(message)

    listener = Listener()
    assert work(listener) == "done"
    assert listener.heard == ["a warning"]


@pytest.mark.parametrize("moment", ["stage", "bar"])
def test_what_fails_in_a_stage_is_heard_by_whoever_began_it(moment):
    reporter = Reporter()
    with pytest.raises(ZeroDivisionError), reporter.stage("x") if moment == "stage" else reporter.bar("x", 1):
        raise ZeroDivisionError
