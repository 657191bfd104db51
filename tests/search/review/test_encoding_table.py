"""Encodings by number, and configurations as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.search.review.encoding_table import EncodingTable, rounded_inputs, spelt
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from tests.search.made_up import LAYERS, MENU, SPACE, TARGET

NAMES = [layer.name for layer in LAYERS]


def test_most_bits_come_first_with_the_bits_that_are_stored():
    table = EncodingTable(SPACE, MENU, TARGET)
    rows = table.rows()
    assert [row["name"] for row in rows] == ["fp16", "lut8", "lut4", "lut2"]
    assert rows[0] == {"name": "fp16", "bits": 16.0, "family": "float"}
    assert rows[2]["bits"] == pytest.approx(4 + 16 * 16 / 4096, abs=1e-3)  # with its table


def test_an_encoding_that_no_layer_may_take_has_its_number_too():
    table = EncodingTable(SPACE, [Encoding.parse("int8"), *MENU], TARGET)
    assert table.rows()[table.place(Encoding.parse("int8"))] == {"name": "int8", "bits": 8.0, "family": "integer"}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("lut4", "palette"),
        ("lut4-v2", "vector"),
        ("int4-b32", "integer"),
        ("sparse50", "sparse"),
        ("sparse50+lut4", "joint"),
    ],
)
def test_families_are_told_apart(name, family):
    table = EncodingTable(SPACE, [Encoding.parse(name)], TARGET)
    assert table.rows()[table.place(Encoding.parse(name))]["family"] == family


def test_equal_encodings_have_one_number_whichever_object_they_are():
    table = EncodingTable(SPACE, MENU, TARGET)
    for name in ("lut4", "lut8", "lut4"):
        assert table.rows()[table.place(Encoding.parse(name))]["name"] == name


@given(st.lists(st.integers(0, 199)))
def test_numbers_are_read_back_from_their_text_even_after_json(places):
    text = json.loads(json.dumps(spelt(places), ensure_ascii=False))
    assert [ord(character) - 48 for character in text] == places


def test_inputs_in_8_bits_are_marked_by_layer():
    encodings = dict.fromkeys(NAMES, Encoding.parse("lut4"))
    assert rounded_inputs(Configuration(encodings), NAMES) is None
    assert rounded_inputs(Configuration(encodings, {"l1": Precision.INT8}), NAMES) == "01"
    assert EncodingTable(SPACE, MENU, TARGET).places(Configuration(encodings), NAMES) == [2, 2]
