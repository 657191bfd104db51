"""Configurations: one JSON, one hash."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.space.configuration import Configuration, ConfigurationError, Precision
from palettune.space.encoding import Encoding, EncodingError
from palettune.space.encoding_spelling import common_spellings

ENCODINGS = st.sampled_from([Encoding.parse(s) for s in common_spellings()])


@pytest.mark.slow
@given(st.dictionaries(st.text(min_size=1), st.tuples(ENCODINGS, st.sampled_from(list(Precision)))), st.randoms())
def test_json_pickle_and_hash_do_not_depend_on_order(chosen, rng) -> None:
    names = list(chosen)
    first = Configuration({n: chosen[n][0] for n in names}, {n: chosen[n][1] for n in names})
    rng.shuffle(names)
    second = Configuration({n: chosen[n][0] for n in names}, {n: chosen[n][1] for n in names})
    assert first == second
    assert hash(first) == hash(second)
    assert first.hash == second.hash
    assert len(first.hash) == 16
    assert Configuration.from_json(first.to_json()) == first
    assert pickle.loads(pickle.dumps(first)) == first


def test_activation_precision_is_part_of_identity() -> None:
    plain = Configuration({"a": Encoding.parse("int8")})
    quantized = Configuration({"a": Encoding.parse("int8")}, {"a": Precision.INT8})
    assert plain.hash != quantized.hash
    assert plain == Configuration({"a": Encoding.parse("int8")}, {"a": Precision.FP16})


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("{", ConfigurationError, "as JSON"),
        ('{"encoding":{}}', ConfigurationError, "keys"),
        ('{"encodings":{"a":"lut5"}}', EncodingError, "bits of a table"),
        ('{"encodings":{"a":"lut4"},"activations":{"a":"fp8"}}', ConfigurationError, "fp16 or int8"),
        ('{"encodings":{"a":"lut4"},"activations":{"b":"int8"}}', ConfigurationError, "'b'"),
    ],
)
def test_bad_json_is_an_error(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Configuration.from_json(text)


def test_replacing_a_stranger_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no layer 'b'"):
        Configuration({"a": Encoding.parse("lut4")}).replace({"b": Encoding.parse("lut4")})


def test_it_prints_its_hash_and_how_often_each_encoding_is_used():
    spelt = {"a": "lut4", "b": "lut4", "c": "int8", "d": "fp16", "e": "lut6", "f": "lut8"}
    found = Configuration({name: Encoding.parse(spelling) for name, spelling in spelt.items()})
    assert repr(found) == f"Configuration({found.hash}: 2 lut4, 1 int8, 1 fp16, 1 lut6 and 1 more encodings)"
    rounded = Configuration({"a": Encoding.parse("int8")}, {"a": Precision.INT8})
    assert repr(rounded) == f"Configuration({rounded.hash}: 1 int8; 1 inputs in 8 bits)"


def test_layers_keep_the_order_in_which_they_were_given_for_people_and_nothing_else_differs():
    first = {"stem": "lut8", "block.10": "lut4", "block.9": "int8", "head": "fp16"}
    given = {name: Encoding.parse(spelling) for name, spelling in first.items()}
    one = Configuration(given, {"head": Precision.INT8, "block.9": Precision.INT8})
    other = Configuration({name: given[name] for name in sorted(given)}, one.activations)
    assert list(one.in_order) == list(first)
    assert list(one.encodings) == sorted(first)
    assert one.to_values() == {"activations": {"block.9": "int8", "head": "int8"}, "encodings": first}
    assert list(one.to_values()["encodings"]) == list(first)
    assert (one, hash(one), one.hash, one.to_json()) == (other, hash(other), other.hash, other.to_json())
    assert list(pickle.loads(pickle.dumps(one)).in_order) == list(first)
    assert list(one.replace({"stem": Encoding.parse("lut2")}).in_order) == list(first)
