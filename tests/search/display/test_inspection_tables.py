"""Inspections in a terminal."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from palettune.device_bench.conversion.front_end import FrontEnd
from palettune.device_bench.package.other_constants import OtherConstant
from palettune.search.display.inspection_tables import print_inspection
from palettune.search.preparation.inspection import Inspection
from palettune.space.encoding import Encoding


@pytest.fixture
def inspection(unused):
    return Inspection.of(unused)


def printed(found):
    text = io.StringIO()
    print_inspection(found, Console(file=text, width=300))
    return text.getvalue()


def test_layers_groups_what_is_kept_and_the_reach_are_shown(inspection):
    shown = printed(inspection)
    assert "case on iOS18" in shown
    for item in inspection.layers:
        assert f"{item.layer.shape[0]}x{item.layer.shape[1]}" in shown
    assert "share one encoding: a, b" in shown
    for name, reason in inspection.kept.items():
        assert f"kept as it is: {name}: {reason}" in shown
    assert f"reachable: {inspection.smallest_bytes / 1e6:.3f} MB to {inspection.largest_bytes / 1e6:.3f} MB" in shown
    assert "advice (nothing is forbidden by it)" in shown
    assert "note:" not in shown


def test_advice_is_lines_whose_sources_can_be_opened_at_80_columns(inspection):
    text = io.StringIO()
    print_inspection(inspection, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert inspection.advice
    for item in inspection.advice:
        mark = " " if item.suits else "!"
        said = (
            f"{mark} {item.processor.value}, {' '.join(map(str, item.encodings))} in {item.layers} layers: {item.text}"
        )
        assert lines[lines.index(said) + 1] == f"    {item.source}"


def test_notes_come_first_and_the_front_end_s_warning_is_one(inspection):
    traced = FrontEnd("torch.jit.trace", "it is too clever")
    shown = printed(replace(inspection, notes=("look out [here]",), front_end=traced))
    assert shown.startswith("note: look out [here]\nnote: converted by torch.jit.trace because torch.export failed")


def test_refused_encodings_are_counted_by_reason(inspection):
    refused = {Encoding.parse("int4-b32"): "blocks do not divide [64]"}
    layers = tuple(replace(item, refused=refused) for item in inspection.layers)
    shown = printed(replace(inspection, layers=layers))
    (row,) = (line for line in shown.splitlines() if "blocks do not divide [64]" in line)
    assert row.split("│")[1:3] == [" int4-b32 ", " 2      "]


def test_names_are_shown_as_they_are_spelt_though_brackets_are_markup(inspection):
    first, *others = inspection.layers
    odd = replace(first, layer=replace(first.layer, name="heads[red].w[/x]"))
    shown = printed(replace(inspection, layers=(odd, *others), groups=(("heads[red].w[/x]", "b"),)))
    assert shown.count("heads[red].w[/x]") == 3  # its row, its group, and what sets the smallest size


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": ("keys", "values"), "sequence": None}, "(keys, values): items run in order, in one pass"),
        ({"state": ("keys",), "sequence": 3}, "for 3 items"),
        ({"samples": "samples lie along axis 1"}, "samples lie along axis 1 ([data] batch_axis)"),
    ],
)
def test_data_that_are_no_batches_along_the_first_axis_are_said(inspection, changes, words):
    assert words in printed(replace(inspection, **changes))
    assert "[data]" not in printed(inspection)


def test_many_weights_kept_for_one_reason_are_counted(inspection):
    shown = printed(replace(inspection, kept={f"w{i}": "unused" for i in range(5)}))
    assert "kept as they are: w0, w1, w2 and 2 more: unused" in shown


def menus(inspection, *given):
    layers = []
    for number, spellings in enumerate(given):
        item = inspection.layers[number % len(inspection.layers)]
        name = f"block.{number}"
        menu = {Encoding.parse(spelling): 1000 for spelling in spellings.split()}
        layers.append(replace(item, layer=replace(item.layer, name=name), menu=menu, smallest=Encoding.parse("fp16")))
    return replace(inspection, layers=tuple(layers))


def test_the_common_menu_is_said_once_and_others_by_what_they_differ_in(inspection):
    full = "fp16 lut8 lut6 lut4 lut4-g16 int8"
    shown = printed(
        menus(inspection, full, full, "fp16", "fp16 lut8 lut6 lut4 int8", full, "fp16 lut8 lut6 lut4 int8 sparse50")
    )
    assert shown.count("lut6") == 1
    assert f"menu of 3 of 6 layers: {full}\n" in shown
    rows = {line.split()[0]: line.rstrip() for line in shown.splitlines() if line.startswith("block.")}
    assert list(rows)[:6] == [f"block.{number}" for number in range(6)]  # the model's order
    assert rows["block.2"].endswith("only fp16")
    assert rows["block.3"].endswith("without lut4-g16")
    assert rows["block.5"].endswith("without lut4-g16 and sparse50")
    assert rows["block.0"].endswith("1.0")


def test_a_menu_that_all_layers_have_needs_no_column(inspection):
    shown = printed(menus(inspection, "fp16 lut8", "fp16 lut8"))
    assert "menu of all layers: fp16 lut8\n" in shown
    assert "other menu" not in shown


def test_at_80_columns_each_layer_is_one_line_with_its_figures(inspection):
    text = io.StringIO()
    found = menus(inspection, *["fp16 lut8 lut6 lut4 int8 int4-b32 sparse50"] * 3, "fp16 lut8")
    print_inspection(found, Console(file=text, width=80))
    rows = [line for line in text.getvalue().splitlines() if line.startswith("block.") and " linear " in line]
    assert len(rows) == 4
    assert all(len(row) <= 80 and "1.0" in row and "…" not in row for row in rows)
    assert rows[3].rstrip().endswith(("only fp16 lut8", "2 encodings"))


def test_at_80_columns_no_figure_of_any_table_is_cut(inspection):
    text = io.StringIO()
    constant = OtherConstant(
        "encoder.position_embedding_of_the_first_block", (1, 512, 768), 1572864, "it is a table " * 8
    )
    refused = {Encoding.parse("lut4-g16"): "groups of 16 do not divide the 24 input channels of this layer " * 2}
    layers = tuple(replace(item, refused=refused) for item in inspection.layers)
    print_inspection(replace(inspection, uncompressed=(constant,), layers=layers), Console(file=text, width=80))
    shown = text.getvalue()
    assert "…" not in shown
    assert " 1572.9 " in shown
    assert " 1x512x768 " in shown
    assert any(line.split("│")[1:3] == [" lut4-g16 ", " 2      "] for line in shown.splitlines() if "│" in line)
