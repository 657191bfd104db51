"""A search as MLflow shows it: the run folder's own store, written by the observer alone."""

from dataclasses import replace

import pytest
from mlflow import MlflowClient

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.results.ending import Ending
from palettune.search.study.record import Record
from palettune.search.tracking.mlflow_links import find_links
from palettune.search.tracking.mlflow_observer import MlflowObserver
from palettune.search.tracking.saved_view import FRONT_VIEW
from palettune.space.encoding import Encoding
from tests.search.loop.small_searches import costs as costs_of
from tests.search.loop.small_searches import history_of, search


@pytest.fixture
def folder(stored):
    return stored


def told(observer, history, trial, encoding, divergence):
    """One trial, as the loop tells it."""
    configuration = history.study.context.space.uniform(Encoding.parse(encoding))
    result = Evaluation(configuration.hash, Workflow.DATA_FREE, divergence, (divergence,) * 8)
    costs = costs_of(configuration)
    history.add(
        Record.judged(
            result, history.objectives, costs, trial=trial, origin="uniform lut8" if encoding == "lut8" else "guided",
            configuration=configuration, workflow=Workflow.DATA_FREE, answered_from=None, span=(1.0, 2.0),
        )
    )  # fmt: skip
    observer.on_trial_finished(history.records[-1], history)


def measured_again(record):
    return Evaluation(record.configuration.hash, Workflow.DATA_FREE, 0.3, (0.3,) * 8)


def observer_of(folder, said):
    return MlflowObserver(
        folder,
        None,
        lambda history: {"front.txt": f"{len(history.front)} members"},
        lambda history: {"calibration": {"escalations": 1, "loss_taken_away": 0.25, "pays": 1.0}},
        said.append,
    )


def test_a_search_is_one_run_with_a_run_for_each_evaluation_and_what_an_earlier_session_left(folder):
    said = []
    observer = observer_of(folder, said)
    _, study, _ = search(1)  # an earlier session, which had no store
    history = history_of(1, storage=study._storage)
    earlier = len(history.trials)
    observer.on_search_started(history)
    escalated = replace(history.trials[0], trial=50, escalated_from=0, origin="escalated from 0")
    history.add(escalated)
    observer.on_escalation_finished(escalated, history)
    observer.on_finished(Ending.TRIALS, history)
    assert said == []
    client = MlflowClient(folder.tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'x'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert sorted(int(run.data.tags["trial"]) for run in children) == [*range(earlier), 50]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert (parent.data.tags["status_reason"], parent.data.tags["search_id"]) == (Ending.TRIALS.value, "id")
    assert set(parent.data.metrics) == {"hypervolume"}  # a series; figures of one value are in the note
    assert parent.data.metrics["hypervolume"] == pytest.approx(history.hypervolume)
    note = parent.data.tags["mlflow.note.content"]
    assert "calibration: 1 escalation, which took away 25% of the scaled loss on average." in note
    assert f"| {history.front.knee().trial} \\* |" in note
    assert f"palettune review EXPERIMENT.toml --root {folder.root} " in note  # made in code, the experiment has no file
    assert (parent.data.params["search.sampler"], parent.data.params["model.layers"]) == ("random", "1")
    assert {"mlflow.user", "mlflow.source.name", "version.torch", "budget.trials"} <= set(parent.data.tags)
    assert [item.path for item in client.list_artifacts(parent.info.run_id)] == ["front.txt"]


def test_runs_have_names_encodings_and_figures_at_step_0_and_the_front_is_marked_as_it_moves(folder):
    observer, history = observer_of(folder, said := []), history_of(2)
    observer.on_search_started(history)
    moves = []
    for trial, (encoding, divergence) in enumerate([("lut8", 0.5), ("fp16", 0.2), ("lut8", 0.1), ("lut4", 0.1)]):
        told(observer, history, trial, encoding, divergence)
        moves.append({record.trial for record in history.front.members})
    assert moves == [{0}, {0, 1}, {2}, {3}]  # set, and removed again
    history.study.confirm(history.records[3].key, measured_again(history.records[3]))
    observer.on_finished(Ending.TRIALS, history)
    assert said == []
    client = MlflowClient(folder.tracking_uri)
    experiment = client.get_experiment_by_name("x")
    runs = client.search_runs([experiment.experiment_id], "tags.trial != ''", order_by=["tags.trial ASC"])
    assert [run.info.run_name for run in runs][2:] == [
        "0.240 MB · 0.100 · uniform lut8",
        "0.120 MB · 0.100 · data-free",
    ]
    assert [dict(run.data.params) for run in runs][3] == {"0 l0": "lut4", "1 l1": "lut4"}
    assert [{"front", "knee"} & set(run.data.tags) for run in runs] == [set(), set(), set(), {"front", "knee"}]
    (last,) = [run for run in runs if run.data.tags["trial"] == "3"]
    assert last.data.metrics["unseen.divergence"] == 0.3
    assert {"divergence", "size_mb", "bits_per_weight", "compression", "seconds"} <= set(last.data.metrics)
    for name in last.data.metrics:
        assert [metric.step for metric in client.get_metric_history(last.info.run_id, name)] == [0], name
    assert FRONT_VIEW in "".join(experiment.tags)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert find_links(client, "x", "id", "http://host/").front.endswith("workflowType=machine_learning")


def test_runs_of_an_earlier_version_are_completed_at_the_next_start(folder):
    client = MlflowClient(folder.tracking_uri)
    experiment = client.create_experiment("x", artifact_location=folder.artifacts.as_uri())
    parent = client.create_run(experiment, tags={"search_id": "id", "kind": "search"}).info.run_id
    tags = {"mlflow.parentRunId": parent, "trial": "0", "note of mine": "kept"}
    old = client.create_run(experiment, tags=tags, run_name="trial 0: uniform lut8").info.run_id
    client.set_terminated(old)
    _, study, _ = search(1)
    history, said = history_of(1, storage=study._storage), []
    observer = observer_of(folder, said)
    observer.on_search_started(history)
    observer.on_finished(Ending.TRIALS, history)
    assert said == []
    run = client.get_run(old)
    assert (run.info.status, run.data.params, run.data.tags["note of mine"]) == ("FINISHED", {"0 l0": "lut8"}, "kept")
    assert run.info.run_name.endswith("uniform lut8")
    assert run.info.run_name.startswith("0.0800 MB")
    assert "compression" in run.data.metrics


@pytest.mark.parametrize(("ending", "status"), [(Ending.STOPPED, "KILLED"), (Ending.FAILED, "FAILED")])
def test_a_search_without_a_front_ends_with_its_reason(folder, ending, status):
    said = []
    observer, history = observer_of(folder, said), history_of(1)
    observer.on_search_started(history)
    observer.on_finished(ending, history)
    client = MlflowClient(folder.tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'x'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.tags["status_reason"]) == (status, ending.value)
    assert client.list_artifacts(run.info.run_id) == []
    assert said == []
