"""A training: interrupted, damaged, not finite, without progress."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from palettune.evaluators.fine_tuning.optimizer import Optimizer
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.evaluators.workflow.evaluator import WorkflowResult
from palettune.testing.workloads import CONVOLUTIONS, setting_of
from tests.evaluators.fine_tuning.tuned import COUNTED, REAL, tuned


@pytest.mark.parametrize("stop", [7, 22])
@pytest.mark.slow
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
