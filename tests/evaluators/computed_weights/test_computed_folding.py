"""Weights that are computed in forward passes become parameters: outputs stay, and the parameters are what is used."""

from __future__ import annotations

import copy
from collections.abc import Callable

import cloudpickle
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.evaluators.computed_weights.computed_folding import fold_computed
from palettune.space.target import DeploymentTarget
from tests.evaluators.computed_weights import computing_models as models

X, IMAGES = models.VECTORS, models.IMAGES


def twice(kind: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(kind(), nn.Tanh(), kind())


#: Model, inputs, the parameters that hold the computed weights.
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor, list[str]]] = {
    "standardized": (lambda: models.convolutions(models.StandardizedConv), IMAGES, ["0.weight", "2.weight"]),
    "scaled": (lambda: models.convolutions(models.ScaledConv), IMAGES, ["0.weight", "2.weight"]),
    "low rank": (twice(models.LowRank), X, ["0.base.weight", "2.base.weight"]),
    "merged": (twice(models.Merged), X, ["0.merged.weight", "0.merged.bias", "2.merged.weight", "2.merged.bias"]),
    "written": (twice(models.Written), X, ["0.a_computed", "2.a_computed"]),
    "concatenated": (twice(models.Concatenated), X, ["0.q_weight_computed", "2.q_weight_computed"]),
    "positive, turned": (twice(models.Positive), X, ["0.raw_computed", "2.raw_computed"]),
    "a property": (twice(models.Equalized), X, ["0.weight_orig_computed", "2.weight_orig_computed"]),
    "set anew": (twice(models.SetAnew), X, ["0.weight_bar_computed", "2.weight_bar_computed"]),
    "a network": (twice(models.Hyper), X, ["0.maker_2_weight_computed", "2.maker_2_weight_computed"]),
    "a filter": (models.Filter, X, ["kernel_computed"]),
    "masked, run twice": (models.Masked, X, ["layer.weight"]),
    "tied": (models.Tied, X, ["table_computed"]),
    "one after another": (models.Gated, X, ["raw_computed", "raw_computed_1"]),
}


def prepared(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().eval().requires_grad_(False)


@pytest.mark.parametrize("name", CASES)
def test_outputs_stay_and_depend_on_the_parameters_alone(name: str) -> None:
    make, x, parameters = CASES[name]
    model = prepared(make)
    wanted = model(x).clone()
    before = dict(model.named_parameters())
    assert fold_computed(model, lambda: model(x)) is None
    assert torch.allclose(model(x), wanted, rtol=1e-5, atol=1e-5)
    assert [key for key, value in model.named_parameters() if before.get(key) is not value] == parameters
    for made in (copy.deepcopy(model), cloudpickle.loads(cloudpickle.dumps(model))):
        assert torch.equal(made(x), model(x))
        for parameter in parameters:
            made.get_parameter(parameter).zero_()
        zeros = prepared(make)
        weights = [v for k, v in made.named_parameters() if k in parameters]
        assert weights
        assert not torch.allclose(made(x), wanted)
        assert not torch.allclose(made(x), zeros(x))
    gone = copy.deepcopy(model)
    for key, value in gone.named_parameters():
        if key not in parameters and key.rsplit(".", 1)[-1] in ("gain", "a", "b", "raw_orig", "weight_bar", "z"):
            value.fill_(torch.nan)
    assert torch.equal(gone(x), model(x)), "what weights were computed from is not read any more"


@pytest.mark.matrix(4)
@pytest.mark.parametrize("name", CASES)
def test_front_ends_read_a_folded_model(name: str) -> None:
    make, x, parameters = CASES[name]
    model = prepared(make)
    fold_computed(model, lambda: model(x))
    program = torch.export.export(model, (x,), strict=False).run_decompositions({})
    assert torch.allclose(program.module()(x), model(x), atol=1e-5)
    used = {spec.target for spec in program.graph_signature.input_specs if _is_used(program, spec.arg.name)}
    assert set(parameters) <= used
    assert torch.allclose(torch.jit.trace(model, (x,), check_trace=False)(x), model(x), atol=1e-5)


def _is_used(program: torch.export.ExportedProgram, name: str) -> bool:
    return any(node.name == name and node.users for node in program.graph.nodes)


@pytest.mark.matrix(3)
@pytest.mark.parametrize("name", CASES)
def test_a_folded_weight_is_a_layer_of_the_converted_program(name: str) -> None:
    make, x, parameters = CASES[name]
    model = prepared(make)
    fold_computed(model, lambda: model(x))
    base = base_program(model, (x[:1],), DeploymentTarget.IOS18)
    assert [layer.tensor for layer in base.layers] == [name for name in parameters if "bias" not in name]
    assert not [constant for constant in base.others if constant.float_bytes > 64]


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w + torch.randn(8, 8))


class Stateful(nn.Module):
    """The weight depends on how often it was used."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 8))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return F.linear(x, self.w / self.count)


class Counting(nn.Module):
    """So does this, by a Python number."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 8))
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return F.linear(x, self.w * self.count)


@pytest.mark.parametrize("kind", [Noisy, Stateful])
def test_what_changes_from_pass_to_pass_is_left_and_so_is_the_models_state(kind: type[nn.Module]) -> None:
    model = prepared(kind)
    before = copy.deepcopy(model.state_dict())
    assert fold_computed(model, lambda: model(X)) is None
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert "forward" not in vars(model)


def test_a_weight_that_depends_on_a_counter_is_right_in_every_pass() -> None:
    model, other = prepared(Counting), prepared(Counting)
    fold_computed(model, lambda: model(X))
    assert [torch.equal(model(X), other(X)) for _ in range(3)] == [True] * 3


def test_a_model_that_fails_is_left_for_its_own_message() -> None:
    model = prepared(models.LowRank)
    assert fold_computed(model, lambda: model(torch.ones(2, 3))) is None
    assert "forward" not in vars(model)


@torch.jit.script
def unseen(weight: Tensor) -> Tensor:
    """What no mode sees."""
    return weight * 1


class Twofold(nn.Module):
    """Half of a computation is seen, and half is not."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.w * 2
        return F.linear(x, weight.exp()) + F.linear(x, unseen(weight))


def test_a_folding_that_would_change_outputs_is_taken_back_and_said() -> None:
    model = prepared(lambda: nn.Sequential(Twofold()))
    wanted = model(X)
    note = fold_computed(model, lambda: model(X))
    assert note is not None
    assert "(0.w_computed) stay as they are" in note
    assert torch.equal(model(X), wanted)
    assert list(model.state_dict()) == ["0.w"]
    assert "forward" not in vars(model[0])


STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "scale": lambda w, v: w * 0.5,
    "add": lambda w, v: w + v,
    "product": lambda w, v: w @ v,
    "turn": lambda w, v: w.t(),
    "rows": lambda w, v: torch.cat([w[4:], w[:4]]),
    "normalize": lambda w, v: F.normalize(w, dim=1),
    "standardize": lambda w, v: (lambda pair: (w - pair[1]) / (pair[0] + 1).sqrt())(torch.var_mean(w, 1, keepdim=True)),
    "reshape": lambda w, v: w.reshape(4, 16).tanh().view(8, 8),
    "written": lambda w, v: (lambda made: (made.mul_(0.5), made.clamp_(-2.0, 1.5), made)[2])(w + v),
    "halves": lambda w, v: torch.stack(w.chunk(2)).flatten(0, 1),
}


class Chain(nn.Module):
    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps
        self.w, self.v = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.w
        for step in self.steps:
            weight = STEPS[step](weight, self.v)
        return F.linear(x, weight) + self.v.sum()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=5))
def test_any_chain_of_calculations_is_folded(steps: list[str]) -> None:
    model = prepared(lambda: Chain(steps))
    wanted = model(X)
    assert fold_computed(model, lambda: model(X)) is None
    assert torch.allclose(model(X), wanted, rtol=1e-5, atol=1e-5)
    folded = [name for name, _ in model.named_parameters() if name.endswith("_computed")]
    assert bool(folded) is bool(set(steps) - {"turn"})
    if folded:
        with torch.no_grad():
            model.w.fill_(torch.nan)
        assert torch.allclose(model(X), wanted, rtol=1e-5, atol=1e-5)
