"""Search spaces with choices taken."""

import pytest

from palettune.search.proposing.restricted_space import restricted_space
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4", "lut2", "lut2-v2")]
LAYERS = tuple(Layer(name, LayerKind.LINEAR, (64, 64)) for name in ("block.0.q", "block.0.k", "head"))
SPACE = SearchSpace.build(LAYERS, MENU, DeploymentTarget("iOS18"), groups=[["block.0.q", "block.0.k"]])


def menus(space):
    return {name: [str(e) for e in menu.encodings] for name, menu in space.menus.items()}


def test_a_fixed_layer_has_one_encoding_and_so_have_those_of_its_group():
    found = menus(restricted_space(SPACE, {"block.*.q": "lut4"}))
    assert found["block.0.q"] == found["block.0.k"] == ["lut4"]
    assert len(found["head"]) == len(MENU)
    assert menus(restricted_space(SPACE, {"*": "lut4", "head": "lut8"})) == {
        "block.0.q": ["lut4"], "block.0.k": ["lut4"], "head": ["lut8"]
    }  # fmt: skip


def test_what_is_forbidden_is_in_no_menu_but_a_fixed_layer_may_have_it():
    found = menus(restricted_space(SPACE, {"head": "lut2"}, ["lut2*"]))
    assert found == {"block.0.q": ["fp16", "lut8", "lut4"], "block.0.k": ["fp16", "lut8", "lut4"], "head": ["lut2"]}
    assert restricted_space(SPACE, {}) == SPACE


@pytest.mark.parametrize(
    ("fix", "forbid", "words"),
    [
        ({"haed": "lut4"}, (), ["'haed' matches no layer", "'head'"]),
        ({"head": "int8"}, (), ["'head' cannot be fixed in 'int8'", "lut2-v2"]),
        ({"head": "lut99"}, (), ["lut99"]),
        ({"block.0.q": "lut4", "block.0.k": "lut8"}, (), ["share one encoding", "block.0.k"]),
        ({}, ("int4",), ["'int4'", "offered are fp16, lut8"]),
        ({}, ("*",), ["'block.0.q'", "forbidden"]),
    ],
)
def test_what_cannot_be_met_is_said(fix, forbid, words):
    with pytest.raises(UserError) as error:
        restricted_space(SPACE, fix, forbid)
    assert all(word in str(error.value) for word in words)
