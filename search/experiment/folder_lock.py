"""The lock of a run folder: one search at a time writes there; whoever dies lets it go."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from palettune.search.experiment.run_folder import RunFolder, without_secrets
from palettune.space.errors import UserError

__all__ = ["RunFolderError", "hold", "is_held"]

_ATTEMPTS = 100
_held: set[int] = set()


class RunFolderError(UserError):
    """A run folder that cannot be written to, or in which a search is running."""


@contextmanager
def hold(folder: RunFolder, warn: Callable[[str], None]) -> Iterator[None]:
    """Make a run folder and hold its lock; the system takes it back from a process that ends, however it ends.

    Args:
        warn: told where the file system has no locks, and two searches would not notice each other.

    Raises:
        RunFolderError: another search holds it, or the folder cannot be written to.
    """
    handle = _acquire(folder, warn)
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        with suppress(OSError):
            folder.lock.unlink()  # before it is let go: who waits sees that its file is no longer this one
        os.close(handle)
        with suppress(OSError):
            folder.path.rmdir()  # nothing was begun in it


def is_held(folder: RunFolder) -> bool:
    """Return whether a search runs on a run folder; nothing is changed there."""
    try:
        handle = os.open(folder.lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go at once: only a file that a crash left is free
    except OSError:  # held, or no locks there, and the file is all that is known
        return True
    finally:
        os.close(handle)
    return False


def _acquire(folder: RunFolder, warn: Callable[[str], None]) -> int:
    for _ in range(_ATTEMPTS):
        try:
            folder.create()
            handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # who held it is just cleaning up
            continue
        except OSError as error:
            raise RunFolderError(
                f"{folder.path}: cannot be written to ({error.strerror}); --root names another folder for runs"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(handle)
            os.close(handle)
            raise RunFolderError(
                f"{folder.path}: a search is running here ({owner}); wait for its end or stop it, or give this "
                "experiment another name or another --root. Reading commands (front, solve, export, ui) work meanwhile"
            ) from None
        except OSError as error:
            warn(f"{folder.path}: no locks there ({error.strerror}); run only one search at a time on this folder")
        if _same(handle, folder.lock):
            _sign(handle)
            return handle
        os.close(handle)
    raise RunFolderError(f"{folder.lock}: cannot be locked; --root names another folder for runs")


def _same(handle: int, path: Path) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _sign(handle: int) -> None:
    """Write who holds the lock: for people and for the message, the lock itself is the system's."""
    command = [without_secrets(word) for word in sys.argv]
    text = {"process": os.getpid(), "host": platform.node(), "since": time.time(), "command": command}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(text).encode(), 0)


def _owner(handle: int) -> str:
    try:
        found = json.loads(os.pread(handle, 1 << 16, 0))
        moment = time.localtime(found["since"])
        today = time.strftime("%Y-%m-%d", moment) == time.strftime("%Y-%m-%d")
        since = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", moment)
        return f"since {since}, by process {found['process']} on host {found['host']}"
    except (ValueError, KeyError, TypeError):  # it is just being signed
        return "begun this moment, by another process"


def _let_go() -> None:
    """A child that is forked must not keep the lock of a parent that dies."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)
