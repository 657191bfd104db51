"""The driver's view of compressed weights, menus pruned by it, and minutes said beforehand."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from palettune.search.display.progress import Display
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.driver_weights import layer_weights, prune_search_space, say_calibration_minutes
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace

LUT4 = Encoding.parse("lut4")


class Warned(Reporter):
    """Keeps what it is warned of."""

    def __init__(self):
        self.words = []

    def warn(self, message):
        self.words.append(message)


def test_weights_are_those_of_the_run_s_bank_and_of_the_banks_beside_it(unused, tmp_path):
    folder, beside = RunFolder(tmp_path, "one"), RunFolder(tmp_path, "two")
    weights = layer_weights(unused, folder)
    assert set(weights.layers) == {"a", "b"}
    made = weights.get("a", LUT4)
    assert len(made.weight.unique()) <= 16
    assert weights.key("a", LUT4) in layer_weights(unused, folder).bank
    found = layer_weights(unused, beside)
    assert found.bank.get(found.key("a", LUT4)) is not None
    assert torch.equal(found.get("a", LUT4).weight, made.weight)


def test_pruned_menus_lose_only_what_another_choice_beats_and_say_how_much(unused, tmp_path):
    folder, heard = RunFolder(tmp_path, "one"), Warned()
    more = [Encoding.parse(name) for name in ("fp16", "lut8", "lut6", "lut4", "int8", "int4")]
    space = SearchSpace.build(unused.layers, more, unused.experiment.deployment_target, groups=[("a", "b")])
    pruned = prune_search_space(replace(unused, space=space), folder, heard)
    before, after = space.menus["a"].encodings, pruned.space.menus["a"].encodings
    assert set(after) < set(before)
    assert after[0] == before[0]
    (words,) = heard.words
    assert words.startswith(f"menus pruned: {len(before) - len(after)} of {len(before)} choices")
    target, weights = unused.experiment.deployment_target, layer_weights(unused, folder)

    def costs(encoding):
        size = sum(layer_bytes(layer, encoding, target) for layer in unused.layers)
        error = sum(float((weights.get(n, encoding).weight - weights.float_weight(n)).square().sum()) for n in "ab")
        return size, error

    for encoding in set(before) - set(after):
        size, error = costs(encoding)
        assert any(costs(kept)[0] <= size and costs(kept)[1] <= error for kept in after)


@pytest.mark.parametrize(
    ("menu", "calibrations", "said"), [("lut4 lut6-v2", 3, True), ("lut4 lut6-v2", 0, False), ("lut4 int8", 3, False)]
)
def test_minutes_of_calibrations_are_said_before_they_pass(menu, calibrations, said):
    layer = Layer("large", LayerKind.LINEAR, (4096, 8192))
    encodings = tuple(Encoding.parse(spelling) for spelling in menu.split())
    preparation = SimpleNamespace(
        layers=(layer,),
        space=SimpleNamespace(menus={"large": SimpleNamespace(encodings=encodings)}),
        experiment=SimpleNamespace(escalation=SimpleNamespace(calibration=SimpleNamespace(count=calibrations))),
    )
    heard = io.StringIO()
    say_calibration_minutes(preparation, Display(Console(file=heard, width=400, no_color=True)))
    assert ("in each of 3 calibration(s)" in heard.getvalue()) == said
    assert bool(heard.getvalue()) == said
