"""Searches from end to end: real Ray, a real journal, a real MLflow store."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from rich.console import Console

from palettune.device_bench.cost.latency_reach import latency_reach
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.command_line.cli import main
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.session import Places, run_session
from palettune.search.proposing.solution import solution
from palettune.search.results.ending import Ending
from palettune.search.study.study import SearchStudy, StudyError, open_storage
from palettune.search.tracking import tracking
from palettune.search.tracking.tracking import TrackingError
from palettune.space.encoding import FP16
from palettune.space.errors import UserError
from tests.search.conftest import EXPERIMENT, WORKLOAD, Project
from tests.search.review.page_reader import data_of, encodings_of, milliseconds

ON_RAY = pytest.mark.usefixtures("cluster")
LONGER = EXPERIMENT.replace("trials = 14", "trials = 24")


def search(project, inline=True, **options):
    """In this process, or with ``inline=False`` on Ray, whose workers use other numbers of threads."""
    console = Console(record=True, width=200, file=open(os.devnull, "w"))  # noqa: SIM115
    places = Places(project.root, inline=inline)
    outcome = run_session(load_experiment(project.experiment), places, [Display(console)], **options)
    return outcome, console.export_text()


def trials(project):
    import optuna

    storage = open_storage(RunFolder(project.root, "tiny"), None)
    return optuna.load_study(study_name="tiny", storage=storage).get_trials()


def runs(project, uri=None):
    client = MlflowClient(uri or RunFolder(project.root, "tiny").tracking_uri)
    experiment = client.get_experiment_by_name("tiny")
    found = client.search_runs([experiment.experiment_id])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]  # the latest first
    latest = parents[0].info.run_id if parents else ""
    assert all(run.info.status != "RUNNING" for run in parents[1:])
    return client, parents, [run for run in found if run.data.tags.get("mlflow.parentRunId") == latest]


def assert_record_agrees(project, uri=None):
    """One finished MLflow run for every evaluated trial, none running, all under one parent."""
    client, parents, children = runs(project, uri)
    assert parents[0].info.status == "FINISHED"
    evaluated = [t for t in trials(project) if "answered_from" not in t.user_attrs]
    assert Counter(int(r.data.tags["trial"]) for r in children) == Counter(t.number for t in evaluated)
    assert {run.info.status for run in children} <= {"FINISHED", "FAILED"}
    by_trial = {int(run.data.tags["trial"]): run for run in children}
    for trial in evaluated:
        if trial.state == TrialState.COMPLETE:
            run = by_trial[trial.number]
            assert run.data.metrics["divergence"] == pytest.approx(trial.values[0])
            assert run.data.metrics["size_mb"] == pytest.approx(trial.values[1])
            assert run.data.tags["configuration_hash"] == trial.user_attrs["configuration_hash"]
    volumes = client.get_metric_history(parents[0].info.run_id, "hypervolume")
    assert {metric.step for metric in volumes} == {t.number for t in trials(project)}
    ordered = [metric.value for metric in sorted(volumes, key=lambda m: m.step)]
    assert ordered == sorted(ordered)
    return client, parents[0], children


def signature(project):
    """What a search found, in order."""
    begun = [t for t in trials(project) if t.state != TrialState.WAITING]
    return [(t.number, t.user_attrs.get("configuration_hash"), tuple(t.values or ())) for t in begun]


@ON_RAY
def test_a_search_leaves_a_front_a_record_and_pictures(project):
    outcome, text = search(project, inline=False)
    assert outcome.ending is Ending.TRIALS
    found = trials(project)
    assert sum("answered_from" not in t.user_attrs for t in found) == 14
    assert {t.state for t in found} == {TrialState.COMPLETE}
    client, parent, children = assert_record_agrees(project)
    assert len(runs(project)[1]) == 1
    assert len(client.get_metric_history(parent.info.run_id, "spearman_predicted_measured")) >= 5
    names = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {"review.html", "front.png", "layer_map.png", "front.json"} <= names
    assert not {"front.html", "layer_map.html", "front.txt", "explanation.txt"} & names
    page = client.download_artifacts(parent.info.run_id, "review.html")
    assert open(page).read() == outcome.folder.review.read_text()  # noqa: SIM115
    stored = client.download_artifacts(children[0].info.run_id, "configuration.json")
    assert "head" in open(stored).read()  # noqa: SIM115
    members = outcome.front.members
    assert len(members) >= 4
    for a in outcome.front.members:
        assert not any(
            b.values[0] <= a.values[0] and b.values[1] <= a.values[1] and b.values != a.values for b in members
        )
    assert "on the front" in text
    # again: nothing is left to do, and nothing is done twice
    before = signature(project)
    outcome, _ = search(project)
    assert signature(project) == before
    assert_record_agrees(project)


@pytest.fixture(scope="module")
def longer(cluster, tmp_path_factory):
    """An experiment of more trials, and what one worker on Ray finds in it."""
    project = Project(tmp_path_factory.mktemp("longer"))
    project.write(LONGER)
    search(project, inline=False)
    return signature(project)


@pytest.mark.slow
@ON_RAY
def test_one_worker_and_two_give_the_same_trials(project, longer):
    project.write(LONGER.replace("workers = 1", "workers = 2"))
    search(project, inline=False)
    assert signature(project) == longer


def ended_by(kill, project, trials_done):
    """Send a signal to a search of slow trials once so many are done; how it ended, and what it printed."""
    words = ["search", str(project.experiment), "--root", str(project.root)]
    process = subprocess.Popen(
        project.command(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TINY_WORKLOAD_SLOW": "0.2", "OMP_NUM_THREADS": "1"},
    )
    journal, deadline = RunFolder(project.root, "tiny").journal, time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.05)
        text = journal.read_text() if journal.exists() else ""
        if text.count('"state": 1') + text.count('"state":1') >= trials_done:
            break
    process.send_signal(kill)
    return process, *process.communicate(timeout=60)


@pytest.mark.slow
@ON_RAY
def test_a_search_stopped_and_then_killed_goes_on_to_the_same_end(project, longer):
    project.write(LONGER)
    process, output, errors = ended_by(signal.SIGINT, project, 6)
    assert process.returncode == 130, errors
    assert "Go on with" in output
    assert runs(project)[1][0].info.status == "KILLED"
    stopped = signature(project)
    assert is_unfinished(stopped, longer)
    process, *_ = ended_by(signal.SIGKILL, project, sum(bool(values) for _, _, values in stopped) + 4)
    assert process.returncode == -signal.SIGKILL
    assert len(signature(project)) > len(stopped)
    assert is_unfinished(signature(project), longer)
    search(project, inline=False)
    assert signature(project) == longer
    assert_record_agrees(project)


def is_unfinished(done, whole):
    return len(done) < len(whole) or any(not values for _, _, values in done)


@pytest.mark.slow
def test_a_damaged_bank_file_is_found_rebuilt_and_said(project):
    search(project)
    before = signature(project)
    folder = RunFolder(project.root, "tiny")
    files = sorted(folder.bank.glob("??/*.safetensors"))
    good = files[3].read_bytes()
    files[3].write_bytes(good[:-20] + bytes(20))
    files[5].write_bytes(b"")
    _, text = search(project, fresh=True)
    assert text.count("damaged (its checksum does not match)") == 2
    assert sorted(folder.bank.glob("??/*.safetensors")) == files
    assert files[3].read_bytes() == good
    assert signature(project) == before


@pytest.mark.slow
def test_a_changed_experiment_under_an_old_name_is_refused(project):
    search(project)
    before = signature(project)
    project.write(EXPERIMENT.replace('"lut2", ', ""))
    with pytest.raises(StudyError, match=r"(?s)space.encodings.*--fresh.*another name"):
        search(project)
    project.write(EXPERIMENT, WORKLOAD.replace("manual_seed(0)", "manual_seed(9)"))
    with pytest.raises(StudyError, match="model_weights"):
        search(project)
    project.write(EXPERIMENT.replace("trials = 14", "trials = 16"))  # more trials only go on
    search(project)
    assert signature(project)[: len(before)] == before
    assert sum("answered_from" not in t.user_attrs for t in trials(project)) == 16


@pytest.mark.slow
def test_a_run_folder_of_another_format_is_refused(project):
    project.write(EXPERIMENT.replace("trials = 14", "trials = 2"))
    search(project)
    folder = RunFolder(project.root, "tiny")
    journal, count = re.subn(r'("palettune_format": ?)\d+', r"\g<1>99", folder.journal.read_text())
    assert count
    folder.journal.write_text(journal)
    with pytest.raises(StudyError, match=r"another version.*99.*--fresh"):
        search(project)


@pytest.mark.slow
def test_configurations_that_fail_are_recorded_with_their_reason(project):
    # a network that overflows when its weights are coarse: its layers fail in some encodings, not in others
    broken = WORKLOAD.replace(
        "return self.classes(torch.relu(self.head(x)))",
        "y = self.classes(torch.relu(self.head(x)))\n"
        "        values = self.classes.weight.detach().unique().numel()\n"
        "        return y / (0.0 if values <= 4 else 1.0)",
    )
    project.write(EXPERIMENT, broken)
    outcome, text = search(project)
    failed = [t for t in trials(project) if t.state == TrialState.FAIL]
    assert failed
    assert all("forward" in t.user_attrs["status_reason"] for t in failed)
    assert "failed at forward" in text
    _, _, children = assert_record_agrees(project)
    assert sum(run.info.status == "FAILED" for run in children) == len(failed)
    assert outcome.front.members


@pytest.mark.slow
def test_constraints_keep_the_front_within_bounds_and_impossible_ones_start_nothing(project):
    project.write(EXPERIMENT + "\n[constraints]\nmax_size_mb = 0.04\n")
    outcome, _ = search(project)
    assert outcome.front.members
    assert all(record.costs["size_mb"] <= 0.04 for record in outcome.front.members)
    project.write(EXPERIMENT.replace("tiny", "other") + "\n[constraints]\nmax_size_mb = 0.001\n")
    with pytest.raises(UserError, match=r"constraints.max_size_mb: .*0.001.*head"):
        search(project)
    assert not (project.root / "other" / "journal.log").exists()


@pytest.mark.slow
def test_predicted_latency_is_a_second_cost(project):
    text = EXPERIMENT.replace("[space]", '[device]\nname = "iPhone 15 Pro"\ncompute_unit = "CPU_AND_NE"\n\n[space]')
    text = text.replace("[search]", '[objectives]\ncost = ["size_mb", "latency_ms"]\n\n[search]\nsampler = "guided"')
    project.write(text.replace("trials = 14", "trials = 18"))
    outcome, text = search(project)
    assert all(record.costs["latency_ms"] > 0 for record in outcome.front.members)
    assert len({record.costs["latency_ms"] for record in outcome.front.members}) > 1
    _, _, children = assert_record_agrees(project)
    assert all(run.data.metrics["latency_ms"] > 0 for run in children)
    data = data_of(outcome.folder.review.read_text())
    assert data["costs"] == ["size_mb", "latency_ms"]
    for row in data["trials"]:
        assert milliseconds(data, encodings_of(data, row)) == pytest.approx(row["latency_ms"], rel=1e-4)
    assert_budgets_are_met_from_what_is_saved(project, outcome)
    project.write(EXPERIMENT.replace("[space]", '[objectives]\ncost = ["latency_ms"]\n\n[space]'))
    with pytest.raises(UserError, match=r"latency_ms: needs to know for what: add \[device\]"):
        search(project)


def assert_budgets_are_met_from_what_is_saved(project, outcome):
    """Without the user's model: sizes, latencies, both, and budgets that cannot be met."""
    experiment = load_experiment(project.experiment)
    folder = RunFolder(project.root, "tiny")
    context = SearchStudy.load(open_storage(folder, None), experiment).context
    scores, latency = Scores.load(folder.scores / context.scores_file), context.latency(experiment)
    for record in outcome.front.members:
        assert latency.predict(record.configuration).ms == pytest.approx(record.costs["latency_ms"], rel=1e-9)
    fast, small = latency_reach(context.space, latency), min(r.costs["size_mb"] for r in outcome.front.members)
    slow = latency.predict(context.space.uniform(FP16)).ms
    middle = (fast.fastest_ms + slow) / 2
    found = solution(experiment, context, scores, [], {"latency_ms": middle, "size_mb": 3 * small}, latency)
    assert latency.predict(found.configuration).ms <= middle
    assert found.to_json()["latency_ms"] == pytest.approx(latency.predict(found.configuration).ms)
    assert found.costs["size_mb"] <= 3 * small
    for budgets, said in (
        (
            {"latency_ms": fast.fastest_ms / 2},
            rf"cannot be reached on iPhone 15 Pro.*{fast.fastest_ms:.3f} ms.*{fast.blocking[0][0]}",
        ),
        ({"size_mb": small / 10}, "smallest is"),
        ({}, "--max-size-mb, --max-latency-ms or both"),
        ({"latency_ms": -1.0}, "--max-latency-ms -1: expected a positive number"),
    ):
        with pytest.raises(UserError, match=said):
            solution(experiment, context, scores, [], budgets, latency)
    with pytest.raises(UserError, match=r"is for no device; name one under \[device\]"):
        solution(experiment, context, scores, [], {"latency_ms": middle}, None)


@pytest.mark.slow
def test_dominated_encodings_are_dropped_on_request_and_counted(project):
    project.write(EXPERIMENT.replace("[search]", "prune = true\n[search]").replace('"int8"]', '"int8", "int8-tensor"]'))
    _, text = search(project)
    said = re.search(r"menus pruned: (\d+) of (\d+) choices", text)
    offered = sum(len(d.choices) for d in trials(project)[0].distributions.values())
    assert 1 <= int(said[1]) == int(said[2]) - offered
    before = signature(project)
    project.write(project.experiment.read_text().replace("trials = 14", "trials = 16"))
    search(project)  # goes on with the pruned menus
    assert signature(project)[: len(before)] == before


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("sampler", ["nsga2", "gp", "random"])
def test_other_samplers_search_by_name(project, sampler):
    project.write(
        EXPERIMENT.replace("[search]", f'[search]\nsampler = "{sampler}"').replace("trials = 14", "trials = 16")
    )
    outcome, _ = search(project)
    assert sampler in {t.user_attrs["origin"] for t in trials(project)}
    assert outcome.front.members


class Killing(Display):
    """Kills a server when a trial has ended."""

    def __init__(self, console, server, trial):
        super().__init__(console)
        self.server, self.number = server, trial

    def on_trial_finished(self, record, history):
        super().on_trial_finished(record, history)
        if record.trial == self.number:
            self.server.kill()


@ON_RAY
@pytest.mark.slow
def test_a_tracking_server_that_dies_holds_up_neither_search_nor_export_and_is_written_to_later(
    project, server, monkeypatch, capsys
):
    monkeypatch.setattr(tracking, "_PATIENCE", 1.0)
    experiment, places = load_experiment(project.experiment), Places(project.root, tracking_uri=server.uri)
    console = Console(record=True, width=200, file=open(os.devnull, "w"))  # noqa: SIM115
    outcome = run_session(experiment, places, [Killing(console, server, 5)])
    text = console.export_text()
    assert outcome.ending is Ending.TRIALS
    found = trials(project)
    assert sum("answered_from" not in t.user_attrs for t in found) == 14
    assert f"MLflow: {server.uri} does not answer" in text
    assert re.search(r"MLflow: \d+ of 14 runs could not be written to", text)
    words = ["export", str(project.experiment), "--root", str(project.root), "--out", str(project.folder / "out")]
    monkeypatch.setattr(sys, "argv", ["palettune", *words])
    with pytest.raises(SystemExit) as ending:
        main()
    printed = capsys.readouterr()
    assert ending.value.code == 0, printed.err
    assert "the packages are written, but MLflow does not list them" in printed.out
    assert json.loads((project.folder / "out" / "manifest.json").read_text())[0]["proof"]["passed"]
    with pytest.raises(TrackingError, match="--tracking-uri: "):  # at once, and before anything else
        run_session(experiment, places, [Display(console)])
    server.start()
    monkeypatch.undo()
    outcome = run_session(experiment, places, [Display(console)])
    assert trials(project) == found
    assert_record_agrees(project, server.uri)
    assert not RunFolder(project.root, "tiny").record.exists()


@pytest.mark.slow
@ON_RAY
def test_fresh_puts_nothing_aside_before_the_new_search_is_sure(project):
    short = EXPERIMENT.replace("trials = 14", "trials = 4")
    project.write(short)
    search(project)
    before = signature(project)
    folder = RunFolder(project.root, "tiny")
    uncalibrated = WORKLOAD.replace("def calibration_data", "def other_data")
    for experiment, workload in (
        (short, "def model(:"),
        (short + "[constraints]\nmax_size_mb = 0.002\n", WORKLOAD),
        (short.replace("workers = 1", "workers = 999"), WORKLOAD),
        (short + "[escalation]\ncalibration = 1\n", uncalibrated),
    ):
        project.write(experiment, workload)
        with pytest.raises(UserError):
            search(project, inline=False, fresh=True)
        assert signature(project) == before
    project.write(short)
    search(project, fresh=True)
    assert len(list(folder.path.glob("journal*.log"))) == 2
    assert signature(project) == before
