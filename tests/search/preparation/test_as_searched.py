"""An experiment whose search has no operands among its layers is prepared without them."""

import pytest

from palettune.search.preparation.as_searched import prepare_as_searched
from palettune.space.layer import LayerKind
from tests.search.preparation.placed import placed


@pytest.mark.slow
def test_operands_are_layers_unless_the_search_has_none():
    new = prepare_as_searched(placed(), None)
    assert {layer.name: layer.kind for layer in new.layers} == {
        "positions": LayerKind.OPERAND,
        "dense": LayerKind.LINEAR,
    }
    assert new.coverage == 1
    searched = prepare_as_searched(placed(), {"dense", "positions"})
    assert searched.layers == new.layers
    former = prepare_as_searched(placed(), {"dense"})
    assert [layer.name for layer in former.layers] == ["dense"]
    assert any("begun when tables that are added" in note for note in former.notes)
    assert former.reach.largest_bytes == new.reach.largest_bytes
    asked = prepare_as_searched(placed(operands=False), None)
    assert asked.identity() == former.identity()
    assert not any("begun when" in note for note in asked.notes)
    assert asked.identity()["experiment"] == new.identity()["experiment"]
    assert asked.base.reasons["positions"].startswith("operand 'y' of add, which is not a weight operand (op 'add")
