"""Weights that are computed before each pass, or lie in buffers and attributes, become plain parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm

from palettune.device_bench.model.module_layers import layers_of, weightless
from palettune.evaluators.workload.float_model import LoadingError, held_alike, same_memory, untangle
from palettune.evaluators.workload.folding import fold
from tests.evaluators.computed_weights.computing_models import SetAnew

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


class Symmetric(nn.Module):
    """The custom parametrization of torch's own tutorial."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu() + weight.triu(1).transpose(-1, -2)


class Scaled(nn.Module):
    """A custom one that holds a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, weight: Tensor) -> Tensor:
        return self.scale * weight


def parametrized(module: nn.Module, parametrization: nn.Module, name: str = "weight") -> nn.Module:
    parametrize.register_parametrization(module, name, parametrization)
    return module


def two(make: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(make(), nn.Tanh(), make())


def buffered(weight: Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(8, 8)
    held = layer.weight.detach().clone() if weight is None else weight
    del layer.weight
    layer.register_buffer("weight", held)
    return layer


def attributed() -> nn.Linear:
    layer = nn.Linear(8, 8)
    held = layer.weight.detach().clone()
    del layer.weight
    layer.weight = held
    return layer


class PrunedTwice(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 8), nn.Linear(8, 8))
        prune.l1_unstructured(self[0], "weight", amount=0.3)
        prune.random_structured(self[0], "weight", amount=0.25, dim=0)
        prune.l1_unstructured(self[0], "bias", amount=0.5)


class Recurrent(nn.Module):
    def __init__(self, norm: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.lstm = norm(nn.LSTM(8, 8, batch_first=True), name="weight_hh_l0")
        self.head = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x[None])[0])[0]


class Attention(nn.Module):
    """Reads the weight of ``out_proj`` without calling it, so that an older hook there never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        old_weight_norm(self.attention.out_proj)
        self.attention.out_proj.weight_g.data *= 2  # a checkpoint that was loaded since

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x[None], x[None], x[None], need_weights=False)[0][0]


class Both(nn.Module):
    """One parametrized module used twice, by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = parametrizations.weight_norm(nn.Linear(8, 8))
        self.other = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x))


#: Each with the names of its layers.
MODELS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "weight normalization": (lambda: two(lambda: parametrizations.weight_norm(nn.Linear(8, 8))), ["0", "2"]),
    "weight normalization, older": (lambda: two(lambda: old_weight_norm(nn.Linear(8, 8))), ["0", "2"]),
    "weight normalization of all values": (lambda: two(lambda: parametrizations.weight_norm(nn.Linear(8, 8), dim=None)), ["0", "2"]),
    "spectral normalization": (lambda: two(lambda: parametrizations.spectral_norm(nn.Linear(8, 8))), ["0", "2"]),
    "spectral normalization, older": (lambda: two(lambda: old_spectral_norm(nn.Linear(8, 8))), ["0", "2"]),
    "orthogonal": (lambda: two(lambda: parametrizations.orthogonal(nn.Linear(8, 8))), ["0", "2"]),
    "custom": (lambda: two(lambda: parametrized(nn.Linear(8, 8), Symmetric())), ["0", "2"]),
    "custom, of two": (lambda: two(lambda: parametrized(parametrized(nn.Linear(8, 8), Symmetric()), Scaled())), ["0", "2"]),
    "one for two modules": (lambda: (lambda shared: two(lambda: parametrized(nn.Linear(8, 8), shared)))(Scaled()), ["0", "2"]),
    "bias, too": (lambda: two(lambda: parametrized(parametrizations.weight_norm(nn.Linear(8, 8)), Scaled(), "bias")), ["0", "2"]),
    "copies, which share a class": (lambda: (lambda made: nn.Sequential(made, copy.deepcopy(made)))(parametrizations.weight_norm(nn.Linear(8, 8))), ["0", "1"]),
    "pruned twice, bias, too": (PrunedTwice, ["0", "1"]),
    "pruned below a normalization": (lambda: nn.Sequential(prune.l1_unstructured(old_weight_norm(nn.Linear(8, 8)), "weight_v", 0.5)), ["0"]),
    "recurrent": (lambda: Recurrent(parametrizations.weight_norm), ["head"]),
    "recurrent, older": (lambda: Recurrent(old_weight_norm), ["head"]),
    "a hook that never runs": (Attention, ["attention.out_proj"]),
    "one module by two names": (Both, ["one"]),
    "buffers": (lambda: two(buffered), ["0", "2"]),
    "plain attributes": (lambda: two(attributed), ["0", "2"]),
}  # fmt: skip


def prepared(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_holds_its_weight_as_a_parameter_and_outputs_stay(name: str) -> None:
    torch.manual_seed(0)
    make, layers = MODELS[name]
    model = prepared(make())
    wanted = model(X)
    fold(model, lambda: model(X))
    assert torch.equal(model(X), wanted)
    assert [layer.name for layer in layers_of(model)] == layers
    assert weightless(model) == {}
    assert not any(type(module).__name__.startswith("Parametrized") for module in model.modules())
    state = model.state_dict()
    left = [key for key in state if key.split(".")[-1].endswith(("_g", "_v", "_u", "_orig", "_mask"))]
    assert left == [key for key in state if "parametrizations" in key] == []
    assert all(f"{layer}.weight" in state for layer in layers)
    again = copy.deepcopy(model)  # as everything that compresses does
    with torch.no_grad():
        for layer in layers:
            again.get_submodule(layer).get_parameter("weight").mul_(0.5)
    assert not torch.allclose(again(X), wanted)
    assert torch.equal(model(X), wanted)


def test_a_parametrized_buffer_stays_a_buffer() -> None:
    class Shifted(nn.Linear):
        def __init__(self) -> None:
            super().__init__(8, 8)
            self.register_buffer("shift", torch.ones(8))
            parametrized(self, Scaled(), "shift")

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.shift

    model = prepared(nn.Sequential(Shifted()))
    fold(model, lambda: model(X))
    assert type(model[0]) is Shifted
    assert torch.equal(model[0]._buffers["shift"], torch.full((8,), 3.0))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.decoder = nn.Embedding(8, 8), nn.Linear(8, 8, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.embedding(x.argmax(-1)))


def test_what_was_tied_stays_tied_and_what_is_only_equal_stays_apart() -> None:
    tied = Tied()
    parametrized(tied.embedding, Symmetric())
    parametrized(tied.decoder, Symmetric())
    model = prepared(nn.Sequential(tied))
    wanted = model(X)
    fold(model, lambda: model(X))
    assert torch.equal(model(X), wanted)
    (layer,) = layers_of(model)
    assert (layer.name, [name for name, _ in layer.tied]) == ("0.embedding", ["0.decoder"])

    made = parametrizations.weight_norm(nn.Linear(8, 8))
    model = prepared(nn.Sequential(made, copy.deepcopy(made)))
    fold(model, lambda: model(X))
    assert torch.equal(model[0].weight, model[1].weight)
    assert [layer.name for layer in layers_of(model)] == ["0", "1"]


def test_a_weight_shared_with_a_plain_module_is_folded_in_one_of_them_only() -> None:
    tied = Tied()
    parametrized(tied.decoder, Symmetric())
    plain = tied.embedding.weight.detach().clone()
    model = prepared(tied)
    wanted = model(X)
    fold(model, lambda: model(X))
    assert torch.equal(tied.embedding.weight, plain)
    assert torch.equal(model(X), wanted)
    assert len(layers_of(model)) == 2


def test_a_buffer_that_is_an_embeddings_weight_is_tied_to_it() -> None:
    embedding = nn.Embedding(8, 8)
    model = prepared(nn.ModuleDict({"embedding": embedding, "decoder": buffered(embedding.weight.data)}))
    alike = held_alike(model)
    fold(model, lambda: model["decoder"](X))
    same_memory(alike)
    untangle(model)
    (layer,) = layers_of(model)
    assert [name for name, _ in layer.tied] == ["decoder"]


class Updated(nn.Module):
    """A buffer that each pass moves, as a running codebook does."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = buffered()

    def forward(self, x: Tensor) -> Tensor:
        self.codes.weight.mul_(0.9)
        return self.codes(x)


class Equalized(nn.Linear):
    """Equalized learning rate: the weight is a property."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = 8, 8, None
        self.weight_orig = nn.Parameter(torch.randn(8, 8))

    @property
    def weight(self) -> Tensor:
        return self.weight_orig * 8**-0.5


@pytest.mark.parametrize(("make", "name"), [(SetAnew, "0.module"), (Updated, "0.codes"), (Equalized, "0")])
def test_what_a_forward_pass_sets_anew_is_left_and_said(make: Callable[[], nn.Module], name: str) -> None:
    torch.manual_seed(0)
    model = prepared(nn.Sequential(make(), nn.Linear(8, 8)))
    if make is SetAnew:
        model(X)
    wanted = copy.deepcopy(model)(X)
    fold(model, lambda: model(X))
    assert torch.equal(model(X), wanted), "folding has run the model and left a trace"
    assert [layer.name for layer in layers_of(model)] == ["1"]
    assert list(weightless(model)) == [name]
    assert "set in each forward pass" in weightless(model)[name]


class Jumpy(nn.Module):
    """A parametrization that gives something else each time."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, weight: Tensor) -> Tensor:
        self.calls += 1
        return weight * self.calls


def test_a_weight_that_cannot_be_folded_is_named() -> None:
    model = prepared(nn.Sequential(nn.Linear(8, 8), parametrized(nn.Linear(8, 8), Jumpy())))
    with pytest.raises(LoadingError, match=r"outputs change when the computed weight of '1' is replaced"):
        fold(model, lambda: model(X))


def test_a_model_that_draws_random_numbers_is_not_taken_for_wrongly_folded() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = parametrizations.weight_norm(nn.Linear(8, 8))
            self.generator = torch.Generator().manual_seed(0)  # no seed of ours reaches it

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) + torch.randn(x.shape, generator=self.generator)

    for model in (
        prepared(Noisy()),
        prepared(nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 8)), nn.Dropout())),
    ):
        fold(model, lambda used=model: used(X))
        assert len(layers_of(model)) == 1


def test_a_model_without_any_of_it_is_not_run() -> None:
    model = prepared(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)))
    fold(model, lambda: pytest.fail("run for nothing"))
