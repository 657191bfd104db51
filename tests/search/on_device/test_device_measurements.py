"""Measurement through a real Ray cluster of two nodes; Core ML itself is pretended, so nothing here ran on a device."""

import io
import os
from collections import Counter

import pytest
import ray
from mlflow import MlflowClient
from ray.cluster_utils import Cluster
from rich.console import Console

from palettune.search.display.progress import Display
from palettune.search.display.tables import front_table
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.session import Places, run_session
from palettune.search.on_device.bench_worker import MAC, resource_of
from palettune.search.study.study import SearchStudy, open_storage
from tests.search.conftest import EXPERIMENT, WORKLOAD, Project
from tests.search.fake_core_ml import FakeCoreML

pytestmark = pytest.mark.slow

PHONE = (
    EXPERIMENT.replace("[space]", '[device]\nname = "iPhone 15 Pro"\ncompute_unit = "CPU_AND_NE"\n\n[space]')
    .replace(
        "[search]", '[objectives]\ncost = ["size_mb", "latency_ms"]\n\n[search]\nsampler = "guided"\nin_flight = 1'
    )
    .replace("trials = 14", "trials = 15")
    + "\n[measure]\nmembers = 4\nruns = 20\ntimeout_s = 6\n"
)
GATED = (
    WORKLOAD.replace('time.sleep(float(os.environ.get("TINY_WORKLOAD_SLOW", "0")))', "_wait_at_the_gate(x)")
    + """

CALLS = []

def _wait_at_the_gate(x):  # where there is one: until the bench worker has begun, so that trials are left by then
    CALLS.append(len(x))
    folder = os.path.dirname(__file__)
    for _ in range(1000):
        if CALLS.count(8) < 12 or not os.path.exists(f"{folder}/gate") or os.path.exists(f"{folder}/log"):
            return
        time.sleep(0.1)
"""
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("measured"))
    made.write(PHONE, GATED)
    return made


@pytest.fixture(scope="module")
def nodes():
    """The head of a cluster; the bench worker is a second node, added by the tests."""
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def search(project, nodes, **options):
    console = Console(record=True, width=250, file=open(os.devnull, "w"))  # noqa: SIM115
    places = Places(project.root, ray_address=nodes.address)
    runtime = FakeCoreML(project.folder)
    outcome = run_session(load_experiment(project.experiment), places, [Display(console)], runtime=runtime, **options)
    return outcome, console.export_text()


def study(project):
    experiment = load_experiment(project.experiment)
    return SearchStudy.load(open_storage(RunFolder(project.root, experiment.name), None), experiment)


def trials(project):
    return [(r.trial, r.origin, r.configuration.hash, r.values) for r in study(project).records()]


def log(project):
    path = project.folder / "log"
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def alone(project, nodes):
    """A whole search on a cluster without a bench worker."""
    search(project, nodes)
    assert study(project).measurements() == {}
    assert log(project) == []
    return trials(project)


@pytest.fixture(scope="module")
def measured(project, nodes, alone):
    """The same search from the beginning, with a bench worker that dies, hangs and refuses on the way."""
    nodes.add_node(num_cpus=0, resources={MAC: 1, resource_of("A17 Pro"): 1})
    (project.folder / "gate").touch()
    (project.folder / "trouble").write_text("die\nhang\nfine\nrefuse\n")
    return search(project, nodes, fresh=True)


def test_measurements_only_add_to_a_search(project, alone, measured):
    assert trials(project) == alone


def test_nothing_is_lost_and_nothing_measured_twice(project, nodes, measured):
    _, text = measured
    begun = log(project)
    done = [digest for digest, word in begun if word == "fine"]
    assert [word for _, word in begun].count("hang") == 1
    assert text.count("the bench worker was lost") == 2
    assert "no answer within 6 s" in text
    assert "could not be measured" in text
    assert "Failed to build the model execution plan" in text
    assert len(done) >= 3
    assert max(Counter(done).values()) == 1
    kept = study(project).measurements()
    assert len(kept) == len(done)
    refused = {digest for digest, word in begun if word == "refuse"}
    search(project, nodes)  # goes on: what is kept is not measured again; what Core ML refused is tried once more
    later = log(project)[len(begun) :]
    assert {digest for digest, _ in later} <= refused
    assert study(project).measurements().items() >= kept.items()


def test_the_first_measurement_comes_while_trials_go_on(measured):
    _, text = measured
    lines = [i for i, line in enumerate(text.splitlines()) if " measured on Pretend Mac" in line or "was lost" in line]
    last = max(i for i, line in enumerate(text.splitlines()) if line.startswith("trial ") and "hypervolume" in line)
    assert lines[0] < last


def test_the_front_is_ranked_by_what_was_measured_and_says_so(project, measured):
    outcome, _ = measured
    front, known = outcome.front, outcome.front.known
    spread = front.spread(4)
    assert sum(known.measured(r) is not None for r in spread) >= 3
    printed = io.StringIO()
    Console(file=printed, width=400).print(front_table(front, every=True, wide=True), soft_wrap=True)
    text = printed.getvalue()
    assert "predicted ms" in text
    assert "calibrated ms" in text
    assert "measured ms" in text
    assert "rank by measured latency" in text
    for a in front.members:
        for b in front.members:
            beaten = (
                known.ms(b) <= known.ms(a) and b.values[0] <= a.values[0] and b.costs["size_mb"] <= a.costs["size_mb"]
            )
            assert a is b or not beaten or (known.ms(b), b.values) == (known.ms(a), a.values)
    assert known.model.measured == len(known.measurements)
    errors = {"before": [], "after": []}
    for record in front.members:
        if known.measured(record) is not None:
            ms = known.measured(record).median_ms
            assert known.ms(record) == ms
            errors["before"].append(abs(record.costs["latency_ms"] / ms - 1))
            errors["after"].append(abs(known.calibrated(record) / ms - 1))
    assert sum(errors["after"]) < sum(errors["before"])


def test_mlflow_holds_measured_and_predicted_apart(project, measured):
    client = MlflowClient(RunFolder(project.root, "tiny").tracking_uri)
    experiment = client.get_experiment_by_name("tiny")
    kept = study(project).measurements()
    runs = client.search_runs([experiment.experiment_id], "metrics.measured_latency_ms > 0")
    assert {run.data.tags["configuration_hash"] for run in runs} == set(kept)
    for run in runs:
        measurement = kept[run.data.tags["configuration_hash"]]
        assert run.data.metrics["measured_latency_ms"] == pytest.approx(measurement.median_ms)
        assert run.data.metrics["latency_ms"] != run.data.metrics["measured_latency_ms"]
        tags = {name.removeprefix("measured_latency_ms."): value for name, value in run.data.tags.items()}
        assert (tags["device"], tags["chip"], tags["os"]) == ("Pretend Mac", "A17 Pro", "pretendOS 1.0")
        assert (tags["compute_unit"], tags["runs"]) == ("CPU_AND_NE", "20")
        assert tags["residency"] == "75% neural_engine, 25% cpu"
        assert run.data.tags["latency_ms.device"] == "iPhone 15 Pro"
        assert len(client.get_metric_history(run.info.run_id, "measured_latency_ms")) == 1
