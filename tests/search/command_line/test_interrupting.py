"""Ctrl-C in a real process, in every stage of a search: acknowledged at once, obeyed within seconds, gone on with."""

import os
import signal
import subprocess
import threading
import time

import pytest

from palettune.search.command_line.stop_flag import ACKNOWLEDGED
from tests.search.conftest import EXPERIMENT, WORKLOAD

#: A workload that says where it is, and takes long there when it is told to.
SLOW = """
import os
import time
import traceback
from pathlib import Path

def linger(stage):
    if os.environ.get("LINGER") == stage:
        Path(os.environ["THERE"]).touch()
        time.sleep(6000)

def linger_within(stage, place):
    if any(place in frame.f_code.co_filename for frame, _ in traceback.walk_stack(None)):
        linger(stage)

"""
DATA = """
def confirmation_data():
    return [((_images(seed, 8),), None) for seed in (5, 6)]

def training_data():
    return [((_images(seed, 8),), None) for seed in (7, 8)]
"""
#: Where the forward pass is called from in each stage.
PLACES = {
    "scoring": "/evaluators/sensitivity/",
    "calibration": "/evaluators/calibration/",
    "fine_tuning": "/evaluators/fine_tuning/",
    "confirmation": "/loop/confirmation.py",
    "forward": "",
}
STAGES = {
    "loading": WORKLOAD.replace("    torch.manual_seed(0)", "    linger('loading')\n    torch.manual_seed(0)"),
    "metrics": WORKLOAD.replace(
        '    return {"top1_agreement"', "    linger('metrics')\n    return {\"top1_agreement\""
    ),
}
STAGES |= {
    stage: WORKLOAD.replace("        time.sleep(", f"        linger_within('{stage}', '{place}')\n        time.sleep(")
    + DATA
    for stage, place in PLACES.items()
}
ESCALATION = {name: f"\n[escalation]\n{name} = 1\n" for name in ("calibration", "fine_tuning")}
#: Seconds that a busy machine is given for what takes a moment, and for what takes a few: a stage alone takes far longer.
AT_ONCE, SOON = 60, 120
#: The tables of pairs of values of a large layer take minutes to find.
LARGE = WORKLOAD.replace("nn.Linear(32 * 16, 64)", "nn.Linear(32 * 16, 4096)").replace(
    "nn.Linear(64, 10)", "nn.Linear(4096, 10)"
)


class Searching:
    """A search in a process group of its own, and what it says."""

    def __init__(self, project, *options, **environment):
        words = ("search", str(project.experiment), "--root", str(project.root), *options)
        variables = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | environment
        self.began = time.monotonic()
        self.said, self._lines = [], threading.Condition()
        self.process = subprocess.Popen(
            project.command(*words),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self._lines:
                self.said.append(line.rstrip("\n"))
                self._lines.notify_all()

    def wait_for(self, words, seconds):
        """Until a line holds some words; the seconds that took."""
        began = time.monotonic()
        with self._lines:
            assert self._lines.wait_for(lambda: any(words in line for line in self.said), seconds), self.said
        return time.monotonic() - began

    def interrupted(self, once_there):
        """Press Ctrl-C where it has come to; the seconds to the acknowledgement and to the end."""
        end = time.monotonic() + 240
        while not once_there():
            assert time.monotonic() < end, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.05)
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.wait_for(ACKNOWLEDGED, AT_ONCE)
        acknowledged = time.monotonic() - began
        code = self.process.wait(SOON)
        assert code == 130, self.said
        return acknowledged, time.monotonic() - began


@pytest.fixture
def searching():
    made = []

    def start(*given, **options):
        made.append(Searching(*given, **options))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)


def compressing(project):
    return lambda: any((project.root / "tiny" / "weight_bank").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_search_in_this_process_stops_in_every_stage(project, searching, stage):
    there = project.folder / "there"
    project.write(EXPERIMENT + ESCALATION.get(stage, ""), SLOW + STAGES[stage])
    one = searching(project, "--inline", LINGER=stage, THERE=str(there))
    one.interrupted(there.exists)
    assert any("stopped; nothing is lost. Go on with: palettune search" in line for line in one.said), one.said
    assert not any("Traceback" in line for line in one.said)


@pytest.mark.slow
def test_a_search_in_this_process_stops_while_it_compresses(project, searching):
    project.write(EXPERIMENT.replace('"lut2"', '"lut4-v2"'), LARGE)
    one = searching(project, "--inline")
    acknowledged, ended = one.interrupted(compressing(project))
    assert acknowledged < 20  # of a machine that does other things, too; the compression takes minutes
    assert ended < 60
    assert any("stopped; nothing is lost" in line for line in one.said)


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_on_workers_stops_while_it_compresses(project, searching):
    project.write(EXPERIMENT.replace('"lut2"', '"lut4-v2"'), LARGE)
    one = searching(project)
    one.interrupted(compressing(project))
    assert any("stopped; nothing is lost" in line for line in one.said)


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_on_workers_stops_while_it_scores(project, searching):
    project.write(EXPERIMENT, WORKLOAD)
    one = searching(project, TINY_WORKLOAD_SLOW="3")
    one.wait_for("compressing layers:", 240)  # it is over
    one.interrupted(lambda: True)
    assert any("stopped; nothing is lost" in line for line in one.said)
