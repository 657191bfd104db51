"""Evaluations added to a run from Python, on a copy of a finished search."""

import json
import shutil

import coremltools
import optuna
import pytest
from mlflow import MlflowClient

import palettune as pt
from palettune.search.study.storage import open_storage
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.search.api.conftest import experiment_of


@pytest.fixture
def run(copied):
    return copied


@pytest.mark.slow
def test_a_solved_configuration_is_evaluated_once_and_stands_beside_the_others(run):
    budget = run.front.knee().costs["size_mb"] * 1.01
    solved = run.solve(max_size_mb=budget, forbid=["lut8"])
    assert solved.best.costs["size_mb"] <= budget
    assert solved.evaluated == ()
    before, proposed = len(run.trials), [r for r in run.trials if not r.added]
    record = run.evaluate(solved.configuration, origin="solved for 2 MB")
    assert record.added
    assert len(run.trials) == before + 1
    assert [r for r in run.trials if not r.added] == proposed
    assert run.evaluate(solved.configuration) == run.trial(record.trial) == record
    assert run.solve(max_size_mb=budget, forbid=["lut8"]).evaluated == (record,)
    client = MlflowClient(run.folder.tracking_uri)
    (listed,) = client.search_experiments(filter_string="name = 'tiny'")
    (logged,) = client.search_runs([listed.experiment_id], f"tags.trial = '{record.trial}'")
    assert logged.data.metrics["divergence"] == record.evaluation.divergence


@pytest.mark.slow
def test_calibration_is_added_and_not_computed_again(run, tmp_path):
    knee = run.front.knee()
    record = run.evaluate(knee.configuration, calibrate=True)
    assert (record.rung, record.escalated_from) == ("calibration", knee.trial)
    assert (run.folder.states / record.state).exists()
    assert run.evaluate(knee.configuration, calibrate=True) == record
    found = run.export([record], tmp_path / "out")
    assert found.proven
    assert "_calibrated_tiny_trial" in found[0].path.name
    said = coremltools.utils.load_spec(str(found[0].path)).description.metadata
    assert "compressed by Palettune" in said.shortDescription
    assert said.versionString == f"trial{record.trial}"


@pytest.mark.slow
def test_a_file_with_an_encoding_that_no_menu_offers_is_evaluated_and_exported(run, tmp_path):
    names = run.front.knee().configuration.encodings
    outside = Configuration(dict.fromkeys(names, Encoding.parse("lut6")))
    (tmp_path / "mine.json").write_text(outside.to_json())
    record = run.evaluate(tmp_path / "mine.json")
    assert (record.origin, record.configuration) == ("from mine.json", outside)
    assert run.export([str(record.trial)], tmp_path / "out").proven
    held = run.trials_frame().loc[record.trial]
    assert held["encoding.head"] == "lut6"


def test_a_configuration_that_does_not_fit_is_said_and_nothing_is_added(run):
    before = len(run.trials)
    with pytest.raises(pt.UserError, match="the model has none"):
        run.evaluate(Configuration({"nobody": Encoding.parse("lut6")}))
    assert len(run.trials) == before


@pytest.mark.slow
def test_a_search_goes_on_as_if_nothing_had_been_added(run, tiny):
    longer = experiment_of(tiny / "workload.py", budget={"trials": 10})
    root = run.folder.root
    plain = root.parent / "plain"
    shutil.copytree(root, plain)
    names = run.front.knee().configuration.encodings
    run.evaluate(Configuration(dict.fromkeys(names, Encoding.parse("lut6"))))
    with_it = pt.run_search(longer, root=root, inline=True, observers=[])
    without = pt.run_search(longer, root=plain, inline=True, observers=[])

    def told(found):
        return [(r.configuration.hash, r.evaluation.divergence) for r in found.trials if not r.added]

    assert told(with_it) == told(without)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="tiny", storage=open_storage(with_it.folder, None))
    assert {t.number for t in study.best_trials} >= {r.trial for r in with_it.front}


@pytest.mark.slow
def test_every_pick_is_exported_into_one_manifest(run, tmp_path):
    first = run.export(["smallest", "uniform:lut8", "divergence<0.5"], tmp_path / "out")
    worst = max((r for r in run.trials if r.evaluation), key=lambda r: r.evaluation.divergence)
    second = run.export([worst.trial], tmp_path / "out")
    entries = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {e["trial"] for e in entries} == {p.record.trial for p in (*first, *second)}
    assert all(e["proof"]["passed"] for e in entries)


@pytest.mark.slow
def test_recipes_are_evaluated_beside_a_search_explained_picked_and_exported(tiny, copied, tmp_path):
    (tmp_path / "ours.yaml").write_text("global_config: {n_bits: 6}\n")
    (tmp_path / "bare.json").write_text('{"head": "lut8"}')
    experiment = experiment_of(tiny / "workload.py", compare={"recipes": [tmp_path / "bare.json"]})
    run = pt.run_search(experiment, root=tmp_path / "runs", inline=True, observers=[], also=[tmp_path / "ours.yaml"])
    assert set(run.recipes) == {"ours", "bare"}
    ours = run.recipes["ours"]
    assert {str(e) for e in ours.configuration.encodings.values()} == {"lut6"}
    assert all(reason.score >= 0 for reason in run.explain(ours).layers)
    assert run.pick(["recipe:ours"]) == (ours,)
    assert run.export(["recipe:bare"], tmp_path / "out").proven
    before = len(run.trials)
    again = pt.run_search(experiment, root=tmp_path / "runs", inline=True, observers=[], also=[tmp_path / "ours.yaml"])
    assert len(again.trials) == before
