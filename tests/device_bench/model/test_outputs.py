"""Outputs in any nesting: one order, names, and the user's own structure made again."""

from __future__ import annotations

import enum
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import ConversionError, convert
from palettune.device_bench.model.outputs import (
    OutputError,
    flatten,
    identifiers,
    leaves,
    map_tensors,
    named_as,
    rebuild,
    replace_tensors,
)
from palettune.device_bench.runtime import load

A, B, C = torch.zeros(2, 3), torch.ones(2, 1), torch.full((2,), 2)


class ModelOutput(OrderedDict):
    """As Hugging Face writes it: absent entries are left out, entries are attributes, numbers are positions."""

    def __init__(self, **entries: Any) -> None:
        super().__init__((k, v) for k, v in entries.items() if v is not None)
        for key, value in entries.items():
            super().__setattr__(key, value)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else tuple(self.values())[key]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)


class AttributeDict(dict):
    """The well-known two lines."""

    def __init__(self, *arguments: Any, **entries: Any) -> None:
        super().__init__(*arguments, **entries)
        self.__dict__ = self


class DottedDict(dict):
    __getattr__ = dict.__getitem__


@dataclass(frozen=True)
class Frozen:
    logits: Tensor
    state: Any = None


@dataclass
class Derived:
    logits: Tensor
    best: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.best = self.logits.argmax(-1)


@dataclass(slots=True)
class Slotted:
    logits: Tensor
    hidden: list[Tensor]


Pair = namedtuple("Pair", ["mean", "std"])


class Kind(enum.Enum):
    TEXT = 1


#: What a model returns, and the names of the tensors in it.
STRUCTURES: dict[str, tuple[Any, list[str]]] = {
    "tensor": (A, ["output"]),
    "mapping whose keys are not sorted": ({"z": A, "a": B}, ["output.z", "output.a"]),
    "ordered mapping of another class": (ModelOutput(logits=A, loss=None, hidden=(B, C)), ["output.logits", "output.hidden.0", "output.hidden.1"]),
    "entries as attributes": (AttributeDict(logits=A, hidden=B), ["output.logits", "output.hidden"]),
    "entries by dot": (DottedDict(logits=A, hidden=B), ["output.logits", "output.hidden"]),
    "mapping that is no dict": (UserDict({"y": A, "x": {"z": B}}), ["output.y", "output.x.z"]),
    "mapping that cannot be written": (MappingProxyType({"y": A, "x": B}), ["output.y", "output.x"]),
    "mapping with a default": (defaultdict(list, {"y": [A, B]}), ["output.y.0", "output.y.1"]),
    "numbers as keys": ({1: A, 0: B}, ["output.1", "output.0"]),
    "frozen dataclass": (Frozen(A), ["output.logits"]),
    "dataclass with a derived field": (Derived(A), ["output.logits", "output.best"]),
    "dataclass with slots": (Slotted(A, [B, C]), ["output.logits", "output.hidden.0", "output.hidden.1"]),
    "named tuple": (Pair(A, B), ["output.mean", "output.std"]),
    "what max gives": (torch.randn(2, 3).max(1), ["output.values", "output.indices"]),
    "deque": (deque([A, B]), ["output.0", "output.1"]),
    "namespace": (SimpleNamespace(b=A, a=B), ["output.b", "output.a"]),
    "plain values": ((A, None, {"best": C, "aux": [B, None]}, 4, "text", True, 0.5, 1j, Kind.TEXT, np.float32(1), A.shape), ["output.0", "output.2.best", "output.2.aux.0"]),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_tensors_are_found_in_the_order_and_by_the_names_of_the_structure(name: str) -> None:
    outputs, names = STRUCTURES[name]
    assert [found for found, _ in flatten(outputs)] == names


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_same_structure_is_made_again_with_other_tensors(name: str) -> None:
    outputs, names = STRUCTURES[name]
    before = [value for _, value in flatten(outputs)]
    others = [value + 5 for value in before]
    made = replace_tensors(outputs, others)
    assert type(made) is type(outputs)
    assert [found for found, _ in flatten(made)] == names
    assert all(found is other for (_, found), other in zip(flatten(made), others, strict=True))
    assert all(found is old for (_, found), old in zip(flatten(outputs), before, strict=True)), "the old one is touched"


def test_what_is_made_again_is_read_as_the_models_own() -> None:
    made = replace_tensors(ModelOutput(logits=A, loss=None), [B])
    assert made.logits is made["logits"] is made[0] is B
    assert made.loss is None
    made = replace_tensors(AttributeDict(logits=A), [B])
    assert made.logits is made["logits"] is B
    assert replace_tensors(DottedDict(logits=A), [B]).logits is B
    pair = replace_tensors(Pair(A, B), [B, A])
    assert (pair.mean is B, pair.std is A, pair[0] is B) == (True, True, True)
    assert replace_tensors(defaultdict(list, {"y": A}), [B])["new"] == []
    with_text = replace_tensors((A, None, "text", 4), [B])
    assert with_text[1:] == (None, "text", 4)


def test_outputs_of_transformers_are_mappings() -> None:
    modeling_outputs = pytest.importorskip("transformers.modeling_outputs")
    outputs = modeling_outputs.CausalLMOutput(logits=A, hidden_states=(B, B))
    assert [name for name, _ in flatten(outputs)] == [
        "output.logits",
        "output.hidden_states.0",
        "output.hidden_states.1",
    ]
    made = replace_tensors(outputs, [B, A, A])
    assert made.logits is made["logits"] is made[0] is B
    assert made.loss is None


class Strange:
    """Of no known kind."""


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (
            (A, [B, {"cache": Strange()}]),
            r"output\.1\.1\.cache is a .*Strange; expected .*return the tensors in it as a dict",
        ),
        ({A, B}, r"output is a builtins\.set"),
        ((A, np.zeros(3)), r"output\.1 is a numpy\.ndarray"),
        (Frozen(A, (value for value in (B,))), r"output\.state is a builtins\.generator"),
    ],
)
def test_what_holds_tensors_in_no_known_order_is_named(outputs: Any, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        flatten(outputs)


def test_a_type_that_cannot_be_made_again_is_named() -> None:
    class Sealed(tuple):
        __slots__ = ()

        def __new__(cls, first: Tensor, second: Tensor) -> Sealed:
            return super().__new__(cls, (first, second))

    with pytest.raises(OutputError, match=r"Sealed cannot be rebuilt .*return a dict"):
        replace_tensors(Sealed(A, B), [B, A])

    class Clamped(list):
        def __setitem__(self, at: Any, values: Any) -> None:
            super().__setitem__(at, [value.clamp(max=0) for value in values])

    with pytest.raises(OutputError, match=r"Clamped cannot be rebuilt .*it changes the values given to it"):
        rebuild(Clamped([A]), [B])


def test_unknown_values_stay_where_only_tensors_are_changed() -> None:
    strange = Strange()
    targets = {"boxes": [A], "image": strange}
    changed = map_tensors(lambda value: value + 1, targets)
    assert torch.equal(changed["boxes"][0], A + 1)
    assert changed["image"] is strange
    assert map_tensors(lambda value: value, targets) is targets


def test_names_in_a_package_are_distinct_and_outputs_are_found_by_them() -> None:
    outputs = {"x": A, "2nd value": B, "a.b": C, "a_b": A}
    names = identifiers((path for path, _ in leaves(outputs)), ["x"])
    assert names == ("x_", "output_2nd_value", "a_b", "a_b_")
    shuffled = dict.fromkeys(reversed(names), A)
    assert named_as(shuffled, outputs, ["x"]) == list(names)
    assert named_as({"var_1": A, "var_0": B}, (A, B)) == ["var_1", "var_0"]


def _structures(depth: int) -> st.SearchStrategy[Any]:
    """Recipes of nested outputs: a number is the tensor's factor, the rest is what the model builds around it."""
    leaf = st.integers(1, 9) | st.sampled_from([None, "text", 0.5])
    if not depth:
        return leaf
    inner = _structures(depth - 1)
    keys = st.sampled_from(["logits", "z", "a", "b_1", "odd key"])
    return leaf | st.one_of(
        st.tuples(st.just("list"), st.lists(inner, max_size=3)),
        st.tuples(st.just("tuple"), st.lists(inner, max_size=3)),
        st.tuples(st.sampled_from(["dict", "own", "user"]), st.dictionaries(keys, inner, max_size=3)),
        st.tuples(st.just("dataclass"), st.lists(inner, min_size=2, max_size=2)),
        st.tuples(st.just("named"), st.lists(inner, min_size=2, max_size=2)),
    )


def _built(recipe: Any, x: Tensor, count: list[int]) -> Any:
    if isinstance(recipe, int):
        count[0] += 1
        return x * recipe + count[0]  # no two alike
    if not isinstance(recipe, tuple):
        return recipe
    kind, parts = recipe
    if isinstance(parts, dict):
        entries = {key: _built(part, x, count) for key, part in parts.items()}
        return {"dict": dict, "own": lambda e: ModelOutput(**{k.replace(" ", "_"): v for k, v in e.items()}), "user": UserDict}[kind](entries)  # fmt: skip
    values = [_built(part, x, count) for part in parts]
    return {"list": list, "tuple": tuple, "dataclass": lambda v: Frozen(*v), "named": lambda v: Pair(*v)}[kind](values)


class Returns(nn.Module):
    """Returns what a recipe says."""

    def __init__(self, recipe: Any) -> None:
        super().__init__()
        self.recipe = recipe

    def forward(self, x: Tensor) -> Any:
        return _built(self.recipe, x, [0])


@given(_structures(3))
def test_any_structure_is_made_again(recipe: Any) -> None:
    outputs = Returns(recipe)(A)
    others = [value + 100 for _, value in flatten(outputs)]
    made = replace_tensors(outputs, others)
    assert [name for name, _ in flatten(made)] == [name for name, _ in flatten(outputs)]
    assert all(found is other for (_, found), other in zip(flatten(made), others, strict=True))


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_structures(2).filter(lambda recipe: flatten(Returns(recipe)(A))))
def test_a_package_has_the_same_outputs_in_the_same_order(tmp_path_factory: Any, recipe: Any) -> None:
    module = Returns(recipe)
    path = str(tmp_path_factory.mktemp("package") / "model.mlpackage")
    convert(module, (A,), "iOS18").save(path)
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    values = load(path).run_tensors({"x": x})
    outputs = module(x)
    assert list(values) == named_as(values, outputs, ["x"]) == list(identifiers([p for p, _ in leaves(outputs)], ["x"]))
    for value, (name, wanted) in zip(values.values(), flatten(outputs), strict=True):
        assert torch.equal(value, wanted), name


class Odd(nn.Module):
    """Outputs that the converter may mistake: an input, one tensor twice, a view, whole numbers, no axes, a size."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Any:
        y = self.layer(x)
        return {
            "x": x,
            "y": y,
            "again": y,
            "view": y.view(-1),
            "best": y.argmax(-1),
            "positive": y > 0,
            "mean": y.mean(),
            "scale": self.scale,
            "rows": y.shape[0],
        }


@pytest.mark.slow
@pytest.mark.parametrize("front_end", ["export", "trace"])
def test_inputs_repeated_outputs_views_and_numbers_come_out_as_they_are(front_end, tmp_path, monkeypatch) -> None:
    monkeypatch.delattr(*{"export": (torch.jit, "trace"), "trace": (torch.export, "export")}[front_end])
    module = Odd().eval()
    convert(module, (A,), "iOS18").save(str(tmp_path / "model.mlpackage"))
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    values = load(tmp_path / "model.mlpackage").run_tensors({"x": x})
    with torch.no_grad():
        outputs = module(x)
    names = named_as(values, outputs, ["x"])
    assert set(names) == {"x_", "y", "again", "view", "best", "positive", "mean", "scale"}
    for name, (_, wanted) in zip(names, flatten(outputs), strict=True):
        assert torch.allclose(values[name].float().reshape(wanted.shape), wanted.float(), atol=1e-2), name


def test_a_module_whose_outputs_are_of_an_unknown_type_is_refused() -> None:
    class Unknown(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return x, Strange()

    with pytest.raises(ConversionError, match=r"Unknown\.forward returns .*output\.1 is a .*Strange"):
        convert(Unknown(), (A,), ct.target.iOS18.name)
