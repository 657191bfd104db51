"""Models with state, and with samples along other axes than the first, from preparation to the verified package."""

import io

import pytest
from rich.console import Console

from palettune.device_bench.package_model.package_state import PackageStateError
from palettune.device_bench.runtime import load
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.search.display.inspection_tables import print_inspection
from palettune.search.display.progress import Display
from palettune.search.escalation.escalations import check_escalation
from palettune.search.experiment.experiment import ExperimentError, load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.driver_weights import layer_weights
from palettune.search.preparation.inspection import Inspection
from palettune.search.preparation.preparation import prepare
from palettune.search.results.packages.export import export
from palettune.search.results.verification import verify
from palettune.search.study.record import Record
from palettune.search.workers.requests import Evaluate
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.evaluators import axes_cases, stateful_cases

EXPERIMENT = """
name = "tiny"
workload = "workload.py"
deployment_target = "{target}"

[space]
encodings = ["fp16", "lut4", "lut2"]
{more}
"""
CASES = {
    "cache": stateful_cases.HEAD + stateful_cases.CACHE,
    "stream": stateful_cases.HEAD + stateful_cases.STREAM,
    "average": stateful_cases.HEAD + stateful_cases.AVERAGE,
    "time_first": axes_cases.case(axes_cases.TRANSFORMER_TIME_FIRST),
    "one_sample": axes_cases.case(axes_cases.ONE_SAMPLE),
    "no_batch": axes_cases.case(axes_cases.NO_BATCH),
    "pair": axes_cases.case(axes_cases.PAIR),
}


def experiment_of(folder, text, more="", target="iOS18"):
    (folder / "workload.py").write_text(text)
    (folder / "experiment.toml").write_text(EXPERIMENT.format(more=more, target=target))
    return load_experiment(folder / "experiment.toml")


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("spelling", ["fp16", "lut2"])
def test_what_is_exported_is_proven_and_verified(tmp_path, name, spelling):
    experiment = experiment_of(tmp_path, CASES[name], "[data]\nsequence = 5\n" if name == "stream" else "")
    preparation = prepare(experiment)
    folder = RunFolder(tmp_path / "runs", "tiny")
    weights = layer_weights(preparation, folder)
    evaluator = DataFreeEvaluator(WorkflowSetting(preparation.workload, weights, preparation.kind))
    menus = preparation.space.menus
    chosen = {n: spelling if Encoding.parse(spelling) in menus[n].encodings else "fp16" for n in weights.layers}
    configuration = Configuration({n: Encoding.parse(e) for n, e in chosen.items()})
    found = evaluator.measure(configuration)
    record = Record(
        trial=0,
        origin="test",
        configuration=configuration,
        workflow=Workflow.DATA_FREE,
        values=(found.divergence,),
        costs=preparation.costs(configuration),
        evaluation=found,
        feasible=True,
        answered_from=None,
        failure=None,
        span=(0.0, 1.0),
    )
    (made,) = export(preparation, folder, [record], tmp_path / "out", Display(Console(quiet=True)))
    assert made.proven, made.failures
    assert 0 <= made.predicted_weight_bytes - made.weight_bytes < 64
    assert bool(load(made.path).states) is preparation.workload.sampling.recurrent
    checked = verify(made.path, experiment)
    assert checked.divergence == pytest.approx(found.divergence, rel=0.05, abs=1e-5)


@pytest.mark.slow
def test_every_worker_finds_the_same_from_its_settings(tmp_path):
    experiment = experiment_of(tmp_path, CASES["cache"], "[data]\nsequence = 4\n")
    preparation = prepare(experiment)
    folder = RunFolder(tmp_path / "runs", "tiny")
    folder.create()
    settings = worker_settings(preparation, folder, experiment.needs)
    configurations = [preparation.space.uniform(Encoding.parse(e)) for e in ("fp16", "lut2")]
    one, other = Worker(settings), Worker(settings)
    for layer in settings.layers:
        assert not one.compress(layer.name, tuple(map(Encoding.parse, ("fp16", "lut4", "lut2"))))
    first = [Evaluate(configuration).run(one) for configuration in configurations]
    second = [Evaluate(configuration).run(other) for configuration in reversed(configurations)]
    assert [evaluation.by_sample for evaluation in first] == [evaluation.by_sample for evaluation in reversed(second)]
    assert one.workload.sampling.sequence == 4


def test_a_target_without_states_is_refused_before_anything_is_compressed(tmp_path):
    with pytest.raises(PackageStateError, match=r"k_cache, v_cache.*iOS17"):
        prepare(experiment_of(tmp_path, CASES["cache"], target="iOS17"))


@pytest.mark.slow
def test_fine_tuning_a_model_with_state_is_refused_by_the_key(tmp_path):
    more = "[budget]\ntrials = 20\n[escalation]\nfine_tuning = 1\n"
    with pytest.raises(ExperimentError, match=r"escalation.fine_tuning = 1: .*k_cache, v_cache"):
        check_escalation(prepare(experiment_of(tmp_path, CASES["cache"], more)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"), [("cache", "k_cache, v_cache"), ("time_first", "axis 1"), ("one_sample", "one sample")]
)
def test_inspection_says_what_was_found(tmp_path, name, words):
    preparation = prepare(experiment_of(tmp_path, CASES[name]))
    console = Console(record=True, width=200, file=io.StringIO())
    print_inspection(Inspection.of(preparation), console)
    assert words in console.export_text()
    facts = Inspection.of(preparation).to_json()
    assert facts["state"] == list(preparation.workload.sampling.state.names)
