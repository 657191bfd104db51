"""The model in training, and steps over several batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.fine_tuning.trained_model import TrainedModel, TrainedPart
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.testing.workloads import CONVOLUTIONS, TRANSFORMER, parse_configuration, setting_of
from tests.evaluators.every_use import every_setting, sentences

TIED = TRANSFORMER.replace(
    "    def forward(self, words):",
    "        self.unembed = nn.Linear(32, 50, bias=False)\n        self.unembed.weight = self.tokens.weight\n\n"
    "    def forward(self, words):",
).replace("self.norm2(x + self.down(F.gelu(self.up(x)))).mean(1)", "self.unembed(self.norm2(x)).mean(1)")


def test_a_weight_that_two_modules_hold_is_trained_as_one(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, TIED)
    configuration = parse_configuration(setting, "lut4")
    assert "unembed" not in configuration.encodings
    state = ModelState.data_free(configuration, setting.weights, model_digest(setting.workload.model))
    model = TrainedModel(
        setting.workload.model, state, setting.weights.layers, TrainedPart.EVERYTHING, False, torch.device("cpu")
    )
    inputs = setting.workload.example_inputs
    before = model(inputs)
    assert torch.allclose(before, state.apply(setting.workload.model)(*inputs), atol=1e-5)
    with torch.no_grad():
        model.weights["tokens"].tables.entries *= 2
    after = model.state().apply(setting.workload.model)
    assert torch.equal(after.tokens.weight, after.unembed.weight)
    assert torch.allclose(model(inputs), after(*inputs), atol=1e-4)
    assert not torch.allclose(model(inputs), before, atol=1e-2)


def test_one_step_over_two_batches_is_a_step_over_both(tmp_path: Path) -> None:
    """But for the workload's own loss, both are means over as many samples."""
    data = "\ndef training_data():\n    yield from _data(4, 1)\n    for inputs, targets in _data(5, 1, {whole}):\n"
    data += "        for at in range(0, {whole}, {part}):\n"
    data += "            yield (inputs[0][at : at + {part}],), targets[at : at + {part}]\n"
    states = []
    for accumulation, part in ((1, 16), (2, 8)):
        setting = setting_of(tmp_path / str(part), CONVOLUTIONS + data.format(whole=16, part=part))
        tuning = FineTuningSetting(vector_steps=1, steps=0, accumulation=accumulation, held_out=4)
        found = FineTuningEvaluator(setting, tuning).evaluate(parse_configuration(setting, "lut2"))
        assert found.gains[0].kept
        states.append(found.state)
    for name, values in states[0].tensors.items():
        assert torch.allclose(values, states[1].tensors[name], atol=1e-4), name


@pytest.mark.parametrize("part", list(TrainedPart))
def test_what_is_trained_is_what_the_part_says(part: TrainedPart, tmp_path: Path) -> None:
    setting = setting_of(tmp_path, "recurrent")
    state = ModelState.data_free(
        parse_configuration(setting, "lut2"), setting.weights, model_digest(setting.workload.model)
    )
    model = TrainedModel(setting.workload.model, state, setting.weights.layers, part, False, torch.device("cpu"))
    names = set(model.parameters())
    vectors = {"inside.bias", "outside.bias", "cell.bias_ih_l0", "cell.bias_hh_l0"}
    more = {"cell.weight_ih_l0", "cell.weight_hh_l0"}
    more |= {f"{layer}/{name}" for layer in ("inside", "outside") for name in ("latent", "tables.entries")}
    assert names == (vectors if part is TrainedPart.VECTORS else vectors | more)


def test_weights_that_are_no_modules_learn(tmp_path: Path) -> None:
    setting = every_setting(tmp_path)
    float_model, layers = setting.workload.model, setting.weights.layers
    encodings = dict.fromkeys(layers, Encoding.parse("int4")) | {"gru.weight_ih_l0.1": Encoding.parse("lut2")}
    state = ModelState.data_free(Configuration(encodings), setting.weights, model_digest(float_model))
    model = TrainedModel(float_model, state, layers, TrainedPart.EVERYTHING, False, torch.device("cpu"))
    inputs = torch.cat([words for (words,) in sentences(16)])
    with torch.no_grad():
        wanted = float_model(inputs)
    assert torch.allclose(model((inputs,)), state.apply(float_model)(inputs), atol=1e-4)
    parameters = {name: parameter for name, (parameter, _) in model.parameters().items()}
    optimizer = torch.optim.Adam(parameters.values(), 1e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = (model((inputs,)) - wanted).square().mean()
        loss.backward()
        losses.append(float(loss))
        reached = {name.partition("/")[0] for name, parameter in parameters.items() if parameter.grad is not None}
        optimizer.step()
    assert set(layers) <= reached
    assert losses[-1] < 0.6 * losses[0]
    after = model.state()
    assert all(len(after.weights[name].weight.unique()) <= 4 for name in ("gru.weight_ih_l0.1",))
    assert torch.allclose(model((inputs,)), after.apply(float_model)(inputs), atol=1e-3)
