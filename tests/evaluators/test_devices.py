"""Every stage runs on the device that it is given: on a second name for the CPU, exactly as on the CPU; on a GPU, nearly."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.adapters.setting import AdapterSetting
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.calibration.layer_statistics import layer_statistics
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.placement import CPU, placed
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.registry import registered_scores as registry
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Split
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.testing.workloads import NETWORKS, parse_configuration, setting_of
from tests.evaluators.every_use import every_layer, every_use, sentences
from tests.evaluators.pretended_device import ELSEWHERE, PretendedDevice

DEVICES = [
    ELSEWHERE,
    pytest.param(torch.device("cuda"), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")),
]
ENCODINGS = ("lut4", "int4", "sparse50")
TRAINING = FineTuningSetting(vector_steps=2, steps=3, held_out=8, validations=1)


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    """As in a worker: convolutions on a GPU compute in float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def passes(monkeypatch):
    """Whether each forward pass of the workload's model, or of a copy, was of one brought to another device."""
    seen: list[bool] = []
    ordinary = nn.Module.to

    def to(self, *args, **named):
        if args and isinstance(args[0], torch.device) and args[0] != CPU:
            for module in self.modules():
                vars(module)["brought"] = True
        return ordinary(self, *args, **named)

    def watch(module, _inputs):
        if "ours" in vars(module):
            seen.append("brought" in vars(module))

    monkeypatch.setattr(nn.Module, "to", to)
    handle = nn.modules.module.register_module_forward_pre_hook(watch)
    yield seen
    handle.remove()


def _setting(folder, network="convolutions"):
    """A setting whose model, and every copy of it, is known again."""
    setting = setting_of(folder, network)
    vars(setting.workload.model)["ours"] = True
    return setting


def _mixed(setting, activations=False):
    names = list(setting.weights.layers)
    encodings = {
        name: Encoding.parse(spelling) for name, spelling in zip(names, itertools.cycle(ENCODINGS), strict=False)
    }
    return Configuration(encodings, {names[-1]: Precision.INT8, names[-2]: Precision.INT8} if activations else {})


def _evaluate(setting, folder):
    evaluator = DataFreeEvaluator(setting)
    evaluator.measure(parse_configuration(setting, "lut4"))
    return evaluator.measure(_mixed(setting)).by_sample


def _confirm(setting, folder):
    return DataFreeEvaluator(setting, Split.CONFIRMATION).measure(_mixed(setting)).by_sample


def _score(name):
    def run(setting, folder):
        workload = setting.workload
        samples = single_samples(workload.batches(Split.CALIBRATION), 6)
        columns = [(layer, Encoding.parse(spelling)) for layer in setting.weights.layers for spelling in ENCODINGS]
        scoring = ScoringSetting(
            workload.model, setting.weights, setting.kind, (2.0,), sampling=workload.sampling, device=setting.device
        )
        return registry()[name](scoring).score(columns, samples).by_sample.mean(0)

    return run


def _state_values(outcome):
    """Everything of a state, on the CPU."""
    state = outcome.state
    assert not [gain.reason for gain in outcome.gains if "device" in (gain.reason or "")]
    held = [w.weight for w in state.weights.values()] + [v for w in state.weights.values() for v in w.buffers.values()]
    held += [*state.tensors.values(), *(v for b in state.branches.values() for v in (b.up, b.down))]
    assert all(value.device == CPU for value in held)
    return outcome.evaluation.by_sample


def _calibrate(setting, folder):
    setting = replace(setting, weights=_own_bank(setting, folder))
    return _state_values(CalibrationEvaluator(setting).evaluate(_mixed(setting, activations=True)))


def _training(setting):
    """Left to itself, a training takes a GPU where there is one."""
    return replace(TRAINING, device="cpu") if setting.device == CPU else TRAINING


def _fine_tune(setting, folder):
    return _state_values(FineTuningEvaluator(setting, _training(setting)).evaluate(_mixed(setting, activations=True)))


def _adapt(setting, folder):
    adapters = AdapterSetting(2, tuning=_training(setting))
    return _state_values(AdapterEvaluator(setting, adapters).evaluate(_mixed(setting)))


def _own_bank(setting, folder):
    """What calibration finds on one device is not to be found by another."""
    weights = setting.weights
    return type(weights)(weights._model, tuple(weights.layers.values()), WeightBank(folder, (weights.bank.folder,)))


# largest difference of any sample's divergence, or of any column's score, relative to the mean of all
STAGES = {
    "evaluation": (_evaluate, 1e-4),
    "confirmation": (_confirm, 1e-4),
    "fisher": (_score("fisher"), 1e-3),
    "isolated": (_score("isolated"), 1e-3),
    "calibration": (_calibrate, 0.05),  # a value midway between two table entries goes to either
    "fine_tuning": (_fine_tune, 0.25),  # in bfloat16 on a GPU
    "adapters": (_adapt, 0.25),
}


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("network", ["convolutions", "transformer"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_where_it_is_told_and_finds_the_same(stage, network, device, tmp_path, passes):
    run, tolerance = STAGES[stage]
    setting = _setting(tmp_path, network)
    wanted = run(setting, tmp_path / "here")
    passes.clear()
    with PretendedDevice() if device == ELSEWHERE else nullcontext():
        found = run(replace(setting, device=device), tmp_path / "there")
    there = (
        passes if stage not in ("fine_tuning", "adapters") else passes[1:]
    )  # one asks whether gradients can be taken
    assert there, "the stage ran no model"
    assert all(there), "a model ran on the CPU"
    if device == ELSEWHERE:
        assert found == pytest.approx(wanted, rel=1e-12)
    scale = float(np.mean(wanted))
    assert scale > 0
    assert np.abs(np.asarray(found) - np.asarray(wanted)).max() <= tolerance * scale


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_uses_of_weights_are_seen_wherever_the_model_is(device):
    model, layers, samples = every_use(), every_layer(), sentences(4)
    wanted = layer_statistics(model, layers, samples, samples)
    with PretendedDevice() if device == ELSEWHERE else nullcontext():
        found = layer_statistics(placed(model, device), layers, samples, samples)
        assert {name: statistics.gram.device.type for name, statistics in found.items()} == dict.fromkeys(
            wanted, device.type
        )
        grams = {name: statistics.gram.to(CPU) for name, statistics in found.items()}
    assert all(torch.allclose(grams[name], one.gram, rtol=1e-3, atol=1e-5) for name, one in wanted.items())


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_without_a_device_no_model_leaves_the_cpu(stage, tmp_path, passes):
    run, _ = STAGES[stage]
    run(_setting(tmp_path), tmp_path / "here")
    assert passes
    assert not any(passes)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_networks_of_every_kind_are_evaluated_on_a_gpu(network, tmp_path):
    setting = setting_of(tmp_path, network)
    here = DataFreeEvaluator(setting).measure(parse_configuration(setting, "lut4"))
    there = DataFreeEvaluator(replace(setting, device=torch.device("cuda"))).measure(
        parse_configuration(setting, "lut4")
    )
    assert there.by_sample == pytest.approx(here.by_sample, rel=1e-3)


def test_calibrated_weights_of_another_device_are_not_taken(tmp_path):
    setting = setting_of(tmp_path)
    here = CalibrationEvaluator(setting)
    there = CalibrationEvaluator(replace(setting, device=ELSEWHERE))
    assert "device" not in here.identity
    assert there.identity["device"] == "cpu"


def _little_memory(samples):
    """From now on networks that were brought to a device fail on more samples than that."""

    def watch(module, inputs):
        if {"ours", "brought"} <= vars(module).keys() and len(inputs[0]) > samples:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory (said by a test)")

    return nn.modules.module.register_module_forward_pre_hook(watch)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_goes_on_with_smaller_batches_where_memory_runs_out(stage, tmp_path, passes):
    run, _ = STAGES[stage]
    setting = _setting(tmp_path)
    wanted = run(setting, tmp_path / "much")
    handle = _little_memory(3)
    try:
        found = run(replace(setting, device=ELSEWHERE), tmp_path / "little")
    finally:
        handle.remove()
    if stage == "calibration":  # moments are matched on fewer samples
        assert np.mean(found) < np.mean(_evaluate(setting, tmp_path))
    else:
        assert np.abs(np.asarray(found) - np.asarray(wanted)).max() <= 1e-3 * float(np.mean(wanted))
