"""Memory that runs out, on a real Ray cluster whose monitor is told that a little is all there is."""

import os
import sys

import psutil
import pytest

from tests.search.conftest import EXPERIMENT, WORKLOAD

# one evaluation, once: takes memory until the worker is killed
HUNGRY = (
    WORKLOAD.replace('time.sleep(float(os.environ.get("TINY_WORKLOAD_SLOW", "0")))', "_eat(x)")
    + """

CALLS = []

def _eat(x):
    CALLS.append(len(x))
    fed = f"{os.path.dirname(__file__)}/fed"
    if CALLS.count(8) < 16 or os.path.exists(fed):
        return
    open(fed, "w").close()
    eaten = []
    for _ in range(400):
        eaten.append(bytearray(os.urandom(1 << 20)) * 32)
        time.sleep(0.05)
"""
)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Ray watches memory on Linux")
def test_where_memory_runs_out_one_worker_fewer_goes_on(project, monkeypatch):
    memory = psutil.virtual_memory()
    threshold = (memory.used + 3.5e9) / memory.total
    if threshold > 0.9:
        pytest.skip("too little memory is free to give some away")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    project.write(EXPERIMENT.replace("workers = 1", "workers = 2").replace("trials = 14", "trials = 20"), HUNGRY)
    ended = project.run("search")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert os.path.exists(project.folder / "fed")
    assert "memory ran out during evaluate" in ended.stdout
    assert "going on with 1 worker(s)" in ended.stdout
    assert "the budget of trials is spent" in ended.stdout
