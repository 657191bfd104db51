"""Searching as a library: what an import must leave alone."""

import os
import subprocess
import sys

IMPORT = """
import signal
import matplotlib
before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
import palettune.search.loop.session
assert matplotlib.get_backend().lower() == "svg", matplotlib.get_backend()
assert before == {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
"""


def test_an_import_chooses_no_backend_of_matplotlib_and_takes_no_signal():
    environment = os.environ | {"MPLBACKEND": "svg"}
    ended = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
