"""Constants that ops take as they are, from the model to the proven package, on both routes."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import palettune as pt
from palettune.evaluators.fine_tuning.trained_model import TrainedModel, TrainedPart
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.fisher import FisherScore
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.search.preparation.preparation import prepare
from palettune.search.results.observer import SearchObserver
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.layer import LayerKind
from palettune.space.target import DeploymentTarget
from tests.search.preparation.placed import placed

COUNT, WIDTH = 32, 64


class Windows(nn.Module):
    """Adds a bias to attention that is looked up from a table of relative positions, as Swin does."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(2 * COUNT - 1, 2))
        steps = torch.arange(COUNT)
        self.register_buffer("index", steps[:, None] - steps[None] + COUNT - 1)
        mask = torch.zeros(COUNT, COUNT).masked_fill_(torch.ones(COUNT, COUNT).triu(1) > 0, -100.0)
        self.register_buffer("mask", mask)
        self.project = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.project(x).reshape(-1, COUNT, 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(COUNT, COUNT, 2).permute(2, 0, 1).contiguous().unsqueeze(0)
        scores = (parts[0] @ parts[1].transpose(-1, -2)) / 6 + bias
        scores = scores + self.mask
        return (scores.softmax(-1) @ parts[2]).transpose(1, 2).reshape(-1, COUNT, WIDTH)


class Everything(nn.Module):
    """Tables that are added, multiplied, joined, chosen from, and multiplied as a stack of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, COUNT, WIDTH))
        self.register_buffer("gains", torch.rand(COUNT, WIDTH) + 0.5)
        self.tokens = nn.Parameter(torch.randn(1, 16, WIDTH))
        self.absent = nn.Parameter(torch.randn(COUNT + 16, WIDTH))
        self.experts = nn.Parameter(torch.randn(2, WIDTH, WIDTH) / 8)
        self.small = nn.Parameter(torch.randn(1, WIDTH))
        self.windows, self.head = Windows(), nn.Linear(WIDTH, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.windows((x + self.positions) * self.gains) + self.small
        x = torch.cat([self.tokens.expand(len(x), -1, -1), x], 1)
        x = torch.where(x > -1.5, x, self.absent)
        return self.head((x.unsqueeze(1) @ self.experts).sum(1))


#: What becomes of each tensor that an op takes as it is.
OPERANDS = {
    "positions": (1, COUNT, WIDTH),
    "gains": (COUNT, WIDTH),
    "tokens": (1, 16, WIDTH),
    "absent": (COUNT + 16, WIDTH),
    "experts": (2, WIDTH, WIDTH),
    "windows.table_computed": (2, COUNT, COUNT),
    "windows.mask": (COUNT, COUNT),
}


class Workload:
    def __init__(self, source: nn.Module | str) -> None:
        self.source = source

    def model(self) -> nn.Module | str:
        return copy.deepcopy(self.source)

    def example_inputs(self) -> tuple[Tensor, ...]:
        torch.manual_seed(1)
        return (torch.randn(1, COUNT, WIDTH),)

    def evaluation_data(self) -> Iterator[tuple[tuple[Tensor, ...], None]]:
        torch.manual_seed(2)
        for _ in range(2):
            yield (torch.randn(2, COUNT, WIDTH),), None


def made() -> Everything:
    torch.manual_seed(0)
    return Everything().eval()


ENCODINGS = ("fp16", "lut8", "lut4", "int8", "lut4-g16", "sparse50")


def experiment(source, encodings=ENCODINGS) -> pt.Experiment:
    return pt.Experiment(name="operands", workload=Workload(source), space={"encodings": encodings, "groups": "none"})


@pytest.fixture(scope="module")
def preparation():
    return prepare(experiment(made()))


def mixed(preparation) -> Configuration:
    menus = preparation.space.menus
    return Configuration(
        {
            layer.name: menus[layer.name].encodings[(index + 1) % len(menus[layer.name].encodings)]
            for index, layer in enumerate(preparation.layers)
        }
    )


def test_large_tensors_that_ops_take_as_they_are_are_layers(preparation):
    found = {layer.name: layer for layer in preparation.layers if layer.kind is LayerKind.OPERAND}
    assert {name: layer.shape[-len(OPERANDS[name]) :] for name, layer in found.items()} == OPERANDS
    assert preparation.coverage > 0.99
    assert {layer.name for layer in preparation.layers} - found.keys() == {"windows.project", "head"}


def test_nothing_of_an_operand_is_pruned(preparation):
    refused = preparation.space.menus["windows.mask"].refused
    assert "zeros in a mask" in refused[Encoding.parse("sparse50")]
    assert Encoding.parse("sparse50") in preparation.space.menus["head"].encodings


def test_its_encodings_change_the_outputs_whatever_the_number_of_samples(preparation):
    model, (x,) = preparation.workload.model, preparation.workload.example_inputs
    for name in OPERANDS:
        changed = copy.deepcopy(model)
        layer = next(layer for layer in preparation.layers if layer.name == name)
        with torch.no_grad():
            tensor = dict((*changed.named_parameters(), *changed.named_buffers()))[layer.tensor]
            tensor.mul_(-0.5)
            for inputs in (x, torch.cat([x, x])):
                assert not torch.allclose(changed(inputs), model(inputs), atol=1e-3), name


def test_scores_and_training_reach_them(preparation, tmp_path):
    model = preparation.workload.model
    weights = LayerWeights(model, preparation.layers, WeightBank(tmp_path))
    configuration = Configuration({layer.name: Encoding.parse("lut4") for layer in preparation.layers})
    start = ModelState.data_free(configuration, weights, model_digest(model))
    layers = {layer.name: layer for layer in preparation.layers}
    trained = TrainedModel(model, start, layers, TrainedPart.EVERYTHING, False, torch.device("cpu"))
    functional.mse_loss(trained.outputs(preparation.workload.example_inputs), torch.zeros(1, COUNT + 16, 16)).backward()
    for name in OPERANDS:
        gradients = [p.grad for p in trained.weights[name].parameters() if p.grad is not None]
        assert any(bool(gradient.any()) for gradient in gradients), name


@pytest.mark.slow
@pytest.mark.parametrize("target", [DeploymentTarget.IOS16, DeploymentTarget.IOS18])
def test_packages_are_proven_on_both_routes_with_equal_sizes(target, tmp_path):
    encodings = [name for name in ENCODINGS if target is DeploymentTarget.IOS18 or name != "lut4-g16"]
    asked = experiment(made(), encodings).model_copy(update={"deployment_target": target})
    found = prepare(asked)
    (item,) = pt.apply(mixed(found), asked, out=tmp_path / "out", root=tmp_path / "runs").export
    assert item.proven, item.failures
    assert item.weight_bytes == item.predicted_weight_bytes
    plain = Configuration({layer.name: Encoding.parse("fp16") for layer in found.layers})
    (whole,) = pt.apply(plain, asked, out=tmp_path / "whole", root=tmp_path / "runs").export
    assert whole.proven, whole.failures
    package = experiment(str(whole.path), encodings).model_copy(update={"deployment_target": target, "name": "package"})
    again = prepare(package)
    assert sorted(layer.parameters for layer in again.layers) == sorted(layer.parameters for layer in found.layers)
    assert again.reach.smallest_bytes == pytest.approx(found.reach.smallest_bytes, rel=0.01)
    (rewritten,) = pt.apply(mixed(again), package, out=tmp_path / "again", root=tmp_path / "runs").export
    assert rewritten.proven, rewritten.failures
    assert rewritten.weight_bytes == rewritten.predicted_weight_bytes


@pytest.mark.slow
def test_a_table_beyond_fp16_stays_as_it_is():
    model = made()
    model.windows.mask.masked_fill_(model.windows.mask < 0, -1e30)
    found = prepare(experiment(model))
    assert "windows.mask" not in {layer.name for layer in found.layers}
    assert found.base.reasons["windows.mask"] == "largest value 1e+30, beyond what fp16 holds"


@pytest.mark.slow
def test_a_search_from_before_operands_were_layers_goes_on_without_them(tmp_path):
    former = placed(4, operands=False)
    first = pt.run_search(former, root=tmp_path, inline=True)
    heard: list[str] = []

    class Listening(SearchObserver):
        def on_prepared(self, preparation):
            heard.extend(preparation.notes)

    more = placed(6)
    second = pt.run_search(more, root=tmp_path, inline=True, observers=[Listening()])
    assert any("the search was begun when " in words and "in fp16" in words for words in heard)
    configurations = [[record.configuration for record in run.trials] for run in (first, second)]
    assert configurations[1][: len(configurations[0])] == configurations[0]
    assert all(set(configuration.encodings) == {"dense"} for configuration in configurations[1])
    exported = pt.open_run(more, root=tmp_path).export(["knee"], tmp_path / "out")
    assert [item.proven for item in exported] == [True]
    applied = pt.apply(configurations[0][0], more, out=tmp_path / "applied", root=tmp_path / "others")
    assert set(applied.record.configuration.encodings) == {"dense", "positions"}
    assert applied.proven


def test_scores_of_operands_take_one_forward_pass_a_sample(preparation, tmp_path):
    model, layers = preparation.workload.model, preparation.layers
    weights = LayerWeights(model, layers, WeightBank(tmp_path))
    columns = [(layer.name, Encoding.parse(name)) for layer in layers for name in ("fp16", "lut4", "int8")]
    samples = [(torch.randn(1, COUNT, WIDTH),) for _ in range(3)]
    score = FisherScore(ScoringSetting(model, weights, preparation.kind, (1.0,)))
    passes: list[int] = []
    score._model.register_forward_pre_hook(lambda *_: passes.append(1))
    found = score.score(columns, samples)
    assert len(passes) == len(samples)
    assert not found.unreached
    exact = {name for name in OPERANDS if not found.score(name, Encoding.parse("lut4"))}
    assert exact == {"windows.mask"}  # whose two values a table holds
