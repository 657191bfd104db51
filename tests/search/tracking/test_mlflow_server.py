"""The port that MLflow's interface is served on; that it is served is in ``tests/search/api/test_mlflow_ui.py``."""

import socket

import pytest

from palettune.search.tracking.mlflow_server import ServerError, bound_socket


def test_the_first_free_port_is_taken_and_listened_on():
    with bound_socket("127.0.0.1", 5400) as first, bound_socket("127.0.0.1", first.getsockname()[1]) as second:
        assert second.getsockname()[1] > first.getsockname()[1]
        with socket.create_connection(second.getsockname(), timeout=5):
            pass


def test_what_cannot_be_listened_on_is_refused_in_words():
    with pytest.raises(ServerError, match=r"--host 203\.0\.113\.7: .*; expected an address of this machine"):
        bound_socket("203.0.113.7", 5400)
    with pytest.raises(ServerError, match=r"--host no-such-host\.invalid"):
        bound_socket("no-such-host.invalid", 5400)
