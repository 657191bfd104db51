"""Adapters beside frozen compressed networks, separate and merged."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.package import weight_bytes
from palettune.evaluators.adapters.adapted_model import AdapterError
from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.adapters.setting import AdapterPlacement, AdapterSetting
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.weights.model_state import ModelState
from palettune.evaluators.workflow.evaluator import WorkflowResult
from palettune.space.target import DeploymentTarget
from palettune.testing.workloads import parse_configuration, setting_of

TUNING = FineTuningSetting(vector_steps=0, steps=60, rate=0.01, table_rate=0.03, held_out=8)
SETTING = AdapterSetting(rank=2, tuning=TUNING)


def pair(
    folder: Path, network: str, adapters: AdapterSetting, spelling: str = "lut2"
) -> tuple[WorkflowResult, WorkflowResult]:
    setting = setting_of(folder, network, without=["loss"])
    start = DataFreeEvaluator(setting).evaluate(parse_configuration(setting, spelling))
    found = AdapterEvaluator(setting, adapters).evaluate(start.state.configuration, start)
    assert isinstance(found, WorkflowResult), str(found)
    return start, found


@pytest.mark.slow
@pytest.mark.parametrize("network", ["convolutions", "transformer", "audio"])
def test_separate_adapters_bring_networks_nearer_and_leave_weights_alone(network: str, tmp_path: Path) -> None:
    start, found = pair(tmp_path, network, replace(SETTING, rank=1))
    assert found.evaluation.divergence < 0.95 * start.evaluation.divergence
    assert found.state.branches
    assert all(torch.equal(w.weight, start.state.weights[n].weight) for n, w in found.state.weights.items())
    read = ModelState.load(found.state.save(tmp_path / "states"))
    assert read.digest == found.state.digest
    assert read.branch_bytes == found.state.branch_bytes > 0


@pytest.mark.slow
def test_their_bytes_are_those_of_the_package(tmp_path: Path) -> None:
    start, found = pair(tmp_path, "transformer", SETTING)
    setting = setting_of(tmp_path / "again", "transformer")
    sizes = []
    for outcome in (start, found):
        path = tmp_path / f"{len(sizes)}.mlpackage"
        module = outcome.state.apply(setting.workload.model)
        convert(module, setting.workload.example_inputs, DeploymentTarget.IOS18).save(str(path))
        sizes.append(weight_bytes(path))
    assert abs(sizes[1] - sizes[0] - found.state.branch_bytes) < 64


def test_merged_adapters_keep_the_encoding_and_are_kept_only_where_they_gain(tmp_path: Path) -> None:
    start, found = pair(tmp_path, "transformer", replace(SETTING, placement=AdapterPlacement.MERGED), "int8")
    assert not found.state.branches
    for name, weight in found.state.weights.items():
        assert torch.equal(
            weight.buffers["quantization_scale"], start.state.weights[name].buffers["quantization_scale"]
        )
    (gain,) = found.gains
    assert gain.kept == (found.state.digest != start.state.digest)
    assert found.evaluation.divergence <= start.evaluation.divergence or gain.kept


def test_no_layer_and_no_peft_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = setting_of(tmp_path)
    configuration = parse_configuration(setting, "lut4")
    nothing = AdapterEvaluator(setting, replace(SETTING, rank=1000)).evaluate(configuration)
    assert "no layer is large enough" in nothing.gains[0].reason
    assert any(note.startswith("no adapter beside stem, ") and "rank 1000" in note for note in nothing.notes)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(AdapterError, match=r"pip install 'palettune\[adapters\]'"):
        AdapterEvaluator(setting, replace(SETTING, layers=("project",))).evaluate(configuration)
