"""Export from states: what a calibrated member's package holds, and what is said when its state is gone."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package.program_graph import program_nodes
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.weights.model_state import StateError
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.driver_weights import layer_weights
from palettune.search.preparation.preparation import prepare
from palettune.search.results.packages.export import export
from palettune.search.results.packages.manifest import write_manifest
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from tests.search.conftest import EXPERIMENT, WORKLOAD
from tests.search.exporting import exported, write_case
from tests.search.preparation.test_program_check import BRANCHING, FORWARDS


class Case:
    """A prepared experiment, and records of outcomes as a search would keep them."""

    def __init__(self, folder: Path):
        (folder / "workload.py").write_text(WORKLOAD)
        (folder / "experiment.toml").write_text(EXPERIMENT)
        self.preparation = prepare(load_experiment(folder / "experiment.toml"))
        self.folder = RunFolder(folder / "runs", "tiny")
        weights = layer_weights(self.preparation, self.folder)
        self.setting = WorkflowSetting(self.preparation.workload, weights, self.preparation.kind)
        self.names = tuple(weights.layers)

    def record(self, evaluator, configuration, trial=0) -> Record:
        outcome = evaluator(self.setting).evaluate(configuration)
        escalated = evaluator.workflow != Workflow.DATA_FREE
        return Record(
            trial=trial,
            origin="test",
            configuration=configuration,
            workflow=evaluator.workflow,
            values=(outcome.evaluation.divergence,),
            costs=self.preparation.costs(Configuration(configuration.encodings)),
            evaluation=outcome.evaluation,
            feasible=True,
            answered_from=None,
            failure=None,
            span=(0.0, 1.0),
            escalated_from=0 if escalated else None,
            state=outcome.state.save(self.folder.states).name if escalated else None,
        )

    def export(self, record, out):
        (exported,) = export(self.preparation, self.folder, [record], out, Display(Console(quiet=True)))
        return exported


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("export"))


def configuration_of(case, activations=()):
    encodings = dict.fromkeys(case.names, Encoding.parse("lut4")) | {"head": Encoding.parse("int8")}
    return Configuration(encodings, dict.fromkeys(activations, Precision.INT8))


@pytest.mark.slow
def test_a_calibrated_member_is_proven_with_its_biases_and_its_rounded_activations(case, tmp_path):
    record = case.record(CalibrationEvaluator, configuration_of(case, ("mix", "head")), trial=7)
    exported = case.export(record, tmp_path)
    assert exported.proven, exported.failures
    assert exported.predicted_weight_bytes == weight_bytes(exported.path)
    assert [node.kind for node in program_nodes(exported.path)].count("quantize") == 2
    (entry,) = json.loads(write_manifest([exported], tmp_path).read_text())
    assert entry["workflow"] == "calibration"
    assert entry["configuration"]["activations"] == {"head": "int8", "mix": "int8"}
    assert set(entry["methods"]) == set(case.names)


@pytest.mark.slow
def test_another_members_state_fails_the_proof_of_this_one(case, tmp_path):
    calibrated = case.record(CalibrationEvaluator, configuration_of(case))
    other = replace(calibrated, configuration=configuration_of(case, ("mix",)))
    exported = case.export(other, tmp_path)
    assert not exported.proven
    assert exported.path.name.endswith(".unproven.mlpackage")
    assert any("'mix'" in words and "8 bits" in words for words in exported.failures)


@pytest.mark.slow
def test_a_data_free_member_needs_no_state_and_others_say_when_theirs_is_gone(case, tmp_path):
    exported = case.export(case.record(DataFreeEvaluator, configuration_of(case)), tmp_path)
    assert exported.proven
    assert set(exported.methods.values()) == {"data_free"}
    calibrated = case.record(CalibrationEvaluator, configuration_of(case), trial=4)
    (case.folder.states / calibrated.state).unlink()
    with pytest.raises(StateError, match="no model state can be read"):
        case.export(calibrated, tmp_path)
    with pytest.raises(UserError, match=r"trial 4.*names no state"):
        case.export(replace(calibrated, state=None), tmp_path)


@pytest.mark.slow
def test_both_precisions_are_in_the_manifest_and_in_the_console(case, tmp_path):
    record = case.record(DataFreeEvaluator, configuration_of(case))
    console = Console(record=True, width=400, file=io.StringIO())
    display = Display(console)
    (item,) = export(case.preparation, case.folder, [record], tmp_path, display, display.on_exported)
    shown = console.export_text()
    assert "dB in float32" in shown
    assert "dB in fp16" in shown
    assert "16 samples" in shown
    execution = json.loads(write_manifest([item], tmp_path).read_text())[0]["proof"]["execution"]
    assert execution["samples_fitting"] == execution["samples_total"] == 16
    for values in (execution, execution["float32"], execution["fp16"]):
        assert values["passed"] is True
        assert values["samples"] == 16
    assert execution["snr_db"] == execution["float32"]["snr_db"] > execution["fp16"]["snr_db"] > 40
    assert execution["fp16"]["finite"] is True
    assert 0 < execution["fp16"]["loss"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["(1 if i < 8 else -1)", "(1 if i % 2 else -1)"])
def test_a_frozen_branch_is_not_proven_wherever_the_data_take_the_other(sign, tmp_path):
    text = BRANCHING.format(forward=FORWARDS["branch"], sign=sign, count=64, batch=1)
    item = exported(write_case(tmp_path, text))
    assert not item.proven
    assert any("in float32" in words and "40 dB are needed" in words for words in item.failures)
    values = item.to_json(item.path.parent)
    assert values["conversion"]["front_end"] == "torch.jit.trace"
    assert any("frozen" in words and "workload.py:11" in words for words in values["warnings"])
