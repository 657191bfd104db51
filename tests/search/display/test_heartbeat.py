"""Lines about work under way, where no bar can move."""

import threading
import time

import pytest

from palettune.search.display.heartbeat import Heartbeat, Work, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (130, "2 min 10 s"), (3600, "1 h"), (3900, "1 h 5 min")],
)
def test_durations_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words


def test_work_says_what_is_done_and_what_is_left_by_the_pace_of_this_process():
    began = time.monotonic() - 100
    assert (
        str(Work("compressing", 511, 120, began)) == "compressing: 120 of 511 (23%), 1 min 40 s, about 5 min 26 s left"
    )
    assert str(Work("evaluating", 40, 30, began, before=20)).endswith("about 1 min 40 s left")
    assert str(Work("evaluating", 40, 20, began, before=20)) == "evaluating: 20 of 40 (50%), 1 min 40 s"
    assert str(Work("checking", began=began)) == "checking: 1 min 40 s so far"


def test_lines_come_while_the_work_goes_on_and_end_with_it():
    said, three = [], threading.Event()

    def say(line):
        said.append(line)
        if len(said) == 3:
            three.set()

    work = Work("compressing", 10)
    with Heartbeat(say, 0.01).beating(work):
        work.done = 4
        assert three.wait(30)
    count = len(said)
    time.sleep(0.05)
    assert len(said) == count
    assert said[-1].startswith("compressing: 4 of 10 (40%)")


def test_nothing_is_said_of_what_is_soon_over():
    said = []
    with Heartbeat(said.append, 30).beating(Work("checking")):
        pass
    assert said == []


def test_the_lines_end_where_the_work_fails():
    with pytest.raises(ZeroDivisionError), Heartbeat(lambda line: None, 0.01).beating(Work("x")):
        raise ZeroDivisionError
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
