"""Searches from Python: of files, modules and objects, in a running event loop, with nothing of the process touched."""

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import palettune as pt
from palettune.search.preparation.preparation import prepare
from palettune.search.results.ending import Ending
from tests.search.api.conftest import VALUES, Heard, experiment_of, facts
from tests.search.conftest import WORKLOAD
from tests.search.module_of import module_of

ROOT = Path(__file__).parents[3]


IMPORT = """
import signal
import matplotlib
before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
import palettune.search.api.searching
assert matplotlib.get_backend().lower() == "svg", matplotlib.get_backend()
assert before == {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
"""


@pytest.mark.slow
def test_an_import_chooses_no_backend_of_matplotlib_and_takes_no_signal():
    environment = os.environ | {"MPLBACKEND": "svg"}
    ended = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_a_search_goes_on_in_a_running_event_loop_where_it_was_stopped(tmp_path, tiny):
    experiment = experiment_of(tiny / "workload.py")
    heard = Heard()

    async def cell():  # what Jupyter does: the code of a cell runs on the thread of a running loop
        stop = lambda: len(heard.trials) >= 3  # noqa: E731
        first = pt.run_search(experiment, root=tmp_path, inline=True, observers=[heard], stop=stop)
        assert first.stopped
        assert first.ending is Ending.STOPPED
        return pt.run_search(experiment, root=tmp_path, inline=True)

    run = asyncio.run(cell())
    assert not run.stopped
    assert facts(run) == facts(pt.open_run(experiment, root=tiny / "runs"))
    assert "front of tiny" in run._repr_html_()


@pytest.fixture
def module(tiny):
    name = f"functions_{uuid.uuid4().hex}"
    yield module_of(tiny / "workload.py", name)
    del sys.modules[name]


def held(module):
    """An object of the functions, whose model is one and the same network each time."""
    network = module.model()
    found = SimpleNamespace(**{name: getattr(module, name) for name in ("example_inputs", "evaluation_data")})
    found.calibration_data, found.metrics, found.model = module.calibration_data, module.metrics, lambda: network
    return found, network


@pytest.mark.slow
def test_an_object_gives_the_front_of_the_file_and_keeps_its_model(tiny, module, tmp_path):
    workload, network = held(module)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run = pt.run_search(experiment_of(workload), root=tmp_path, inline=True)
    assert facts(run) == facts(pt.open_run(experiment_of(tiny / "workload.py"), root=tiny / "runs"))
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not [path for path in tmp_path.rglob("*") if is_pickle(path)]
    again = pt.run_search(experiment_of(module), root=tmp_path, inline=True)  # equal weights and data: the same search
    assert len(again.trials) == len(run.trials)


@pytest.mark.parametrize("what", ["weights", "targets"])
@pytest.mark.slow
def test_other_weights_or_data_are_another_search(module, tmp_path, what):
    identities = []
    for shift in (0, 1):
        workload, network = held(module)
        if what == "weights":
            with torch.no_grad():
                network.classes.bias.add_(shift)
        else:
            data = [(inputs, targets + shift) for inputs, targets in module.evaluation_data()]
            workload.evaluation_data = lambda data=data: data
        identities.append(prepare(experiment_of(workload)).identity())
    assert identities[0] != identities[1]
    assert "workload_file" not in identities[0]


@pytest.mark.slow
@pytest.mark.ray
def test_an_object_travels_to_rays_workers_and_is_written_nowhere(tiny, tmp_path):
    """In a thread, in a running event loop, from a module that no worker can import."""
    mark = f"mark-{uuid.uuid4().hex}"
    text = WORKLOAD + f"\nMARK = {mark!r}\n_model = model\ndef model():\n    assert MARK\n    return _model()\n"
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "my_functions.py").write_text(text)
    script = SCRIPT.format(user=str(tmp_path / "user"), values=VALUES | {"resources": {"data_free": {"workers": 1}}})
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, tmp_path / "script" / "script.py"], cwd=tmp_path / "script", env=environment,
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    run = pt.open_run(experiment_of(tiny / "workload.py"), root=tmp_path / "script" / "runs")
    here = facts(pt.open_run(experiment_of(tiny / "workload.py"), root=tiny / "runs"))
    assert [fact[:2] for fact in facts(run)] == [fact[:2] for fact in here]
    # workers have one thread and this process several, which add up in another order
    assert [fact[2] for fact in facts(run)] == pytest.approx([fact[2] for fact in here], rel=1e-4)
    session = Path(done.stdout.splitlines()[-1])
    assert session.is_dir()
    for folder in (tmp_path / "script" / "runs", session):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if mark.encode() in path.read_bytes() or is_pickle(path)]


SCRIPT = """
import asyncio
import sys
import threading

import palettune as pt

sys.path.insert(0, {user!r})
import my_functions

sys.path.pop(0)


async def cell():
    return pt.run_search(pt.Experiment(workload=my_functions, **{values!r}), root="runs")


thread = threading.Thread(target=lambda: asyncio.run(cell()))
thread.start()
thread.join()
import ray

print(ray._private.worker._global_node.get_session_dir_path())
"""


def is_pickle(path):
    if not path.is_file() or path.suffix in (".pkl", ".pickle"):
        return path.suffix in (".pkl", ".pickle")
    with path.open("rb") as file:
        return file.read(2) in (b"\x80\x03", b"\x80\x04", b"\x80\x05")


@pytest.mark.slow
def test_two_experiments_in_one_process_each_have_their_own_modules(tmp_path):
    for name, width in (("one", 16), ("two", 24)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.py").write_text(f"WIDTH = {width}\n")
        text = WORKLOAD.replace("import torch\n", "import torch\nfrom data import WIDTH\n", 1)
        for place in ("(3, 16,", "(16)", "(16, 32,"):
            text = text.replace(place, place.replace("16", "WIDTH"))
        (tmp_path / name / "workload.py").write_text(text)
    one, two = (pt.inspect(experiment_of(tmp_path / name / "workload.py")) for name in ("one", "two"))
    assert [item.layers[0].layer.shape[0] for item in (one, two)] == [16, 24]
