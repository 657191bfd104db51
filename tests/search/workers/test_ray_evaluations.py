"""Evaluations on Ray."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from palettune.search.experiment.experiment import Needs
from palettune.search.workers.evaluations import Request, WorkerError
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.ray_evaluations import RayEvaluations
from palettune.search.workers.requests import Evaluate
from palettune.search.workers.worker import Worker
from palettune.testing.evaluations_contract import Where, WorkersContract, small_settings


@dataclass(frozen=True)
class Deadly(Request[int]):
    """Takes its worker down with it, unless there is no file of this name any more."""

    path: str

    def run(self, worker: Worker) -> int:
        if os.path.exists(self.path):
            os.remove(self.path)
            os.kill(os.getpid(), signal.SIGKILL)
        return 1


@pytest.mark.usefixtures("cluster")
class TestRayEvaluations(WorkersContract):
    @pytest.fixture(scope="module")
    def shared(self, cluster, tmp_path_factory):
        """Workers for all tests, since each takes seconds to start."""
        made = RayEvaluations(small_settings(tmp_path_factory.mktemp("workers")), Needs(workers=1))
        yield made
        made.stop()

    @pytest.fixture
    def settings(self, shared):
        return shared.settings

    @pytest.fixture
    def evaluations(self, shared):
        if not shared.size:
            shared.start()
        return shared

    def test_the_work_is_done_elsewhere(self, evaluations):
        assert evaluations.result(Where()) != os.getpid()

    def test_a_lost_worker_is_replaced_and_its_request_done_again(self, evaluations, tmp_path, monkeypatch):
        said = []
        monkeypatch.setattr(evaluations, "on_lost", said.append)
        (tmp_path / "once").touch()
        assert evaluations.result(Deadly(str(tmp_path / "once"))) == 1
        assert any("a worker was lost during deadly" in words for words in said)
        assert evaluations.size == 1

    def test_this_process_measures_the_same(self, evaluations, configurations):
        there, here = (
            e.result(Evaluate(configurations[2])) for e in (evaluations, InlineEvaluations(evaluations.settings))
        )
        assert there.by_sample == pytest.approx(here.by_sample, rel=1e-6)

    def test_more_workers_than_the_cluster_has_room_for_are_refused_by_the_key(self, settings):
        asked = RayEvaluations(settings, Needs(workers=999), "calibration")
        with pytest.raises(WorkerError, match=r"999 worker\(s\).*lower `workers`.*under \[resources.calibration\]"):
            asked.start()
        assert asked.size == 0


HANDLER = """
import signal
from palettune.search.workers.ray_evaluations import connect_to_ray
def own(number, frame): ...
signal.signal(signal.SIGTERM, own)
connect_to_ray(None)
assert signal.getsignal(signal.SIGTERM) is own
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_handler_of_the_process_stays():
    ended = subprocess.run([sys.executable, "-c", HANDLER], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
