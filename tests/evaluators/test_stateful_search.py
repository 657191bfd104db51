"""Models that carry state, measured, scored and calibrated: figures are those of a plain loop, whatever ran before."""

import numpy as np
import pytest
import torch

from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.sensitivity.base import ScoringSetting, join_scores
from palettune.evaluators.sensitivity.registry import registered_scores
from palettune.evaluators.weights.model_state import model_digest
from palettune.evaluators.workflow.evaluator import WorkflowError
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Split
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.evaluators.stateful_cases import GRADIENTS, STATEFUL, fresh, stateful_setting


def configuration(setting, spelling):
    return Configuration({name: Encoding.parse(spelling) for name in setting.weights.layers})


def loop(text, weights, items, sequence):
    """Outputs of the model with these weights, made afresh wherever a sequence begins."""
    outputs = []
    for position, inputs in enumerate(items):
        if position % sequence == 0:
            network = fresh(text)
            for name, weight in weights.items():
                network.get_submodule(name).weight.data.copy_(weight)
        with torch.no_grad():
            outputs.append(network(*inputs).clone())
    return outputs


def divergence(text, setting, spelling, sequence=1000):
    items = [batch.inputs for batch in setting.workload.batches(Split.EVALUATION)]
    wanted = loop(text, {}, items, sequence)
    weights = {n: setting.weights.get(n, Encoding.parse(spelling)).weight for n in setting.weights.layers}
    found = loop(text, weights, items, sequence)
    energy = torch.stack([output.double().square().sum() for output in wanted]).mean()
    errors = [(one - other).double().square().sum() for one, other in zip(found, wanted, strict=True)]
    return float(torch.stack(errors).mean() / energy)


@pytest.mark.slow
@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("sequence", [None, 1, 5])
def test_a_figure_is_that_of_a_plain_loop_in_whatever_order_trials_run(tmp_path, name, sequence):
    text, _ = STATEFUL[name]
    setting = stateful_setting(tmp_path, text, sequence=sequence)
    evaluator = DataFreeEvaluator(setting)
    found = [evaluator.measure(configuration(setting, s)) for s in ("fp16", "lut2", "fp16", "lut2", "fp16")]
    for spelling, evaluation in zip(("fp16", "lut2"), found, strict=False):
        assert evaluation.divergence == pytest.approx(divergence(text, setting, spelling, sequence or 1000), rel=1e-4)
    assert found[0].by_sample == found[2].by_sample == found[4].by_sample
    assert found[1].by_sample == found[3].by_sample
    assert found[0].divergence < 1e-5 < found[1].divergence


@pytest.mark.slow
@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("method", ["fisher", "isolated"])
@pytest.mark.parametrize("sequence", [None, 4])
def test_scores_do_not_depend_on_how_they_are_split_nor_on_what_ran_before(tmp_path, name, method, sequence):
    setting = stateful_setting(tmp_path, STATEFUL[name][0], sequence=sequence)
    evaluator, sampling = DataFreeEvaluator(setting), setting.workload.sampling
    samples = single_samples(setting.workload.batches(Split.EVALUATION), 10, sampling.axes)
    columns = [(layer, Encoding.parse("lut2")) for layer in setting.weights.layers]

    def scorer():
        energy = evaluator.reference.energy
        return registered_scores()[method](
            ScoringSetting(setting.workload.model, setting.weights, setting.kind, energy, sampling=sampling)
        )

    whole = scorer().score(columns, samples)
    evaluator.measure(configuration(setting, "lut2"))
    answers = []
    for part in reversed(scorer().parts(len(columns), len(samples), 3)):
        first = part.samples.start
        given, before = samples[first : part.samples.stop], samples[sampling.begin(first) : first]
        chosen = columns[part.columns.start : part.columns.stop]
        answers.append((part, scorer().score(chosen, given, first, before)))
    assert np.array_equal(join_scores(answers).by_sample, whole.by_sample)
    assert (whole.by_sample.mean(axis=0) > 0).all()


def test_gradients_of_a_score_are_taken_from_the_state_that_earlier_items_leave(tmp_path):
    text, _ = STATEFUL["cache"]
    setting = stateful_setting(tmp_path, text)
    samples = [batch.inputs for batch in setting.workload.batches(Split.EVALUATION)][:4]
    columns = [("head", Encoding.parse("lut2"))]
    change = setting.weights.get(*columns[0]).weight - setting.weights.float_weight("head")
    scorer = registered_scores()["fisher"](
        ScoringSetting(
            setting.workload.model, setting.weights, setting.kind, (1.0,), sampling=setting.workload.sampling
        )
    )
    found = scorer.score(columns, samples).signed[:, 0]
    network, inner = fresh(text), []
    network.head.register_forward_pre_hook(lambda _, inputs: inner.append(inputs[0]))
    for inputs in samples:
        network(*inputs)
    for number, hidden in enumerate(inner):  # a linear head: the gradient of a projection is the outer product
        noise = torch.randn(1, 5, generator=torch.Generator().manual_seed(number))
        assert found[number] == pytest.approx(float((noise.T @ hidden * change).sum()), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cache", "hidden", "counter", "stream", "two_kinds"])
def test_calibration_finds_the_same_again_and_leaves_the_model_as_it_was(tmp_path, name):
    setting = stateful_setting(tmp_path, STATEFUL[name][0])
    digest = model_digest(setting.workload.model)
    evaluator = CalibrationEvaluator(setting)
    first, second = (evaluator.evaluate(configuration(setting, "lut2")) for _ in range(2))
    assert first.state.digest == second.state.digest
    assert first.evaluation.by_sample == second.evaluation.by_sample
    assert model_digest(setting.workload.model) == digest
    data_free = DataFreeEvaluator(setting).measure(configuration(setting, "lut2"))
    assert first.evaluation.divergence <= 1.05 * data_free.divergence


@pytest.mark.parametrize("evaluator", [FineTuningEvaluator, AdapterEvaluator])
def test_training_is_refused_with_the_names_of_the_state(tmp_path, evaluator):
    setting = stateful_setting(tmp_path, STATEFUL["cache"][0])
    with pytest.raises(WorkflowError, match="k_cache, v_cache"):
        evaluator(setting)
