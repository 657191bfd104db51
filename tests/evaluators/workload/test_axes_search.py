"""Where samples lie is found by running them together and alone, and everything follows it."""

import numpy as np
import pytest
import torch

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Failure
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.registry import registered_scores
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.data_options import DataOptions
from palettune.evaluators.workload.samples import joined, single_samples
from palettune.evaluators.workload.workload import Split, load_workload
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.evaluators import axes_cases as cases

FOUND = {  # inputs and outputs; None where each item is a sample
    "FIRST": ((), ()),
    "RECURRENT_TIME_FIRST": ((1,), (1,)),
    "TRANSFORMER_TIME_FIRST": ((1,), (1,)),
    "HIDDEN_OUT": ((1, 1), (0, 1)),
    "PAIR": ((0, None, 1), (0,)),
    "SHARED_OUTPUT": ((0,), (0, None)),
    "ONE_SAMPLE": None,
    "NO_BATCH": None,
    "NO_BATCH_STEPS": None,
    "CONTRAST": None,
}
BATCHED = [name for name, axes in FOUND.items() if axes is not None]


def workload_of(folder, text, **options):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workload.py").write_text(text)
    return load_workload(folder / "workload.py", DataOptions(**options))


def setting_of(folder, text, **options):
    workload = workload_of(folder, text, **options)
    weights = LayerWeights(workload.model, layers_of(workload.model), WeightBank(folder / "bank"))
    return WorkflowSetting(workload, weights, DivergenceKind.SQUARED_ERROR)


def configuration(setting, spelling):
    return Configuration({name: Encoding.parse(spelling) for name in setting.weights.layers})


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("batch", [1, 3])
def test_axes_are_found(tmp_path, name, batch):
    axes = workload_of(tmp_path, cases.case(getattr(cases, name), batch)).sampling.axes
    assert axes.whole is (FOUND[name] is None)
    if FOUND[name] is not None:
        assert (axes.inputs, axes.outputs) == FOUND[name]


@pytest.mark.parametrize("name", BATCHED)
def test_samples_taken_apart_and_joined_again_are_the_batches(tmp_path, name):
    workload = workload_of(tmp_path, cases.case(getattr(cases, name), 3))
    batches, axes = workload.batches(Split.EVALUATION), workload.sampling.axes
    singles = single_samples(batches, 10**9, axes)
    assert len(singles) == 3 * len(batches)
    for found, batch in zip(joined(singles, 3, axes), batches, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(found, batch.inputs, strict=True))
    workload.model.requires_grad_(False)
    for sample, number in ((singles[0], 0), (singles[4], 1)):
        whole, alone = workload.model(*batches[number].inputs), workload.model(*sample)
        whole, alone = (value if isinstance(value, tuple) else (value,) for value in (whole, alone))
        at = 0 if number == 0 else 1
        for place, (many, one) in enumerate(zip(whole, alone, strict=True)):
            rows = axes.rows(many, place)
            assert torch.allclose(rows[min(at, len(rows) - 1)], axes.rows(one, place)[0], atol=1e-5)


@pytest.mark.parametrize("name", BATCHED)
def test_figures_are_the_same_however_samples_are_batched(tmp_path, name):
    text = getattr(cases, name)
    setting = setting_of(tmp_path, cases.case(text, 3))
    evaluator = DataFreeEvaluator(setting)
    found = evaluator.measure(configuration(setting, "lut2"))
    assert len(found.by_sample) == 36
    axes = setting.workload.sampling.axes
    assembled = evaluator.assembler.assemble(configuration(setting, "lut2"))
    errors, energies = [], []
    with torch.no_grad():
        for sample in single_samples(setting.workload.batches(Split.EVALUATION), 10**9, axes):
            pairs = zip(*(_tuple(module(*sample)) for module in (assembled, setting.workload.model)), strict=True)
            values = [((a - b).square().sum(), b.square().sum()) for a, b in pairs]
            errors.append([float(error) for error, _ in values])
            energies.append([float(energy) for _, energy in values])
    expected = (np.array(errors) / np.array(energies).mean(0)).mean(1)
    assert np.allclose(found.by_sample, expected, rtol=1e-3, atol=1e-7)


def _tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUND)
def test_every_workflow_runs_and_scores_agree_with_what_is_measured(tmp_path, name):
    setting = setting_of(tmp_path, cases.case(getattr(cases, name), 2))
    sampling, evaluator = setting.workload.sampling, DataFreeEvaluator(setting)
    samples = single_samples(setting.workload.batches(Split.EVALUATION), 96, sampling.axes)
    columns = [(layer, Encoding.parse("lut4")) for layer in setting.weights.layers]
    energy = evaluator.reference.energy

    def scores(method, seed):
        given = (setting.workload.model, setting.weights, setting.kind, energy, seed)
        return (
            registered_scores()[method](ScoringSetting(*given, sampling=sampling))
            .score(columns, samples)
            .by_sample.mean(0)
        )

    predicted = np.mean([scores("fisher", seed) for seed in range(12)], axis=0)
    assert np.allclose(predicted, scores("isolated", 0), rtol=0.6)
    calibrated = CalibrationEvaluator(setting).evaluate(configuration(setting, "lut2"))
    assert not isinstance(calibrated, Failure), calibrated
    assert calibrated.evaluation.divergence <= 1.05 * evaluator.measure(configuration(setting, "lut2")).divergence
    tuned = FineTuningEvaluator(setting, FineTuningSetting(vector_steps=2, steps=2)).evaluate(
        configuration(setting, "lut4")
    )
    assert not isinstance(tuned, Failure), tuned


@pytest.mark.parametrize(("asked", "count"), [(0, 7 * 12), (1, 3 * 12), ("none", 12)])
def test_the_axis_that_is_asked_for_is_taken(tmp_path, asked, count):
    workload = workload_of(tmp_path, cases.case(cases.RECURRENT_TIME_FIRST, 3), batch_axis=asked)
    assert len(single_samples(workload.batches(Split.EVALUATION), 10**9, workload.sampling.axes)) == count


def test_metrics_get_outputs_joined_along_their_samples(tmp_path):
    text = "\ndef metrics(outputs, targets):\n    return {'axis': float(outputs.shape[1]) if torch.is_tensor(outputs) else -1.0}\n"
    first = workload_of(tmp_path / "time", cases.case(cases.RECURRENT_TIME_FIRST, 3) + text)
    outputs = [first.model(*batch.inputs) for batch in first.batches(Split.EVALUATION)]
    assert first.metrics(outputs) == {"axis": 36.0}
    none = workload_of(tmp_path / "none", cases.case(cases.NO_BATCH) + text)
    outputs = [none.model(*batch.inputs) for batch in none.batches(Split.EVALUATION)]
    assert none.metrics(outputs) == {"axis": -1.0}


def test_a_convolution_called_without_a_batch_is_matched_along_its_channels(tmp_path):
    setting = setting_of(tmp_path, cases.case(cases.NO_BATCH))
    evaluator = CalibrationEvaluator(setting)
    hurt = setting.workload.model.__class__()
    hurt.load_state_dict(setting.workload.model.state_dict())
    hurt.requires_grad_(False)
    hurt.body.bias += torch.linspace(-1, 1, 8)
    evaluator._moments.apply(hurt)
    assert torch.allclose(hurt.body.bias, setting.workload.model.body.bias, atol=1e-4)
