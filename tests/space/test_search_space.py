"""Search spaces: parameters back and forth, uniform configurations, groups and errors."""

from __future__ import annotations

import random

import pytest

from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace, SearchSpaceError
from palettune.space.target import DeploymentTarget

LAYERS = (
    Layer("stem", LayerKind.CONV2D, (24, 3, 3, 3)),
    Layer("q", LayerKind.LINEAR, (64, 96)),
    Layer("k", LayerKind.LINEAR, (64, 96)),
    Layer("head", LayerKind.LINEAR, (10, 64)),
)
ENCODINGS = [Encoding.parse(s) for s in ("lut4", "lut4-g16", "int8", "int4-b32", "sparse50")]


def build(**options: object) -> SearchSpace:
    return SearchSpace.build(LAYERS, ENCODINGS, DeploymentTarget.IOS18, **options)  # type: ignore[arg-type]


def test_parameters_come_back() -> None:
    space = build(groups=[("k", "q")])
    rng = random.Random(0)
    assert set(space.choices) == {"stem", "q", "head"}
    for _ in range(50):
        parameters = {name: rng.choice(spellings) for name, spellings in space.choices.items()}
        configuration = space.from_parameters(parameters)
        assert space.to_parameters(configuration) == parameters
        assert configuration.encodings["q"] == configuration.encodings["k"]


def test_size_counts_configurations() -> None:
    space = build(keep=["head"])
    assert len(space.menus["head"].encodings) == 1
    assert space.size == len(space.menus["stem"].encodings) * len(space.menus["q"].encodings) ** 2


def test_uniform_takes_the_nearest_legal_relative() -> None:
    uniform = build().uniform(Encoding.parse("lut4-g16"))
    assert {name: str(e) for name, e in uniform.encodings.items()} == {
        "stem": "lut4",
        "q": "lut4-g16",
        "k": "lut4-g16",
        "head": "lut4",
    }
    assert set(build().uniform(FP16).encodings.values()) == {FP16}
    assert str(build(keep=["stem"]).uniform(Encoding.parse("lut4")).encodings["stem"]) == "fp16"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": ["steam"]}, "did you mean 'stem'"),
        ({"groups": [("q", "k"), ("k", "head")]}, "'k' is in two groups"),
        ({"groups": [("q", "kk")]}, "no layer 'kk'"),
    ],
)
def test_wrong_names_are_errors(options: dict[str, object], said: str) -> None:
    with pytest.raises(SearchSpaceError, match=said):
        build(**options)


def test_an_encoding_that_is_legal_nowhere_is_an_error_with_its_reason() -> None:
    with pytest.raises(
        SearchSpaceError, match=r"no layer can take encoding 'lut4-g16': more than one table needs iOS18"
    ):
        SearchSpace.build(LAYERS, ENCODINGS, DeploymentTarget.IOS17)


def test_a_configuration_outside_the_space_is_an_error() -> None:
    space = build(groups=[("q", "k")])
    wrong = Configuration({**space.uniform(FP16).encodings, "q": Encoding.parse("lut4")})
    with pytest.raises(SearchSpaceError, match="one and the same encoding"):
        space.to_parameters(wrong)
    with pytest.raises(SearchSpaceError, match="it was not asked for"):
        space.to_parameters(space.uniform(FP16).replace({"stem": Encoding.parse("lut8")}))
    with pytest.raises(SearchSpaceError, match="missing or not of this search space"):
        space.from_parameters({"stem": "lut4"})


def test_a_kept_layer_leaves_its_group_and_a_found_group_splits_by_menu() -> None:
    space = build(groups=[("q", "k", "head")], keep=["head"])
    assert space.groups == (("stem",), ("q", "k"), ("head",))
    router = Layer("router", LayerKind.LINEAR, (4, 96))
    space = SearchSpace.build(
        (*LAYERS, router), ENCODINGS, DeploymentTarget.IOS18, found=[("q", "k", "router")], min_elements=1000
    )
    assert space.groups == (("stem",), ("q", "k"), ("head",), ("router",))


def test_a_group_of_the_user_overrides_a_found_one() -> None:
    assert build(groups=[("q",)], found=[("q", "k")]).groups == (("stem",), ("q",), ("k",), ("head",))


def test_a_group_that_cannot_share_is_an_error() -> None:
    with pytest.raises(SearchSpaceError, match=r"share no encoding but fp16: q \(64, 96\), head \(10, 64\)"):
        SearchSpace.build(LAYERS, [Encoding.parse("lut4-g16")], DeploymentTarget.IOS18, groups=[("q", "head")])


def test_layers_of_a_configuration_are_in_the_order_of_the_model() -> None:
    space = build(groups=[("head", "stem")])
    for found in (space.uniform(ENCODINGS[0]), space.from_parameters({n: c[0] for n, c in space.choices.items()})):
        assert list(found.in_order) == ["stem", "q", "k", "head"]
