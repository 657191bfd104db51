"""A run, read, explained, compared, solved and exported from Python."""

import json

import pytest
from mlflow import MlflowClient

import palettune as pt
from tests.search.api.conftest import experiment_of, facts
from tests.search.review.page_reader import data_of


def test_the_front_is_a_value_and_a_table(run):
    front = run.front
    assert isinstance(front, pt.Front)
    assert len(front) == len(front.members) > 2
    assert list(front) == list(front.members)
    table = front.to_frame()
    assert list(table.index) == [record.trial for record in front]
    assert list(table.size_mb) == sorted(table.size_mb)
    assert list(table.index[table.knee]) == [front.knee().trial]
    assert table.loc[front.knee().trial, "divergence"] == front.knee().evaluation.divergence
    assert "top1_agreement" in table
    assert "latency_ms" not in table  # nothing is known of it
    assert isinstance(table.configuration.iloc[0], pt.Configuration)
    assert f"knee: trial {front.knee().trial}" in repr(front)
    assert "<table" in front._repr_html_()


def test_trials_are_a_table_with_an_encoding_of_each_layer(run):
    table = run.trials_frame()
    assert list(table.index) == [record.trial for record in run.trials]
    assert set(table.index[table.on_front]) == {record.trial for record in run.front}
    assert table.loc[0, "encoding.head"] == "fp16"
    assert table.loc[0, "origin"] == "uniform fp16"
    assert (table.state == "complete").all()
    assert len(repr(run.trials[0])) < 200


def test_a_trial_is_explained_layer_by_layer(run):
    smallest, larger = run.front.members[:2]
    found = run.explain(smallest.trial)
    assert [reason.layer for reason in found.layers] == list(smallest.configuration.in_order)
    changed = {r.layer: str(r.neighbour) for r in found.layers if r.neighbour is not None}
    assert changed == {
        name: str(encoding)
        for name, encoding in larger.configuration.encodings.items()
        if encoding != smallest.configuration.encodings[name]
    }
    assert set(found.to_frame().index) == {reason.layer for reason in found.layers}
    assert run.explain(smallest) == found == run.explain_front()[0]
    assert all(reason.neighbour is None for reason in run.explain(run.front.members[-1]).layers)


def test_two_trials_are_compared_in_layers_bytes_and_loss(run):
    first, second = run.front.members[0], run.front.members[-1]
    found = run.compare(first.trial, second.trial)
    assert found.costs["size_mb"] == pytest.approx(second.costs["size_mb"] - first.costs["size_mb"])
    assert found.divergence == pytest.approx(second.evaluation.divergence - first.evaluation.divergence)
    assert sum(d.added_bytes for d in found.layers) == pytest.approx(found.costs["size_mb"] * 1e6, abs=1)
    assert found.error > 0
    assert {d.layer for d in found.layers} == set(found.to_frame().index)
    same = run.compare(first, first)
    assert same.layers == ()
    assert same.divergence == 0


def test_a_budget_is_solved_without_an_evaluation(run):
    before = len(run.trials)
    budget = run.front.knee().costs["size_mb"] * 1.1
    found = run.solve(max_size_mb=budget)
    assert found.costs["size_mb"] <= budget
    assert str(found.configuration.hash) in repr(found)
    assert len(run.trials) == before
    with pytest.raises(pt.UserError, match="latency"):
        run.solve(max_latency_ms=1)


@pytest.mark.slow
def test_members_are_exported_proven_and_listed_in_mlflow(copied, tmp_path):
    run, shown = copied, []
    picked = ["knee", run.front.members[0].trial]
    found = run.export(picked, tmp_path / "out", on_exported=shown.append, register="tiny-lite")
    assert len(found) == 2
    assert found.proven
    assert list(found) == shown
    assert found.tracking_problem is None
    proofs = data_of(run.review(tmp_path / "page.html").read_text())["checks"]["proofs"]
    assert {(proof["trial"], proof["passed"]) for proof in proofs} >= {(item.record.trial, True) for item in found}
    assert json.loads(found.manifest.read_text())[0]["trial"] == run.front.knee().trial
    assert list(found.to_frame().proven) == [True, True]
    client = MlflowClient(run.folder.tracking_uri)
    (listed,) = client.search_experiments(filter_string="name = 'tiny'")
    parent = client.search_runs([listed.experiment_id], "tags.kind = 'search'")[0]
    names = {item.path for item in client.list_artifacts(parent.info.run_id, "packages")}
    assert names == {"packages/manifest.json"}
    models = client.search_logged_models([listed.experiment_id])
    assert {model.tags["package"] for model in models} == {item.path.name for item in found}
    (version,) = client.search_model_versions(f"name = 'tiny-lite' AND tags.trial = '{found[0].record.trial}'")
    assert version.source.endswith("/artifacts")
    checked = pt.verify(found[0].path, run.experiment)
    assert checked.passed
    assert repr(checked).startswith("Verification(passed; divergence")
    latency = pt.predict_latency(found[0].path, device="iPhone 15 Pro")
    assert latency.device == "iPhone 15 Pro"
    assert latency.fastest[1].ms == min(latency.to_frame().ms)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda run: run.explain(999), ["trial 999", "no such finished trial"]),
        (lambda run: run.export(["nonsense"], "out"), ["nonsense", "knee"]),
        (lambda run: run.export(["knee"], "out", max_size_mb=1e-6), ["no member of the front is within"]),
        (lambda run: run.solve(max_size_mb=1e-6), ["head"]),
    ],
)
def test_what_cannot_be_done_is_said(run, ask, words):
    with pytest.raises(pt.UserError) as error:
        ask(run)
    assert all(word in str(error.value) for word in words)


def test_a_run_that_is_not_there_is_said(experiment, tmp_path):
    with pytest.raises(pt.UserError, match="no search there yet"):
        pt.open_run(experiment, root=tmp_path)


def test_an_experiment_made_in_code_is_the_one_of_its_file(tmp_path, tiny):
    text = """
name = "tiny"
workload = "workload.py"
[space]
encodings = ["fp16", "lut8", "lut4", "int8"]
[search]
solved_trials = 2
score_samples = 8
confirm = 2
[budget]
trials = 8
"""
    (tiny / "experiment.toml").write_text(text)
    assert pt.Experiment.load(tiny / "experiment.toml") == experiment_of(tiny / "workload.py")
    assert facts(pt.open_run(tiny / "experiment.toml", root=tiny / "runs"))


def test_an_inspection_is_a_value(experiment):
    found = pt.inspect(experiment)
    assert found.experiment == "tiny"
    assert list(found.to_frame().index) == [item.layer.name for item in found.layers]
    assert found.smallest_bytes < found.largest_bytes
    assert "5 layers" in repr(found)
    assert found.fp16 is None


def test_a_key_under_its_old_name_is_said_once(tiny):
    run = pt.open_run(experiment_of(tiny / "workload.py", ladder={"in_flight": 3}), root=tiny / "runs")
    assert len(run.notes) == 1
    assert "ladder is now called escalation" in run.notes[0]


def test_a_run_is_reviewed_where_it_lies_or_elsewhere(run, tmp_path):
    assert data_of(run.review().read_text())["knee"] == run.front.knee().trial
    assert run.review() == run.folder.review
    assert run.review(tmp_path / "page.html") == tmp_path / "page.html"
    data = data_of((tmp_path / "page.html").read_text())
    assert data["commands"] == {"experiment": None, "options": f"--root {run.folder.root}"}
    assert {phase["name"] for phase in data["history"]["phases"]} >= {"checking the workload", "evaluating"}
    assert 0 < data["checks"]["coverage"] <= 1
    with pytest.raises(pt.UserError, match=r"--out names another"):
        run.review(run.folder.journal / "page.html")
