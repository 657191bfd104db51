"""MLflow's own interface, served by this process alone: one process, no jobs, on the first port that is free."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path

import uvicorn

from palettune.search.library_internals import mlflow_application
from palettune.space.errors import UserError

__all__ = ["ServerError", "bound_socket", "serve_mlflow"]

_TRIES = 100
_GRACE_SECONDS = 1


class ServerError(UserError):
    """An address that cannot be listened on."""


def bound_socket(host: str, port: int) -> socket.socket:
    """Bind a socket to the first port that is free, from the given one upwards.

    Raises:
        ServerError: the host is none of this machine's, or no port is free.
    """
    for number in range(port, min(port + _TRIES, 65536)):
        found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, number))
            found.listen()
        except PermissionError as error:
            found.close()
            raise ServerError(f"--port {number}: {error.strerror}; ports from 1024 on need no rights") from error
        except OSError as error:
            found.close()
            if not _busy(host, number):
                raise ServerError(f"--host {host}: {error.strerror}; expected an address of this machine") from error
        else:
            return found
    raise ServerError(f"--port {port}: neither it nor any of the next {_TRIES} is free; name another one")


def _busy(host: str, port: int) -> bool:
    """Whether somebody listens there: any other port of the host can be bound."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
            other.bind((host, 0))
    except OSError:
        return False
    return port != 0


class _Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve_mlflow(store: str, artifacts: Path | None, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve a store until the process is interrupted.

    Args:
        store: MLflow's backend store URI.
        artifacts: folder of the artifacts that clients upload; MLflow's own default where it is not given.
        listening: of ``bound_socket``.
        ready: called as soon as requests are answered.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        application = mlflow_application(store, artifacts)
    config = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=_GRACE_SECONDS)
    try:
        _Server(config, ready).run(sockets=[listening])
    except KeyboardInterrupt:
        return
