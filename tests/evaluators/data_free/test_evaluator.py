"""The data-free evaluator against plain forward passes."""

import numpy as np
import pytest
import torch

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Rival, Screened, Stage
from palettune.evaluators.weights.assembly import Assembler, LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.workload import load_workload
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.search.conftest import WORKLOAD

FP16, LUT2, LUT8 = (Encoding.parse(name) for name in ("fp16", "lut2", "lut8"))


@pytest.fixture
def evaluator(tmp_path):
    return build(tmp_path, WORKLOAD)


def build(tmp_path, text):
    path = tmp_path / "workload.py"
    path.write_text(text)
    workload = load_workload(path)
    layers = layers_of(workload.model)
    weights = LayerWeights(workload.model, layers, WeightBank(tmp_path / "bank"))
    return DataFreeEvaluator(WorkflowSetting(workload, weights, DivergenceKind.KL))


def uniform(evaluator, encoding, **others):
    names = evaluator.assembler.weights.layers
    return Configuration({name: Encoding.parse(others.get(name, str(encoding))) for name in names})


def test_an_evaluation_is_a_plain_forward_pass_with_the_assembled_weights(evaluator):
    configuration = uniform(evaluator, LUT2, head="lut8")
    found = evaluator.measure(configuration)
    assert isinstance(found, Evaluation)
    module = evaluator.workload.model
    float_weights = {name: value.clone() for name, value in module.state_dict().items()}
    fresh = Assembler(module, evaluator.assembler.weights).assemble(configuration)
    assert fresh.get_submodule("head").weight.unique().numel() > 4
    assert fresh.get_submodule("stem").weight.unique().numel() <= 4
    batches = evaluator.workload.batches(evaluator.split)
    with torch.inference_mode():
        expected = torch.cat([evaluator.reference.by_sample(i, fresh(*b.inputs)) for i, b in enumerate(batches)])
    assert np.allclose(found.by_sample, expected)
    assert found.divergence == pytest.approx(float(expected.mean()))
    assert all(torch.equal(float_weights[name], value) for name, value in module.state_dict().items())
    assert Evaluation.from_json(found.to_json()) == found


def test_the_order_of_evaluations_does_not_matter(evaluator):
    configurations = [uniform(evaluator, FP16), uniform(evaluator, LUT2), uniform(evaluator, LUT8, head="lut2")]
    first = [evaluator.measure(c).by_sample for c in configurations]
    again = [evaluator.measure(c).by_sample for c in reversed(configurations)]
    assert first == again[::-1]


def test_a_failing_forward_pass_and_a_non_finite_one_are_failures_with_a_stage(tmp_path):
    broken = WORKLOAD.replace(
        "return self.classes(torch.relu(self.head(x)))",
        "y = self.classes(torch.relu(self.head(x)))\n"
        "        few = self.classes.weight.detach().unique().numel()\n"
        "        if few <= 2: raise RuntimeError('too few')\n"
        "        return y * (float('inf') if few <= 4 else 1.0)",
    )
    evaluator = build(tmp_path, broken)
    failed = evaluator.measure(uniform(evaluator, LUT8, classes="lut1"))
    assert isinstance(failed, Failure)
    assert failed.stage is Stage.FORWARD
    assert "too few" in failed.reason
    assert "not finite" in evaluator.measure(uniform(evaluator, LUT8, classes="lut2")).reason
    assert isinstance(evaluator.measure(uniform(evaluator, LUT8)), Evaluation)


@pytest.mark.slow
def test_a_sure_loser_is_screened_on_its_first_samples_and_others_are_not(evaluator):
    good, bad = (evaluator.measure(uniform(evaluator, e)) for e in (LUT8, LUT2))
    screened = evaluator.measure(uniform(evaluator, LUT2), (Rival(3, good.by_sample),), screen=8)
    assert isinstance(screened, Screened)
    assert (screened.rival, screened.samples) == (3, 8)
    assert screened.excess == pytest.approx(np.mean(bad.by_sample[:8]) - np.mean(good.by_sample[:8]))
    assert evaluator.measure(uniform(evaluator, LUT8), (Rival(3, bad.by_sample),), screen=8) == evaluator_like(
        good, evaluator
    )
    assert isinstance(evaluator.measure(uniform(evaluator, LUT2), (Rival(3, good.by_sample),), screen=0), Evaluation)


def evaluator_like(evaluation, evaluator):
    """Equal but for the seconds."""

    class Same:
        def __eq__(self, other):
            return isinstance(other, Evaluation) and other.by_sample == evaluation.by_sample

    return Same()
