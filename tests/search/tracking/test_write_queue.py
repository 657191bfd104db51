"""Writes to a store that comes and goes: in order, each at least once, and nobody waits for a store that is gone."""

import threading

import pytest

from palettune.search.tracking.write_queue import WriteQueue


class Store:
    """What a test writes to: up or down, with writes that it refuses or fails at."""

    def __init__(self):
        self.up = threading.Event()
        self.up.set()
        self.written, self.said, self.tries = [], [], 0
        self.queue = WriteQueue(
            self.ask, lambda error: isinstance(error, ValueError), lambda e: self.said.append(str(e)), self.back
        )

    def ask(self):
        if not self.up.is_set():
            raise ConnectionError("down")

    def back(self):
        self.said.append("back")

    def write(self, value, error=None, times=10**9):
        def write():
            self.ask()
            self.tries += 1
            if error is not None and self.tries <= times:
                raise error
            self.written.append(value)

        self.queue.put(str(value), write)


@pytest.fixture
def store():
    return Store()


def wait_for(condition):
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never happened")


def test_writes_come_in_order_and_finish_waits_for_them(store):
    for value in range(50):
        store.write(value)
    assert store.queue.finish(60)
    assert store.written == list(range(50))
    assert store.said == []
    assert not store.queue.left


def test_an_outage_is_said_once_waited_out_and_written_after(store):
    store.write(0)
    wait_for(lambda: store.written == [0])
    store.up.clear()
    for value in (1, 2, 3):
        store.write(value)
    wait_for(lambda: store.said)
    assert str(store.queue.outage) == "down"
    store.up.set()
    assert store.queue.finish(60)
    assert store.written == [0, 1, 2, 3]
    assert store.said == ["down", "back"]
    assert store.queue.outage is None


def test_a_store_that_stays_away_is_not_waited_for_and_what_is_left_is_named(store):
    store.write(0)
    wait_for(lambda: store.written == [0])
    store.up.clear()
    store.write(1)
    store.write(2)
    assert not store.queue.finish(0.3)
    assert store.queue.left == ["1", "2"]
    store.up.set()  # too late: the next start's queue writes it
    threading.Event().wait(0.5)
    assert store.written == [0]


def test_a_write_that_hangs_does_not_hold_up_the_end(store):
    never = threading.Event()
    store.queue.put("hangs", never.wait)
    store.write(1)
    assert not store.queue.finish(0.2)
    assert store.queue.left == ["hangs", "1"]
    never.set()
    threading.Event().wait(0.2)
    assert store.written == []


def test_a_slow_store_is_waited_for_as_long_as_it_moves_and_no_longer_than_is_allowed():
    def filled(count):
        queue = WriteQueue(lambda: None, lambda error: False)
        for value in range(count):
            queue.put(str(value), lambda: threading.Event().wait(0.05) and None)
        return queue

    assert filled(12).finish(patience=10)
    endless = filled(10_000)
    assert not endless.finish(patience=10, longest=0.3)
    assert len(endless.left) > 9_000


@pytest.mark.parametrize(("error", "tries"), [(ValueError("no such key"), 1), (OSError("poison"), 3)])
def test_a_write_that_an_answering_store_does_not_take_is_named_and_the_rest_goes_on(store, error, tries):
    store.write(0, error)
    wait_for(lambda: store.queue.skipped)
    assert store.tries == tries
    store.write(1)
    assert store.queue.finish(60)
    assert [name for name, _ in store.queue.skipped] == ["0"]
    assert store.written == [1]
    assert store.said == []


def test_a_write_that_fails_once_is_repeated(store):
    store.write(0, OSError("reset"), times=1)
    assert store.queue.finish(60)
    assert store.written == [0]
    assert not store.queue.skipped


@pytest.mark.slow
def test_failures_during_an_outage_do_not_count_against_a_write(store):
    store.up.clear()
    store.write(0, OSError("reset"), times=2)
    wait_for(lambda: store.said)
    threading.Event().wait(1.0)  # several attempts
    store.up.set()
    assert store.queue.finish(60)
    assert store.written == [0]
