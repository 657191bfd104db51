"""Ctrl-C on the command line."""

import os
import signal

import pytest

from palettune.search.command_line.stop_flag import stop_flag


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number):
    before = signal.getsignal(number)
    with stop_flag() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_handlers_are_put_back_whatever_happens():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), stop_flag():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before
