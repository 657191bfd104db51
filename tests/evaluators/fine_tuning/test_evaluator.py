"""Fine-tuning of small networks of several kinds, and everything that may go wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.optimizer import Optimizer
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.fine_tuning.training_data import TrainingDataError
from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.evaluators.registry import registered_workflows
from palettune.evaluators.weights.model_state import DATA_FREE
from palettune.evaluators.workflow.evaluator import WorkflowResult
from palettune.evaluators.workload.workload import WorkloadError
from palettune.space.configuration import Configuration, Precision
from palettune.testing.workloads import CONVOLUTIONS, NETWORKS, configuration_of, setting_of
from tests.evaluators.gradient_cases import HALVES

MIXED = {
    "convolutions": ("lut2", {"depthwise": "int4", "project": "sparse75+lut4", "classes": "lut4-scaled"}),
    "transformer": ("int4", {"tokens": "lut3-g10", "query": "lut4-v2", "up": "sparse2:4", "down": "sparse50+int8"}),
    "recurrent": ("lut2", {"outside": "uint4-asym"}),
    "audio": ("lut2", {"second": "sparse50", "back": "lut3-int8"}),
}
SHORT = FineTuningSetting(vector_steps=20, steps=40, held_out=8)


def tuned(setting, spelling="lut2", tuning=SHORT, start=None, **others) -> WorkflowResult | Failure:
    return FineTuningEvaluator(setting, tuning).evaluate(configuration_of(setting, spelling, **others), start)


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_of_several_kinds_come_nearer_to_their_float_model(network: str, tmp_path: Path) -> None:
    spelling, others = MIXED[network]
    setting = setting_of(tmp_path, network, without=["loss"])
    start = registered_workflows()["data_free"](setting).evaluate(configuration_of(setting, spelling, **others))
    found = tuned(setting, spelling, start=start, **others)
    assert isinstance(found, WorkflowResult)
    assert found.evaluation.divergence < 0.8 * start.evaluation.divergence
    assert [gain.method for gain in found.gains] == ["norms_and_biases", "everything"]
    assert any(gain.kept for gain in found.gains)
    for name, weight in found.state.weights.items():
        assert set(weight.buffers) == set(start.state.weights[name].buffers)


def test_activations_in_8_bits_are_trained_with(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, "transformer", without=["loss"])
    plain = configuration_of(setting, "int4")
    asked = Configuration(plain.encodings, dict.fromkeys(("query", "up", "down"), Precision.INT8))
    rounded = FineTuningEvaluator(setting, replace(SHORT, vector_steps=0, steps=0)).evaluate(asked)
    found = FineTuningEvaluator(setting, SHORT).evaluate(asked)
    assert set(found.state.activations) == {"query", "up", "down"}
    assert found.state.configuration == asked
    assert found.evaluation.divergence < 0.9 * rounded.evaluation.divergence
    again = FineTuningEvaluator(setting, replace(SHORT, steps=0)).evaluate(asked, found)
    assert again.state.activations == found.state.activations
    embedded = Configuration(plain.encodings, {"tokens": Precision.INT8})
    failed = FineTuningEvaluator(setting, SHORT).evaluate(embedded)
    assert isinstance(failed, Failure)
    assert (failed.stage, failed.layer) == (Stage.CALIBRATE, "tokens")


def test_norms_and_biases_alone_leave_every_weight_as_it_was(tmp_path: Path) -> None:
    setting = setting_of(tmp_path)
    start = registered_workflows()["data_free"](setting).evaluate(configuration_of(setting, "lut2"))
    found = tuned(setting, tuning=FineTuningSetting(vector_steps=30, steps=0, held_out=8))
    assert set(found.state.methods.values()) == {DATA_FREE}
    assert all(torch.equal(w.weight, start.state.weights[n].weight) for n, w in found.state.weights.items())
    assert set(found.state.tensors) == {
        *("norm.weight", "norm.bias", "norm2.weight", "norm2.bias", "project.bias", "classes.bias")
    }
    assert found.evaluation.divergence < start.evaluation.divergence


def test_what_does_not_gain_is_not_kept(tmp_path: Path) -> None:
    setting = setting_of(tmp_path)
    start = registered_workflows()["data_free"](setting).evaluate(configuration_of(setting, "fp16"))
    found = tuned(setting, "fp16", FineTuningSetting(vector_steps=2, steps=2, rate=0.9, vector_rate=0.9, held_out=8))
    assert not any(gain.kept for gain in found.gains)
    assert found.state.digest == start.state.digest
    assert found.evaluation.divergence == pytest.approx(start.evaluation.divergence)


@pytest.mark.parametrize("stop", [7, 22])
def test_a_killed_training_goes_on_with_the_same_result(stop: int, tmp_path: Path, monkeypatch) -> None:
    tuning = FineTuningSetting(vector_steps=10, steps=20, held_out=8, checkpoints=5, accumulation=2)
    others = {"project": "sparse75", "classes": "int4"}
    whole = tuned(setting_of(tmp_path / "whole"), "lut2", tuning, **others)
    step, done = Optimizer.step, []

    def killed(self, number):
        done.append(number)
        if len(done) == stop:
            raise KeyboardInterrupt
        step(self, number)

    setting = replace(setting_of(tmp_path / "killed"), folder=tmp_path / "checkpoints")
    monkeypatch.setattr(Optimizer, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        tuned(setting, "lut2", tuning, **others)
    assert list((tmp_path / "checkpoints").iterdir())
    before = len(done)
    found = tuned(setting, "lut2", tuning, **others)
    assert found.state.digest == whole.state.digest
    assert found.gains == whole.gains
    assert len(done) - before < 30 - (stop - 1) // 4 * 2
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, monkeypatch) -> None:
    tuning = FineTuningSetting(vector_steps=10, steps=0, held_out=8, checkpoints=5)
    setting = replace(setting_of(tmp_path), folder=tmp_path / "checkpoints")
    step = Optimizer.step

    def failing(self, number):
        if number == 8:
            raise OSError("no power")
        step(self, number)

    monkeypatch.setattr(Optimizer, "step", failing)
    with pytest.raises(OSError, match="no power"):
        tuned(setting, tuning=tuning)
    (path,) = (tmp_path / "checkpoints").iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    monkeypatch.setattr(Optimizer, "step", step)
    assert tuned(setting, tuning=tuning).state.digest == tuned(setting_of(tmp_path / "b"), tuning=tuning).state.digest


COUNTED = CONVOLUTIONS + "\ncalls = []\ndef loss(outputs, targets):\n    calls.extend([1] * torch.is_grad_enabled())\n"
REAL = "F.cross_entropy(outputs, targets)"


def test_a_loss_that_is_nan_at_step_0_is_a_failure(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, COUNTED + f"    return {REAL} * float('nan')\n")
    found = tuned(setting)
    assert isinstance(found, Failure)
    assert found.stage is Stage.TRAIN
    assert "norms_and_biases" in found.reason
    assert "not finite at step 0" in found.reason


def test_a_model_that_gives_nan_at_step_0_names_its_layer(tmp_path: Path) -> None:
    scale = (
        "class Scale(nn.Module):\n    def forward(self, x):\n"
        "        return x * (float('nan') if torch.is_grad_enabled() else 1.0)\n"
    )
    broken = CONVOLUTIONS.replace("self.project(x)", "self.scale(self.project(x))")
    broken = scale + broken.replace("        self.project =", "        self.scale = Scale()\n        self.project =")
    found = tuned(setting_of(tmp_path, broken))
    assert isinstance(found, Failure)
    assert "step 0" in found.reason


def test_a_loss_that_is_nan_later_keeps_the_best_and_says_the_step(tmp_path: Path) -> None:
    setting = setting_of(
        tmp_path,
        COUNTED + f"    return {REAL} * (float('nan') if len(calls) > 30 and torch.is_grad_enabled() else 1)\n",
    )
    tuning = FineTuningSetting(vector_steps=0, steps=100, held_out=8, validations=20, patience=20)
    found = tuned(setting, tuning=tuning)
    assert isinstance(found, WorkflowResult)
    (note,) = [words for words in found.notes if "not finite" in words]
    assert "everything: the loss of training is not finite at step 30" in note
    assert "the best state before it is kept" in note


def test_a_training_function_that_raises_is_said_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"workload\.py: loss\(\) failed: KeyError"):
        tuned(setting_of(tmp_path / "a", COUNTED + "    raise KeyError('label')\n"))
    with pytest.raises(WorkloadError, match=r"loss\(\) returned shape \(8,\)"):
        tuned(setting_of(tmp_path / "b", COUNTED + "    return F.cross_entropy(outputs, targets, reduction='none')\n"))
    with pytest.raises(WorkloadError, match=r"loss\(\) returned a tensor without gradient"):
        tuned(setting_of(tmp_path / "c", COUNTED + f"    return {REAL}.detach()\n"))
    failing = CONVOLUTIONS + "\ndef training_data():\n    yield from _data(4, 2)\n    raise OSError('disk')\n"
    with pytest.raises(WorkloadError, match=r"training_data\(\) failed at item 2: OSError: disk"):
        tuned(setting_of(tmp_path / "d", failing))


def test_too_little_data_is_said(tmp_path: Path) -> None:
    few = CONVOLUTIONS + "\ndef training_data():\n    yield from _data(4, 1)\n"
    with pytest.raises(TrainingDataError, match="gives 8 samples in 1 batches"):
        tuned(setting_of(tmp_path, few))


def test_calibration_data_do_where_there_is_no_training_data(tmp_path: Path) -> None:
    assert isinstance(tuned(setting_of(tmp_path / "a", without=["training_data"])), WorkflowResult)
    setting = setting_of(tmp_path / "b", without=["training_data", "calibration_data"])
    assert "training_data() or calibration_data()" in FineTuningEvaluator.missing(setting.workload)


def test_data_that_repeat_or_change_are_warned_of(tmp_path: Path) -> None:
    repeating = CONVOLUTIONS + "\ndef training_data():\n    yield from _data(1, 2)\n    yield from _data(4, 2)\n"
    assert any("repeats 16 samples" in words for words in tuned(setting_of(tmp_path / "a", repeating)).notes)
    changing = (
        CONVOLUTIONS
        + "\npasses = []\ndef training_data():\n    passes.append(1)\n    yield from _data(4 + len(passes), 4)\n"
    )
    assert any("other batches in each pass" in words for words in tuned(setting_of(tmp_path / "b", changing)).notes)
    assert not tuned(setting_of(tmp_path / "c")).notes


def test_a_part_that_no_gradient_reaches_is_left_and_said(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, HALVES.replace("CUT", "hidden.detach()"), without=["loss"])
    found = tuned(setting, "lut2")
    assert isinstance(found, WorkflowResult)
    assert [gain.method for gain in found.gains] == ["everything"]
    assert any("norms_and_biases: no gradient reaches" in note for note in found.notes)


def test_a_training_without_gradients_fails_with_its_reason(tmp_path: Path, monkeypatch) -> None:
    """Where the evaluation data have gradients and the training data do not."""
    monkeypatch.setattr(FineTuningEvaluator, "missing", classmethod(lambda _cls, _workload: None))
    setting = setting_of(tmp_path, HALVES.replace("CUT", "hidden).detach("), without=["loss"])
    found = tuned(setting, "lut2")
    assert isinstance(found, Failure)
    assert found.stage is Stage.TRAIN
    assert "no gradient reaches anything that is trained: the forward pass runs under torch.no_grad" in found.reason
