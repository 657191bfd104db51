"""Why layers are as they are, in a terminal."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.display.explanation_table import explanation_table, explanation_text
from palettune.search.results.explanation import explain_front
from palettune.search.results.front import Front
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from tests.search.made_up import LAYERS, MENU, OBJECTIVES, SPACE, TARGET, record


def explained(scores=None):
    columns = tuple((layer.name, e) for layer in LAYERS for e in MENU)
    made = scores or Scores("fisher", columns, np.array([[0, 0.001, 0.1, 2.0, 0, 0.01, 0.5, 4.0]]))
    members = (record(0, 0.6, 1, encodings=("lut4", "lut4")), record(1, 0.1, 2, encodings=("lut4", "lut8")))
    return explain_front(Front(members, OBJECTIVES), SPACE, TARGET, made)


def printed(table, width=80):
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(table, soft_wrap=True)
    return buffer.getvalue()


def test_it_begins_with_a_sentence_and_the_largest_layers_come_first():
    second = explained()[1]
    shown = printed(explanation_table(second))
    assert shown.startswith(second.sentence[:40])
    rows = [line.split()[0] for line in shown.splitlines() if line.startswith(("l0 ", "l1 "))]
    assert rows == ["l1", "l0"]  # lut8 takes more than lut4


def test_only_the_largest_layers_are_shown_where_a_few_are_asked_for():
    shown = printed(explanation_table(explained()[1], most=1))
    assert "\nl1 " in shown
    assert "\nl0 " not in shown
    assert "and 1 smaller layers: palettune explain EXPERIMENT.toml 1" in shown


def test_at_80_columns_figures_are_whole_and_each_layer_is_one_line():
    layers = tuple(Layer(f"encoder.blocks.{i}._project_conv", LayerKind.LINEAR, (64, 64 + 8 * i)) for i in range(20))
    space = SearchSpace.build(layers, MENU, TARGET)
    columns = tuple((layer.name, e) for layer in layers for e in MENU)
    scores = Scores("fisher", columns, np.abs(np.random.default_rng(0).normal(size=(1, len(columns)))) * 1e-4)
    member = replace(record(0, 0.6, 1.0), configuration=space.uniform(MENU[2]))
    (found,) = explain_front(Front((member,), OBJECTIVES), space, TARGET, scores)
    shown = printed(explanation_table(found))
    assert "…" not in shown
    for reason in found.layers:
        (line,) = (line for line in shown.splitlines() if line.startswith(f"{reason.layer} "))
        assert cell_len(line) <= 80
        assert f"{reason.bytes / 1e3:.1f}" in line.split()
        assert f"{reason.score:.3g}" in line.split()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"methods": {"l1": "isolated"}}, "scored by isolated: l1"),
        ({"method": "isolated"}, "scored by isolated: all layers"),
    ],
)
def test_layers_that_were_scored_in_another_way_are_named(change, words):
    columns = tuple((layer.name, e) for layer in LAYERS for e in MENU)
    scores = Scores("fisher", columns, np.array([[0, 0.001, 0.1, 2.0, 0, 0.01, 0.5, 4.0]]))
    assert words in explanation_text(explained(replace(scores, **change)))
    assert "scored by" not in explanation_text(explained(scores))


def test_a_layer_s_name_is_shown_as_it_is_spelt_though_brackets_are_markup():
    name = "heads[red].w[/x]"
    layers = (replace(LAYERS[0], name=name),)
    space = SearchSpace.build(layers, MENU, TARGET)
    scores = Scores("isolated", tuple((name, e) for e in MENU), np.array([[0, 0.001, 0.1, 2.0]]))
    member = replace(record(0, 0.6, 1.0), configuration=space.uniform(MENU[2]))
    (found,) = explain_front(Front((member,), OBJECTIVES), space, TARGET, scores)
    assert explanation_text([found]).count(name) == 2  # the sentence and the row
    other = replace(found, layers=(*found.layers, replace(found.layers[0], method="fisher")))
    assert f"scored by isolated: {name}" in explanation_text([other])
