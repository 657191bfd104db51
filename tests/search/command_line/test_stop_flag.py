"""Ctrl-C on the command line."""

import contextlib
import os
import signal
import threading
import time

import pytest

from palettune.search.command_line.stop_flag import ACKNOWLEDGED, stop_flag


class Said(list):
    """What was said, and when it came."""

    def __init__(self):
        super().__init__()
        self.come = threading.Event()

    def __call__(self, words):
        self.append(words)
        self.come.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number):
    before, said = signal.getsignal(number), Said()
    with stop_flag(said) as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
        assert said.come.wait(30)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert said == [ACKNOWLEDGED]
    assert signal.getsignal(number) is before


def test_handlers_are_put_back_and_the_thread_ends_whatever_happens():
    before, woken = signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(woken)
    with pytest.raises(RuntimeError), stop_flag():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.set_wakeup_fd(woken) == woken
    assert not any(thread.name == "stop flag" for thread in threading.enumerate())


def test_who_does_not_ask_is_interrupted_after_a_while():
    said = Said()

    def stuck():
        with stop_flag(said, patience=0.05):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)

    with pytest.raises(KeyboardInterrupt):
        stuck()
    assert said == [ACKNOWLEDGED]


def test_who_asks_is_left_to_end_by_itself():
    ends = []
    with stop_flag(Said(), patience=0.05, end=ends.append) as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        time.sleep(1)
    assert ends == []


def test_a_process_that_swallows_interruptions_is_ended():
    ended, began = threading.Event(), time.monotonic()
    with stop_flag(Said(), patience=0.05, end=lambda code: ended.set()):
        os.kill(os.getpid(), signal.SIGINT)
        while not ended.is_set() and time.monotonic() < began + 30:
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(0.01)
    assert ended.is_set()


def test_other_signals_are_none_of_its_business():
    said, before = Said(), signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with stop_flag(said, patience=0.05) as stopped:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.3)
            assert not stopped()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert said == []
