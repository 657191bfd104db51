"""Escalations with Optuna's journal and MLflow: on real Ray, beside trials, killed and gone on with; and in one process."""

import json
import shutil
import signal
import subprocess
import time

import pytest
from mlflow import MlflowClient

from palettune.device_bench.package.program_graph import program_nodes
from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.study import SearchStudy, open_storage
from tests.search.conftest import EXPERIMENT, WORKLOAD

ESCALATING = (
    EXPERIMENT
    + """
[escalation]
calibration = 2
in_flight = 1

[escalation.fine_tuning]
count = 2
vector_steps = 6
steps = 6
"""
)
RUNGS = ("calibration", "fine_tuning")
# arithmetic, not the number of operations, decides the latency of this one
WIDE = (
    WORKLOAD.replace("(3, 16, 3", "(3, 512, 3")
    .replace("BatchNorm2d(16)", "BatchNorm2d(512)")
    .replace("(16, 32, 1)", "(512, 32, 9, padding=4)")
)


def escalations_of(project):
    experiment = load_experiment(project.experiment)
    folder = RunFolder(project.root, experiment.name)
    study = SearchStudy.load(open_storage(folder, None), experiment)
    return study, [record for record in study.evaluations() if record.escalated_from is not None]


def facts(records):
    """What does not depend on how trials and escalations fell among each other in time."""
    return [(r.rung, r.configuration.hash, r.evaluation.by_sample, r.state) for r in records]


def ended_by(kill, project):
    """Send a signal to a search once it has begun one more escalation; how it ended."""
    journal = project.root / "tiny" / "journal.log"

    def begun():
        return journal.read_text().count('"escalated_from"') if journal.exists() else 0

    before = begun()
    command = project.command("search", str(project.experiment), "--root", str(project.root))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 120
        while begun() == before:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(kill)
        process.communicate(timeout=60)
    return process.returncode


def at(project):
    return project.experiment, "--root", project.root


def copy_of(project, folder):
    """A project of its own with a copy of another one's runs."""
    from tests.search.conftest import Project

    copied = Project(folder)
    copied.write(project.experiment.read_text())
    shutil.copytree(project.root, copied.root)
    return copied


@pytest.fixture(scope="module")
def finished_on_ray(tmp_path_factory):
    from tests.search.conftest import Project

    project = Project(tmp_path_factory.mktemp("escalation"))
    project.write(ESCALATING)
    ended = project.run("search")
    assert ended.returncode == 0, ended.stderr
    return project, ended


@pytest.mark.slow
def test_escalations_stand_on_one_front_with_trials_each_with_its_state_and_its_source(finished_on_ray):
    project, ended = finished_on_ray
    study, escalations = escalations_of(project)
    assert len(escalations) == 4
    assert sorted(record.trial for record in study.evaluations()) == list(range(len(study.evaluations())))
    assert "escalated from" in ended.stdout
    assert [record.workflow for record in escalations].count("calibration") == 2
    trials = {record.trial: record for record in study.evaluations()}
    folder = project.root / "tiny"
    for record in escalations:
        assert record.configuration == trials[record.escalated_from].configuration
        assert record.costs == trials[record.escalated_from].costs
        assert (folder / "states" / record.state).exists()
        assert record.gains
    front = json.loads(project.run("front", "--json").stdout)
    members = [member for member in front if member["workflow"] != "data_free"]
    assert all(member["escalated_from"] in trials for member in members)


@pytest.mark.slow
def test_mlflow_says_what_each_escalation_came_from_and_what_the_rung_brought(finished_on_ray):
    project, _ = finished_on_ray
    client = MlflowClient(f"sqlite:///{project.root / 'tiny' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], "tags.workflow = 'fine_tuning'")
    assert len(runs) == 2
    assert all(run.info.status == "FINISHED" for run in runs)
    known = {
        run.data.tags["trial"] for run in client.search_runs([experiment.experiment_id]) if "trial" in run.data.tags
    }
    assert {run.data.tags["escalated_from"] for run in runs} <= known
    assert all(run.data.metrics["seconds"] > 0 for run in runs)
    parent = client.search_runs([experiment.experiment_id], "tags.kind = 'search'")[0]
    note = parent.data.tags["mlflow.note.content"]
    assert "- calibration: 2 escalations" in note
    assert "- fine_tuning: 2 escalations" in note


@pytest.mark.slow
def test_escalations_are_exported_proven_from_their_states(finished_on_ray, tmp_path):
    project, _ = finished_on_ray
    escalated = [m for m in json.loads(project.run("front", "--json").stdout) if m["workflow"] != "data_free"]
    assert escalated, "nothing escalated is on the front: the test shows nothing"
    picks = [word for member in escalated for word in ("--pick", str(member["trial"]))]
    ended = project.run("export", "--out", str(tmp_path), *picks)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [entry["trial"] for entry in manifest] == [member["trial"] for member in escalated]
    assert all(
        entry["proof"]["passed"] and entry["predicted_weight_bytes"] == entry["weight_bytes"] for entry in manifest
    )


@pytest.mark.slow
def test_a_search_stopped_and_then_killed_in_its_escalations_goes_on_to_the_same_ones(finished_on_ray, tmp_path):
    from tests.search.conftest import Project

    _, expected = escalations_of(finished_on_ray[0])
    project = Project(tmp_path)
    project.write(ESCALATING)
    assert ended_by(signal.SIGINT, project) == 130
    assert ended_by(signal.SIGKILL, project) == -signal.SIGKILL
    assert len(escalations_of(project)[1]) < len(expected)
    again = project.run("search")  # on Ray, as what is compared to the last bit
    assert again.returncode == 0, again.stderr
    assert facts(escalations_of(project)[1]) == facts(expected)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_a_state_that_is_lost_is_made_again_for_what_begins_from_it(finished_on_ray, fault, tmp_path):
    _, expected = escalations_of(finished_on_ray[0])
    *_, below, tuned = expected
    assert (below.rung, tuned.rung) == ("calibration", "fine_tuning")
    by_trial = {record.trial: record for record in expected}
    source = by_trial[tuned.escalated_from]
    project = copy_of(finished_on_ray[0], tmp_path)
    journal = project.root / "tiny" / "journal.log"
    lines = journal.read_text().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if '"escalated_from"' in line)  # decided, and then killed
    journal.write_text("".join(lines[: last + 1]))
    lost = project.root / "tiny" / "states" / source.state
    whole = lost.read_bytes()
    lost.unlink() if fault == "missing" else lost.write_bytes(whole[:-1])
    ended = project.run("search", "--inline")
    assert ended.returncode == 0, ended.stderr
    assert facts(escalations_of(project)[1]) == facts(expected)
    assert lost.read_bytes() == whole


@pytest.mark.slow
def test_other_settings_are_trained_anew_and_nothing_that_they_do_not_change(finished_on_ray, tmp_path):
    _, before = escalations_of(finished_on_ray[0])
    project = copy_of(finished_on_ray[0], tmp_path)
    project.write(ESCALATING.replace("\nsteps = 6", "\nsteps = 4"))
    shown = project.run("front", "--json")
    assert "steps was 6, is 4" in shown.stderr
    assert "fine_tuning" not in {member["workflow"] for member in json.loads(shown.stdout)}
    ended = project.run("search", "--inline")
    assert ended.returncode == 0, ended.stderr
    _, after = escalations_of(project)
    by_rung = {rung: [[r.trial for r in some if r.rung == rung] for some in (before, after)] for rung in RUNGS}
    assert by_rung["calibration"][0] == by_rung["calibration"][1]
    assert len(by_rung["fine_tuning"][1]) == 2
    assert not set(by_rung["fine_tuning"][0]) & set(by_rung["fine_tuning"][1])


@pytest.mark.slow
def test_a_rung_that_the_workload_does_not_allow_is_refused_before_anything_starts(project, command):
    lacking = project.folder / "workload.py"
    project.write(ESCALATING)
    lacking.write_text(lacking.read_text().replace("def calibration_data", "def other_data"))
    code, out, said = command("search", *at(project), "--inline")
    assert code == 2
    assert "escalation.calibration = 2" in said + out
    assert not (project.root / "tiny" / "journal.log").exists()


@pytest.mark.slow
def test_adapters_are_trained_in_the_place_of_fine_tuning_and_their_bytes_count(project, command, tmp_path):
    project.write(
        ESCALATING.replace("\nsteps = 6\n", "\nsteps = 60\nadapter_rank = 2\n").replace(
            "calibration = 2\nin_flight = 1", "calibration = 1"
        )
    )
    code, _, said = command("search", *at(project), "--inline")
    assert code == 0, said
    study, escalations = escalations_of(project)
    trials = {record.trial: record for record in study.evaluations()}
    tuned = [record for record in escalations if record.workflow == Workflow("fine_tuning")]
    grown = {r.trial: r.costs["size_mb"] - trials[r.escalated_from].costs["size_mb"] for r in tuned}
    kept = [r for r in tuned if any(gain.method == "adapters" and gain.kept for gain in r.gains)]
    assert {gain.method for record in tuned for gain in record.gains} == {"adapters"}
    assert kept, "no adapter was kept: the test shows nothing"
    assert {trial for trial, more in grown.items() if more > 0} == {record.trial for record in kept}
    on_front = {member["trial"] for member in json.loads(command("front", *at(project), "--json")[1])}
    member = next(record for record in kept if record.trial in on_front)
    code, out, said = command("export", *at(project), "--out", tmp_path, "--pick", member.trial)
    assert code == 0, out + said
    (entry,) = json.loads((tmp_path / "manifest.json").read_text())
    assert abs(entry["weight_bytes"] - 1e6 * member.costs["size_mb"]) < 256


@pytest.mark.slow
def test_activations_in_8_bits_are_asked_for_where_latency_counts_and_are_exported_proven(
    project, command, tmp_path, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    phone = ESCALATING.replace("[space]", '[device]\nname = "iPhone 15 Pro"\ncompute_unit = "CPU_AND_NE"\n\n[space]')
    phone = phone.replace("[search]", '[objectives]\ncost = ["latency_ms"]\n\n[search]')
    project.write(
        phone.replace("calibration = 2\nin_flight = 1", "calibration = 2\nint8_activations = 2").replace(
            "count = 2", "count = 0"
        ),
        WIDE,
    )
    code, _, said = command("search", *at(project), "--inline")
    assert code == 0, said
    _, escalations = escalations_of(project)
    rounded = [record for record in escalations if record.configuration.activations]
    assert len(rounded) == 2
    trials = {record.trial: record for record in escalations_of(project)[0].evaluations()}
    for record in rounded:
        source = trials[record.escalated_from]
        assert record.configuration.encodings == source.configuration.encodings
        asked = {n for n, e in record.configuration.encodings.items() if str(e) == "int8"}
        assert set(record.configuration.activations) == asked
        assert record.costs["latency_ms"] < source.costs["latency_ms"]
        assert record.costs["size_mb"] == source.costs["size_mb"]
    front = json.loads(command("front", *at(project), "--json")[1])
    member = next(m for m in front if m["trial"] in {record.trial for record in rounded})
    code, out, said = command("export", *at(project), "--out", tmp_path, "--pick", member["trial"])
    assert code == 0, out + said
    (package,) = tmp_path.glob("*.mlpackage")
    quantized = [node.kind for node in program_nodes(package)].count("quantize")
    assert quantized == len(trials[member["trial"]].configuration.activations)
    assert "inputs in 8 bits" in command("front", *at(project))[1]
    assert "input in 8 bits" in command("front", *at(project), "--explain")[1]
